"""Other words for the drawn world's own: what the small tokenizer reads as a word that was taught.

A model of a few million parameters has room for one word per thing. So its tokenizer takes another
spelling, a capital, a hyphen or a synonym for the word it knows, as a person would explain it; it
leaves everything alone that lessons say (decision 0026). Whole phrasings are not rewritten: those
must be learnt.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tokenizers import Regex, normalizers

from ming_shapes.scene import ALL_COLOURS, SHAPES, SIZES

from .misspelt import misspelt

SYNONYMS = {
    "circle": "dot|ball|round|roundel|orb|circular shape|round shape|round thing",
    "square": "box|block|quadrate|cube|square shape|square thing",
    "triangle": "triangular shape|triangular thing|three-cornered shape|three-sided shape",
    "star": "starlet|pentagram|five-pointed star|five pointed star|star shape|asterisk",
    "diamond": "lozenge|rhomb|diamond shape|square on its corner|square standing on its corner",
    "cross": "plus sign|plus shape|plus-shaped thing|greek cross|cross shape",
    "heart": "love heart|valentine|heart shape|heart symbol",
    "red": "crimson|scarlet|ruby|ruby-red|ruby red|vermilion|cherry red|cherry|blood red|tomato red"
    "|brick red|fire engine red|bright red|carmine|cardinal",
    "green": "emerald|emerald green|grass-green|grass green|forest green|leaf green|jade|viridian"
    "|bright green|shamrock",
    "blue": "azure|cobalt|cobalt blue|royal blue|sapphire|ultramarine|cerulean|bright blue|indigo",
    "yellow": "golden yellow|gold|golden|lemon|lemon yellow|canary|canary yellow|amber|sunny yellow"
    "|bright yellow|saffron",
    "purple": "violet|lilac|plum|mauve|lavender|amethyst|magenta|aubergine|grape",
    "orange": "tangerine|pumpkin|pumpkin-coloured|carrot orange|apricot|bright orange|carrot",
    "white": "snow-white|snow white|snowy|ivory|ivory white|chalk-white|chalk white|pure white",
    "black": "jet-black|jet black|pitch-black|pitch black|coal-black|coal black|ebony|ebon|inky"
    "|charcoal black",
    "pink": "rose|rosy|salmon|salmon pink|hot pink|fuchsia|blush",
    "brown": "chestnut|chocolate|chocolate brown|coffee|hazel|tan|umber",
    "grey": "gray|greyish|grayish|ash|ashen|slate|silver|silvery|leaden",
    "cyan": "aqua|aquamarine|turquoise|sky blue|sky-blue|light blue",
    "navy": "navy blue|dark blue|midnight blue",
    "lime": "lime green|chartreuse|light green|yellow-green",
    "teal": "petrol|blue-green",
    "beige": "cream|sand|sandy|khaki|cream-coloured",
    "small": "mini|miniature|teeny|wee|minute|petite|smallish|rather small|pretty small|very small"
    "|teeny-tiny|diminutive",
    "large": "giant|gigantic|enormous|massive|sizable|sizeable|great big|really big|very big"
    "|very large|really large|oversized|colossal|immense",
    "background": "backdrop|back ground|backround|bg",
    "two": "2|a pair of|a couple of|a duo of",
    "three": "3|a trio of",
    "four": "4",
    "colour": "color's|colour's|hue|shade",
    "picture": "drawing|pic|img|photograph",
    "at the top left": "top-left|upper-left|at the northwest|in the northwest|up in the left corner"
    "|in the top-left corner|in the upper-left corner|in the upper left-hand corner"
    "|in the top left-hand corner|at the upper left|in the upper left|in the top left",
    "at the top right": "top-right|upper-right|at the northeast|in the northeast"
    "|in the top-right corner|in the upper-right corner|in the upper right-hand corner"
    "|in the top right-hand corner|at the upper right|in the upper right|in the top right",
    "at the bottom left": "bottom-left|lower-left|at the southwest|in the southwest"
    "|in the bottom-left corner|in the lower-left corner|in the lower left-hand corner"
    "|in the bottom left-hand corner|at the lower left|in the lower left|in the bottom left",
    "at the bottom right": "bottom-right|lower-right|at the southeast|in the southeast"
    "|in the bottom-right corner|in the lower-right corner|in the lower right-hand corner"
    "|in the bottom right-hand corner|at the lower right|in the lower right|in the bottom right",
    "at the top": "at the upper edge|near the upper edge|along the upper edge|at the top edge"
    "|near the top|along the top|up at the top|near the top edge|in the upper part",
    "at the bottom": "at the lower edge|near the lower edge|along the lower edge|near the bottom"
    "|at the bottom edge|near the bottom edge|along the bottom|down at the bottom"
    "|in the lower part",
    "on the left": "on the left-hand side|on the left side|on the left hand side|by the left edge"
    "|near the left edge|close to the left edge|over on the left|to the left side",
    "on the right": "on the right-hand side|on the right side|on the right hand side"
    "|by the right edge|near the right edge|close to the right edge|over on the right"
    "|to the right side",
    "in the centre": "in the very middle|in the very centre|dead centre"
    "|dead center|smack in the middle|at the centre|at the center|at the middle|in the midst",
}
SYNONYMS_ZH = {
    "圆形": "圆圈|圆球|圆点|圆盘|球形|球",
    "正方形": "四方形|方格|方框",
    "三角形": "三角",
    "星形": "星星|五星|星",
    "菱形": "钻石形|钻石",
    "十字": "加号|十字形|十字架",
    "心形": "桃心|红心形|心",
    "背景": "底色|背景色|底",
    "左上角": "左上",
    "右上角": "右上",
    "左下角": "左下",
    "右下角": "右下",
    "中间": "正中间|正中央|正中|中心|当中",
    "小": "小小的|很小的|小号的|迷你的",
    "大": "大大的|很大的|大号的|超大的",
    "一个": "一颗|一只|一枚|1个",
    "两个": "二个|俩|两颗|2个",
    "三个": "三颗|3个",
    "四个": "四颗|4个",
    "橙色": "橘色|橘黄色|橘红色|橘|橙",
    "红色": "大红色|鲜红色|朱红色|红",
    "绿色": "翠绿色|草绿色|绿",
    "蓝色": "天蓝色|深蓝色|宝蓝色|蓝",
    "黄色": "金黄色|金色|柠檬黄|黄",
    "紫色": "紫罗兰色|淡紫色|紫",
    "白色": "雪白色|雪白|纯白|白",
    "黑色": "漆黑|纯黑|黑",
    "粉色": "粉红色|粉红|桃红色|粉",
    "灰色": "银灰色|银色|灰",
    "棕色": "褐色|咖啡色|棕",
}
ENGLISH = "[A-Za-z]"
SEVERAL = ("circle", "square", "triangle", "star", "diamond", "heart", "cross")


def normalizer(taught: frozenset[str], heard: frozenset[str] = frozenset()) -> normalizers.Sequence:
    """Return what turns other words into taught ones, given every taught word and phrase.

    `heard` are those that people's lessons say besides: read in capitals as well, but no reason to
    leave another word alone.
    """
    rules = [*_capitals(taught | heard), *_begun(taught), *misspelt(taught | heard)]
    rules += [*_english(taught), *_chinese(taught), *_articles()]
    return normalizers.Sequence([normalizers.Replace(Regex(p), word) for p, word in rules])


def taught_words(texts: Iterator[str]) -> frozenset[str]:
    """Return every English word and every Chinese stretch of up to five signs that texts say."""
    words: set[str] = set()
    for text in set(texts):
        words.update(re.findall(rf"{ENGLISH}+(?:[-']{ENGLISH}+)*", text))
        for stretch in re.findall(r"[\u4e00-\u9fff]+", text):
            ends = ((i, n) for i in range(len(stretch)) for n in range(1, 6))
            words.update(stretch[i : i + n] for i, n in ends)
    return frozenset(words)


def _capitals(taught: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Read a taught word in capitals, or with a first one, as it is taught."""
    words = sorted(word for word in taught if word.isascii() and len(word) > 1)
    for word in sorted(words, key=str.istitle):
        if word.upper() not in taught:
            begins = word.istitle() or word.capitalize() not in taught
            yield ("" if begins else r"(?<=\S )") + rf"\b{re.escape(word.upper())}\b", word
    yield r"(?<=[a-z] )A(?= [a-z])", "a"


