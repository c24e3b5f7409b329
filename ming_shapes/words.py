"""The vocabulary of the drawn world in English and Chinese, and how things and places are named."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from .scene import ALL_COLOURS, Cell, Scene, Thing

HELD_OUT_EVERY = 5  # one of so many combinations of phrasings is never used in training

SHAPE_WORDS = {
    "en": {
        "circle": ("circle", "disc"),
        "square": ("square",),
        "triangle": ("triangle",),
        "star": ("star",),
        "diamond": ("diamond", "rhombus"),
        "cross": ("cross", "plus"),
        "heart": ("heart",),
    },
    "zh": {
        "circle": ("圆形", "圆"),
        "square": ("正方形", "方块"),
        "triangle": ("三角形",),
        "star": ("星形", "五角星"),
        "diamond": ("菱形",),
        "cross": ("十字",),
        "heart": ("心形", "爱心"),
    },
}
COLOUR_WORDS = {
    "en": {colour: (colour,) for colour in ALL_COLOURS},
    "zh": {
        "red": ("红色",),
        "green": ("绿色",),
        "blue": ("蓝色",),
        "yellow": ("黄色",),
        "purple": ("紫色",),
        "orange": ("橙色",),
        "white": ("白色",),
        "black": ("黑色",),
        "pink": ("粉色",),
        "brown": ("棕色",),
        "grey": ("灰色",),
        "cyan": ("青色",),
        "navy": ("藏青色",),
        "lime": ("黄绿色",),
        "teal": ("蓝绿色",),
        "beige": ("米色",),
    },
}
SIZE_WORDS = {
    "en": {
        "small": ("small", "little", "tiny"),
        "medium": ("medium", "medium-sized"),
        "large": ("large", "big", "huge"),
    },
    "zh": {"small": ("小", "小小"), "medium": ("中等",), "large": ("大", "巨大")},
}
PLACE_WORDS: dict[str, dict[Cell, tuple[str, ...]]] = {
    "en": {
        (0, 0): ("at the top left", "in the top left corner", "in the upper left corner"),
        (0, 1): ("at the top", "at the top centre", "in the upper middle"),
        (0, 2): ("at the top right", "in the top right corner", "in the upper right corner"),
        (1, 0): ("on the left", "at the left", "at the left edge"),
        (1, 1): ("in the centre", "in the middle", "in the center"),
        (1, 2): ("on the right", "at the right", "at the right edge"),
        (2, 0): ("at the bottom left", "in the bottom left corner", "in the lower left corner"),
        (2, 1): ("at the bottom", "at the bottom centre", "in the lower middle"),
        (2, 2): ("at the bottom right", "in the bottom right corner", "in the lower right corner"),
    },
    "zh": {
        (0, 0): ("左上角", "左上方"),
        (0, 1): ("上方", "上面"),
        (0, 2): ("右上角", "右上方"),
        (1, 0): ("左边", "左侧"),
        (1, 1): ("中间", "中央"),
        (1, 2): ("右边", "右侧"),
        (2, 0): ("左下角", "左下方"),
        (2, 1): ("下方", "下面"),
        (2, 2): ("右下角", "右下方"),
    },
}
OUTLINED = {"en": ("outlined", "hollow"), "zh": ("空心", "空心")}
GRADED = {"en": ("graded", "gradient"), "zh": ("渐变", "渐变")}
NUMBERS = {
    "en": ("no", "one", "two", "three", "four"),
    "zh": ("没有", "一", "两", "三", "四"),
}
YES_NO = {"en": ("yes", "no"), "zh": ("是", "否")}


@dataclass
class Phrasing:
    """How somebody speaks: a language, and phrasings that training uses or never uses."""

    rng: random.Random
    language: str = "en"
    is_held_out: bool = False
    is_plain: bool = field(default=False)  # always the first word of each list: for answers

    def pick(self, *lists: Sequence[str]) -> list[str]:
        """Choose one phrase of each list; together a combination of the wanted kind."""
        if self.is_plain:
            return [options[0] for options in lists]
        can_hold_out = sum(len(options) - 1 for options in lists) >= HELD_OUT_EVERY - 1
        while True:
            chosen = [self.rng.randrange(len(options)) for options in lists]
            is_rare = sum(chosen) % HELD_OUT_EVERY == HELD_OUT_EVERY - 1
            if not can_hold_out or is_rare == self.is_held_out:
                return [options[i] for options, i in zip(lists, chosen, strict=True)]

    def word(self, words: Sequence[str]) -> str:
        """Choose one of several words that mean the same."""
        return words[0] if self.is_plain else self.rng.choice(words)

    def shape(self, name: str, number: int = 1) -> str:
        """Name a shape."""
        word = self.word(SHAPE_WORDS[self.language][name])
        if self.language == "zh" or number == 1:
            return word
        return {"cross": "crosses", "plus": "pluses", "rhombus": "rhombuses"}.get(word, word + "s")

    def colour(self, name: str) -> str:
        """Name a colour."""
        return self.word(COLOUR_WORDS[self.language][name])

    def size(self, name: str) -> str:
        """Name a size."""
        return self.word(SIZE_WORDS[self.language][name])

    def place(self, cell: Cell) -> str:
        """Name a place."""
        return self.word(PLACE_WORDS[self.language][cell])


@dataclass(frozen=True)
class Mention:
    """What is said of a thing; what is None is left open."""

    shape: str
    colour: str | None = None
    size: str | None = None
    cell: Cell | None = None
    is_outlined: bool | None = None
    number: int = 1

    @classmethod
    def of(cls, thing: Thing) -> Mention:
        """Say everything about a thing."""
        return cls(thing.shape, thing.colour, thing.size, thing.cell, thing.is_outlined)


def noun_phrase(phrasing: Phrasing, said: Mention) -> str:
    """Say what a thing is, without article and place: "large hollow red circle"."""
    language = phrasing.language
    words = [phrasing.size(said.size)] if said.size else []
    words += [phrasing.word(OUTLINED[language])] if said.is_outlined else []
    words += [phrasing.colour(said.colour)] if said.colour else []
    if language == "zh":
        return "".join(f"{word}的" for word in words) + phrasing.shape(said.shape)
    return " ".join([*words, phrasing.shape(said.shape, said.number)])


def a_thing(phrasing: Phrasing, said: Mention) -> str:
    """Say "a large red circle at the top left", or "three red circles"."""
    phrase = noun_phrase(phrasing, said)
    if phrasing.language == "zh":
        number = NUMBERS["zh"][said.number] if said.number > 1 else "一"
        counted = f"{number}个{phrase}"
        return counted if said.cell is None else f"{phrasing.place(said.cell)}有{counted}"
    article = "an" if phrase[0] in "aeiou" else "a"
    counted = f"{NUMBERS['en'][said.number] if said.number > 1 else article} {phrase}"
    return counted if said.cell is None else f"{counted} {phrasing.place(said.cell)}"


def the_thing(phrasing: Phrasing, said: Mention) -> str:
    """Point at a thing: "the red circle", "the circle at the top"."""
    phrase = noun_phrase(phrasing, said)
    if phrasing.language == "zh":
        return phrase if said.cell is None else f"{phrasing.place(said.cell)}的{phrase}"
    return f"the {phrase}" if said.cell is None else f"the {phrase} {phrasing.place(said.cell)}"


def background_phrase(phrasing: Phrasing, colour: str, *, is_graded: bool) -> str:
    """Say "a graded blue background"."""
    graded = phrasing.word(GRADED[phrasing.language]) if is_graded else ""
    if phrasing.language == "zh":
        return f"{graded}{phrasing.colour(colour)}背景"
    return " ".join(word for word in ("a", graded, phrasing.colour(colour), "background") if word)


def pointing_at(scene: Scene, index: int, rng: random.Random) -> Mention:
    """Choose as few words as tell a thing from the others, sometimes more."""
    thing = scene.things[index]
    others = [t for i, t in enumerate(scene.things) if i != index]
    mentions = [
        Mention(thing.shape),
        Mention(thing.shape, thing.colour),
        Mention(thing.shape, thing.colour, cell=thing.cell),
    ]
    enough = [m for m in mentions if not any(fits(m, other) for other in others)] or mentions[-1:]
    return enough[0] if rng.random() < 0.6 else rng.choice(enough)


def fits(said: Mention, thing: Thing) -> bool:
    """Tell whether a thing is as said."""
    return all(
        wanted is None or wanted == actual
        for wanted, actual in (
            (said.shape, thing.shape),
            (said.colour, thing.colour),
            (said.size, thing.size),
            (said.cell, thing.cell),
            (said.is_outlined, thing.is_outlined),
        )
    )
