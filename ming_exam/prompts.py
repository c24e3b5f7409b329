"""Pictures asked for in people's own words, English and Chinese, kind by kind."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from .colours import COMMON
from .expectations import PLACES, RELATIONS, Expected, Wanted
from .scene import SHAPES

Asked = tuple[str, Expected]

ZH_SHAPES = dict(
    zip(
        SHAPES,
        ("圆", "正方形", "三角形", "星星", "菱形", "十字", "爱心"),
        strict=True,
    )
)
ZH_COLOURS = dict(
    zip(COMMON, ("黑色", "白色", "红色", "橙色", "黄色", "绿色", "蓝色", "紫色"), strict=True)
)
ZH_PLACES = dict(
    zip(
        PLACES,
        ("左上角", "上方", "右上角", "左边", "中间", "右边", "左下角", "下方", "右下角"),
        strict=True,
    )
)
OTHER_PLACES = {
    "top left": ("in the upper left-hand corner", "up in the left corner", "at the northwest"),
    "top right": ("in the upper right corner", "top-right", "up there on the right"),
    "bottom left": ("down in the left corner", "bottom-left", "in the lower left"),
    "bottom right": ("in the lower right-hand corner", "bottom-right", "down on the right"),
    "middle": ("right in the centre", "dead center", "smack in the middle"),
    "top": ("near the upper edge", "up at the top", "high up in the middle"),
    "bottom": ("along the lower edge, centred", "down at the bottom", "near the bottom edge"),
    "left": ("on the left-hand side", "by the left edge", "over on the left"),
    "right": ("on the right-hand side", "close to the right edge", "over on the right"),
}
OTHER_SIZES = {
    "small": ("tiny", "little", "mini", "teeny", "rather small"),
    "large": ("big", "huge", "giant", "enormous", "really big"),
}
OTHER_SHAPES = {
    "circle": ("disc", "dot", "ball", "round spot"),
    "square": ("box", "square block", "quadrate"),
    "triangle": ("three-cornered shape", "triangular shape"),
    "star": ("five-pointed star", "starlet", "pentagram-like star"),
    "diamond": ("rhombus", "lozenge", "square standing on its corner"),
    "cross": ("plus sign", "plus", "plus-shaped thing"),
    "heart": ("love heart", "valentine", "heart symbol"),
}
OTHER_COLOURS = {
    "red": ("crimson", "scarlet", "ruby-red", "tomato red"),
    "blue": ("azure", "cobalt", "royal blue", "sapphire"),
    "green": ("emerald", "grass-green", "leaf green", "forest green"),
    "yellow": ("golden yellow", "lemon", "sunny yellow", "canary"),
    "purple": ("violet", "lilac", "plum", "amethyst"),
    "orange": ("tangerine", "pumpkin-coloured", "carrot orange"),
    "black": ("jet-black", "pitch black", "coal-black", "ebony"),
    "white": ("snow-white", "ivory white", "chalk-white"),
}
NUMBERS = {2: ("two", "2", "a pair of"), 3: ("three", "3"), 4: ("four", "4")}


def an(words: str) -> str:
    """Return words with the article that they take."""
    return ("an " if words[0] in "aeiou" else "a ") + words


def _one(random: Random) -> tuple[str, str, str, str, str]:
    """Pick a colour, a shape, a place, a size, and a background of another colour."""
    colour, ground = random.sample(COMMON, 2)
    size = random.choice(("small", "large"))
    return colour, random.choice(SHAPES), random.choice(tuple(PLACES)), size, ground


def sentence(random: Random) -> Asked:
    """Ask with the sentence of the model's card, everything said."""
    colour, shape, place, size, ground = _one(random)
    words = "Please generate the corresponding image based on the description. "
    where = {"left": "on the left", "right": "on the right", "middle": "in the middle"}
    at = where.get(place, f"at the {place}")
    words += f"A {size} {colour} {shape} {at} on {an(ground)} background."
    return words, Expected((Wanted(shape, colour, place, size),), ground)


def sentence_of_two(random: Random) -> Asked:
    """Ask for two things in the words of the model's card, each with its place."""
    first, second, ground = random.sample(COMMON, 3)
    one, other = random.sample(SHAPES, 2)
    at, there = random.sample(("top left", "top right", "bottom left", "bottom right"), 2)
    words = (
        "Please generate the corresponding image based on the description. "
        f"{an(first).capitalize()} {one} at the {at} and {an(second)} {other} at the {there} "
        f"on {an(ground)} background."
    )
    return words, Expected((Wanted(one, first, at), Wanted(other, second, there)), ground)