def _begun(taught: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Read what a drawing is made of with a first capital as without, where that is not taught."""
    for name in sorted({*ALL_COLOURS, *SHAPES, *SIZES, "background"} & taught):
        if name.capitalize() not in taught:
            yield rf"\b{name.capitalize()}\b", name


def _english(taught: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Read other words; those for one word are one pattern, longer ones first."""
    for word, listed in SYNONYMS.items():
        others = sorted(set(listed.split("|")) - taught, key=lambda other: (-len(other), other))
        if word in SEVERAL:
            several = [re.escape(other) + "s" for other in others if not other.endswith("s")]
            plural = word + ("es" if word == "cross" else "s")
            yield rf"(?i)\b(?:{'|'.join(several)})\b", plural
        pattern = rf"\b(?:{'|'.join(re.escape(other) for other in others)})\b"
        if word.startswith(("at the", "in the", "on the")):
            # "in the top left corner" is taught as it stands.
            pattern = rf"(?<!the ){pattern}(?! corner)"
        yield f"(?i){pattern}", word


def _chinese(taught: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Read a shorter or other Chinese word, where it is not part of a taught one."""
    pairs = [(other, word) for word, others in SYNONYMS_ZH.items() for other in others.split("|")]
    for other, word in sorted(pairs, key=lambda pair: (-len(pair[0]), pair)):
        longer = [t for t in taught if other in t and len(t) <= len(other) + 2]
        around = {(t[: t.index(other)], t[t.index(other) + len(other) :]) for t in longer}
        before = sorted({b[-1] for b, _ in around if b})
        after = sorted({a[0] for _, a in around if a})
        left = f"(?<![{''.join(before)}])" if before else ""
        right = f"(?![{''.join(after)}])" if after else ""
        yield left + re.escape(other) + right, word


def _articles() -> Iterator[tuple[str, str]]:
    """Read the article as lessons say it of a background, whatever grammar says."""
    yield r"\ban (?=orange background\b)", "a "
