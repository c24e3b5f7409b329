"""How people ask in a hurry: words side by side in any order, Chinese as it is typed to friends."""

from __future__ import annotations

from ..prompts import Spec
from ..words import GRADED, OUTLINED, Mention
from .nouns import NUMBERS
from .speech import Speech

# {x} the thing, {p} a place; {s} a size, {c} a colour, {k} a shape, {n} a number.
THINGS = {
    "en": (
        "{n} {s} {c} {k}", "{n} {c} {s} {k}", "{n} {k} {c} {s}", "{n} {k}, {c}, {s}",
        "{n} {c} {k} {s}", "{n} {k} ({s} {c})", "{n} {k} {s} {c}", "{n} {s} {k} {c}",
        "{n} {c} {k}, {s}", "{n} {k}, {s}, {c}", "{n} {s} {c} {k}", "{n} {k}: {c}, {s}",
    ),
    "zh": (
        "{n}{s}{c}{k}", "{n}{c}{k}", "{n}{c}的{k}", "{n}{s}的{c}{k}", "{n}{c}{k}{s}的",
        "{c}{k}{n}", "{n}{k}{c}的", "{n}{s}{c}{k}", "{c}的{s}{k}{n}", "{n}{k}，{c}", "{s}{c}{k}{n}",
        "{n}{k} {c} {s}",
    ),
}  # fmt: skip
PLACED = {
    "en": (
        "{x} {p}", "{x}, {p}", "{p} {x}", "{p}: {x}", "{x} ({p})", "{p}, {x}", "{x} - {p}",
        "{x}; {p}", "{p} - {x}", "{x} in {p}", "{x} at {p}", "{p} is {x}",
    ),
    "zh": (
        "{p}{x}", "{x}{p}", "{x}，{p}", "{p}，{x}", "{x}放{p}", "{p} {x}", "{x}在{p}", "{p}有{x}",
        "{x} {p}", "{p}来{x}", "{x}放在{p}那", "{p}那里{x}",
    ),
}  # fmt: skip
GROUNDS = {
    "en": (
        "{c} background", "{c} bg", "background {c}", "bg {c}", "on {c}", "{c} behind",
        "background: {c}", "rest {c}", "{c} backdrop", "all on {c}", "bg: {c}", "around it {c}",
    ),
    "zh": (
        "{c}背景", "{c}底", "背景{c}", "{c}的背景", "背景是{c}", "底色{c}", "{c}的底", "{c}底色",
        "背景要{c}", "后面{c}", "背景弄成{c}", "其他都{c}",
    ),
}  # fmt: skip
GAPS = {
    "en": (", ", ", ", " ", "; ", " / ", ". ", " - "),
    "zh": ("，", "，", " ", "，", "。", "、"),
}
JOINS = {
    "en": (", ", " and ", " + ", " & ", "; ", ", also "),
    "zh": ("，", "和", "，再来", " ", "加", "还有"),
}
OPENERS = (
    "画个", "来个", "弄个", "给我画个", "帮忙画个", "整个", "要个", "想要个", "画一个", "能画个",
    "麻烦来个", "搞个",
)  # fmt: skip
CLOSERS = ("吧", "哦", "呗", "呀", "谢啦", "，谢谢")
SHORT_COLOURS = {
    "red": "红", "green": "绿", "blue": "蓝", "yellow": "黄", "purple": "紫", "orange": "橙",
    "white": "白", "black": "黑", "pink": "粉", "brown": "棕", "grey": "灰", "cyan": "青",
}  # fmt: skip
FAMILIAR_SHAPES = {
    "circle": ("圆", "圆圈", "圆形"),
    "square": ("方块", "正方形", "方形"),
    "triangle": ("三角", "三角形"),
    "star": ("星星", "五角星", "星形"),
    "diamond": ("菱形",),
    "cross": ("十字", "十字形"),
    "heart": ("爱心", "心", "心形"),
}
FAMILIAR_SIZES = {
    "small": ("小", "小小的", "很小的"),
    "medium": ("中等", "中等大小的"),
    "large": ("大", "大大的", "很大的"),
}


def briefly(speech: Speech, spec: Spec) -> str:
    """Ask for a picture in as few words as do."""
    language = speech.language
    things = [_thing(speech, said) for said in spec.mentions]
    text = speech.form(JOINS[language]).join(things)
    if spec.background is not None:
        colour = _colour(speech, spec.background)
        if spec.is_graded:
            colour = GRADED[language][0] + (" " if language == "en" else "") + colour
        ground = speech.form(GROUNDS[language]).format(c=colour)
        gap = speech.form(GAPS[language])
        text = gap.join((text, ground) if speech.often(0.65) else (ground, text))
    if language == "zh":
        text = (speech.form(OPENERS) if speech.often(0.4) else "") + text
        text += speech.form(CLOSERS) if speech.often(0.15) else ""
        return text.replace("个一个", "个").replace("的的", "的")
    return text.replace("()", "").replace(" ,", ",")


def _thing(speech: Speech, said: Mention) -> str:
    language = speech.language
    words = [_size(speech, said.size)] if said.size else []
    if said.is_outlined:
        words.append(OUTLINED[language][0] + ("的" if language == "zh" else ""))
    size = (" " if language == "en" else "").join(words)
    number = ""
    if said.number > 1:
        number = speech.rng.choice(NUMBERS[language][said.number])
    elif speech.often(0.3):
        number = "a" if language == "en" else "一个"
    shape = speech.words.shape(said.shape, said.number)
    if language == "zh" and speech.often(0.6):
        shape = speech.rng.choice(FAMILIAR_SHAPES[said.shape])
    colour = _colour(speech, said.colour) if said.colour else ""
    form = speech.form(THINGS[language])
    text = form.format(n=number, s=size, c=colour, k=shape)
    if language == "en":
        text = _tidied(text)
    else:
        text = text.replace("的的", "的").replace("，，", "，").strip("，的 ")
        text = text.removeprefix("的")
    if said.cell is None:
        return text
    return speech.form(PLACED[language]).format(x=text, p=speech.spot(said.cell))


def _tidied(text: str) -> str:
    """Remove what is left where a word was not said."""
    text = " ".join(text.split())
    for wrong, right in (("( ", "("), (" )", ")"), (" ()", ""), (" ,", ","), (",,", ",")):
        text = text.replace(wrong, right)
    return text.replace(": ,", ":").strip(" ,:;")


def _colour(speech: Speech, name: str) -> str:
    if speech.language == "zh" and name in SHORT_COLOURS and speech.often(0.5):
        return SHORT_COLOURS[name]
    return speech.words.colour(name)


def _size(speech: Speech, name: str) -> str:
    if speech.language == "zh":
        return speech.rng.choice(FAMILIAR_SIZES[name])
    return speech.size(name)