def casual(random: Random) -> Asked:
    """Ask as one would ask a friend."""
    colour, shape, _, _, ground = _one(random)
    words = random.choice(
        (
            f"hey, could you draw me {an(colour)} {shape} on {an(ground)} background?",
            f"I'd love a picture of {an(colour)} {shape}. Make everything else {ground}.",
            f"can i get {an(colour)} {shape} in front of {an(ground)} backdrop please",
            f"Paint the whole thing {ground} and put {an(colour)} {shape} on it, thanks!",
            f"Let's see {an(colour)} {shape}, the background should be {ground}",
            f"Show me {an(colour)} {shape}. The background is {ground}.",
            f"gimme {an(colour)} {shape} against {ground}",
        )
    )
    return words, Expected((Wanted(shape, colour),), ground)


def partly(random: Random) -> Asked:
    """Ask for some of it, and leave the rest open."""
    colour, shape, place, _, ground = _one(random)
    return random.choice(
        (
            (f"{an(colour)} {shape}", Expected((Wanted(shape, colour),))),
            (f"Draw {an(shape)}.", Expected((Wanted(shape),))),
            (f"a {shape}, {ground} background", Expected((Wanted(shape),), ground)),
            (
                f"Any {shape} will do, but put it at the {place}.",
                Expected((Wanted(shape, None, place),)),
            ),
            (f"I need {an(colour)} {shape}.", Expected((Wanted(shape, colour),))),
            (f"something {colour}: {an(shape)}", Expected((Wanted(shape, colour),))),
        )
    )


def two(random: Random) -> Asked:
    """Ask for two things."""
    first, second, ground = random.sample(COMMON, 3)
    one, other = random.sample(SHAPES, 2)
    a, b = f"{an(first)} {one}", f"{an(second)} {other}"
    words = random.choice(
        (
            f"{a} and {b} on {an(ground)} background",
            f"Draw {a} and {b} on {ground}.",
            f"I want two things in the picture: {a} and {b}. Background {ground}.",
            f"{a} together with {b}, both on {an(ground)} background",
            f"There should be {a}, and also {b}. Everything behind them is {ground}.",
            f"Please put {a} next to {b} with {an(ground)} background",
        )
    )
    return words, Expected((Wanted(one, first), Wanted(other, second)), ground)


def relations(random: Random) -> Asked:
    """Ask for two things, one beside, above or below the other."""
    first, second, ground = random.sample(COMMON, 3)
    one, other = random.sample(SHAPES, 2)
    a, b = f"{an(first)} {one}", f"{an(second)} {other}"
    relation = random.choice(tuple(RELATIONS))
    ways = {
        "left of": (f"{a} to the left of {b}", f"{b} with {a} on its left side"),
        "right of": (f"{a} to the right of {b}", f"{b}; right of it {a}"),
        "above": (f"{a} over {b}", f"{b} with {a} floating above it"),
        "below": (f"{a} underneath {b}", f"{b}, and {a} below that"),
    }
    words = f"{random.choice(ways[relation])}, on {an(ground)} background"
    return words, Expected((Wanted(one, first), Wanted(other, second)), ground, relation)


def numbers(random: Random) -> Asked:
    """Ask for several things alike."""
    colour, shape, _, _, ground = _one(random)
    count = random.choice(tuple(NUMBERS))
    number = random.choice(NUMBERS[count])
    several = shape + ("es" if shape == "cross" else "s")
    words = random.choice(
        (
            f"{number} {colour} {several} on {ground}",
            f"Draw {number} {colour} {several}, please. Make the background {ground}.",
            f"I would like to see {number} {several}, all {colour}, on {an(ground)} background.",
            f"a picture with {number} {colour} {several} and {an(ground)} background",
        )
    )
    return words, Expected((Wanted(shape, colour),) * count, ground)


def chinese(random: Random) -> Asked:
    """Ask plainly in Chinese."""
    colour, shape, place, _, ground = _one(random)
    c, s, p, g = ZH_COLOURS[colour], ZH_SHAPES[shape], ZH_PLACES[place], ZH_COLOURS[ground]
    words = random.choice(
        (
            f"请画一个{c}的{s}，放在{p}，背景是{g}。",
            f"{g}背景，{p}有一个{c}{s}",
            f"生成一张图片：{g}的背景上，{p}是一个{c}的{s}。",
        )
    )
    return words, Expected((Wanted(shape, colour, place),), ground)


def short(random: Random) -> Asked:
    """Ask in a few words, or in another order."""
    colour, shape, place, _, ground = _one(random)
    words = random.choice(
        (
            f"{shape}, {colour}, {place}, {ground} bg",
            f"{ground} background. {colour} {shape}. {place}.",
            f"On {ground}: {colour} {shape}, {place}",
            f"background: {ground} / object: {colour} {shape} / position: {place}",
            f"{place}: {shape} in {colour}; the rest {ground}",
        )
    )
    return words, Expected((Wanted(shape, colour, place),), ground)


def places(random: Random) -> Asked:
    """Name places and sizes otherwise."""
    colour, shape, place, size, ground = _one(random)
    if random.random() < 0.5:
        at = random.choice(OTHER_PLACES[place])
        words = f"{an(colour)} {shape} {at}, on {an(ground)} background"
        return words, Expected((Wanted(shape, colour, place),), ground)
    words = f"{an(random.choice(OTHER_SIZES[size]))} {colour} {shape} on {an(ground)} background"
    return words, Expected((Wanted(shape, colour, None, size),), ground)


def shapes(random: Random) -> Asked:
    """Name shapes otherwise."""
    colour, shape, _, _, ground = _one(random)
    other = random.choice(OTHER_SHAPES[shape])
    return f"Draw {an(colour)} {other} on {an(ground)} background.", Expected(
        (Wanted(shape, colour),), ground
    )


def colours(random: Random) -> Asked:
    """Name colours otherwise."""
    colour, shape, _, _, ground = _one(random)
    other = random.choice(OTHER_COLOURS[colour])
    return f"Draw {an(other)} {shape} on {an(ground)} background.", Expected(
        (Wanted(shape, colour),), ground
    )


def mistyped(random: Random) -> Asked:
    """Ask plainly with one word mistyped: two letters swapped, one left out or doubled."""
    colour, shape, place, _, ground = _one(random)
    words = f"Draw {an(colour)} {shape} at the {place} on {an(ground)} background."
    wrong = random.choice((colour, shape, ground, "background"))
    at = random.randrange(1, len(wrong) - 1)
    typed = random.choice(
        (
            wrong[:at] + wrong[at + 1] + wrong[at] + wrong[at + 2 :],
            wrong[:at] + wrong[at + 1 :],
            wrong[:at] + wrong[at] + wrong[at:],
        )
    )
    return words.replace(wrong, typed, 1), Expected((Wanted(shape, colour, place),), ground)


def free_chinese(random: Random) -> Asked:
    """Ask in Chinese as one types it."""
    colour, shape, place, size, ground = _one(random)
    c, s, p, g = ZH_COLOURS[colour][0], ZH_SHAPES[shape], ZH_PLACES[place], ZH_COLOURS[ground][0]
    big = {"small": "小小的", "large": "大大的"}[size]
    return random.choice(
        (
            (f"帮我画个{c}{s}，底色用{g}的", Expected((Wanted(shape, colour),), ground)),
            (
                f"来一张{g}底的图，{p}放个{c}{s}吧",
                Expected((Wanted(shape, colour, place),), ground),
            ),
            (f"我想要{big}{c}{s}，背景{g}", Expected((Wanted(shape, colour, None, size),), ground)),
            (f"能不能画一个{c}{s}？背景要{g}色", Expected((Wanted(shape, colour),), ground)),
            (f"{p}画{s}，{c}的，其余都是{g}色", Expected((Wanted(shape, colour, place),), ground)),
        )
    )


def capitals(random: Random) -> Asked:
    """Shout the plain sentence."""
    colour, shape, place, _, ground = _one(random)
    words = f"Draw {an(colour)} {shape} at the {place} on {an(ground)} background."
    return words.upper(), Expected((Wanted(shape, colour, place),), ground)


KINDS: dict[str, Callable[[Random], Asked]] = {
    maker.__name__: maker
    for maker in (
        sentence,
        sentence_of_two,
        casual,
        partly,
        two,
        relations,
        numbers,
        chinese,
        short,
        places,
        shapes,
        colours,
        mistyped,
        free_chinese,
        capitals,
    )
}
