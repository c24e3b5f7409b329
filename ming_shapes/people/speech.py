"""How one person types: which families of phrasings, which language, how carefully."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from ..scene import Cell
from ..words import Phrasing

KEPT_OUT = 6  # the last of every so many forms of a list is never used in training
SPOTS: dict[str, dict[Cell, tuple[str, ...]]] = {
    "en": {
        (0, 0): ("top left", "upper left", "top left corner", "upper left corner"),
        (0, 1): ("top", "top centre", "top middle", "upper middle", "upper part"),
        (0, 2): ("top right", "upper right", "top right corner", "upper right corner"),
        (1, 0): ("left", "left side", "left edge", "middle left", "centre left"),
        (1, 1): ("centre", "middle", "center", "very middle", "middle of the picture"),
        (1, 2): ("right", "right side", "right edge", "middle right", "centre right"),
        (2, 0): ("bottom left", "lower left", "bottom left corner", "lower left corner"),
        (2, 1): ("bottom", "bottom centre", "bottom middle", "lower middle", "lower part"),
        (2, 2): ("bottom right", "lower right", "bottom right corner", "lower right corner"),
    },
    "zh": {
        (0, 0): ("左上角", "左上方", "左上"),
        (0, 1): ("上方", "上面", "顶部", "上边", "正上方"),
        (0, 2): ("右上角", "右上方", "右上"),
        (1, 0): ("左边", "左侧", "左面"),
        (1, 1): ("中间", "中央", "正中间", "中心"),
        (1, 2): ("右边", "右侧", "右面"),
        (2, 0): ("左下角", "左下方", "左下"),
        (2, 1): ("下方", "下面", "底部", "下边", "正下方"),
        (2, 2): ("右下角", "右下方", "右下"),
    },
}
SIZE_WORDS = {
    "en": {
        "small": ("small", "small", "little", "tiny", "mini"),
        "medium": ("medium", "medium-sized", "medium sized", "normal", "average", "mid-sized"),
        "large": ("large", "large", "big", "huge", "giant", "enormous"),
    },
    "zh": {
        "small": ("小", "小小", "很小"),
        "medium": ("中等", "中等大小"),
        "large": ("大", "巨大", "很大"),
    },
}
TO_A_PLACE = ("to the", "into the", "in the", "at the", "over to the", "towards the")
AT_A_PLACE = ("in the", "at the", "at the", "near the", "up in the", "over at the")


@dataclass(frozen=True)
class Speech:
    """A person's way of typing; whole families of forms are kept out of training."""

    rng: random.Random
    language: str = "en"
    is_held_out: bool = False
    words: Phrasing = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "words", Phrasing(self.rng, self.language))

    def form(self, forms: Sequence[str]) -> str:
        """Choose one form: a kept out one where that is wanted and there is one."""
        if len(forms) < KEPT_OUT:
            return self.rng.choice(forms)
        chosen = range(len(forms))
        kept = [i for i in chosen if (i % KEPT_OUT == KEPT_OUT - 1) == self.is_held_out]
        return forms[self.rng.choice(kept)]

    def often(self, share: float) -> bool:
        """Tell whether something happens that happens with some share."""
        return self.rng.random() < share

    def size(self, name: str) -> str:
        """Name a size."""
        return self.rng.choice(SIZE_WORDS[self.language][name])

    def spot(self, cell: Cell) -> str:
        """Name a place as a noun: "top left corner"."""
        return self.rng.choice(SPOTS[self.language][cell])

    def at(self, cell: Cell) -> str:
        """Say where something is: "in the top left corner"."""
        return self._with(AT_A_PLACE, cell)

    def to(self, cell: Cell) -> str:
        """Say where something goes."""
        return self._with(TO_A_PLACE, cell)

    def article(self, phrase: str) -> str:
        """Put an article before a phrase, now and then the wrong one."""
        is_an = (phrase[0] in "aeiou") != self.often(0.06)
        return f"{'an' if is_an else 'a'} {phrase}"

    def typed(self, text: str) -> str:
        """Return a text as it is typed: with or without capitals and full stops."""
        text = " ".join(text.split())
        if self.language == "zh":
            return self._ended(text, "。", "，")
        if self.often(0.07):
            return text.upper()
        if self.often(0.5):
            text = text[0].upper() + text[1:]
        return self._ended(text, ".", " ")

    def _ended(self, text: str, stop: str, loose: str) -> str:
        if self.often(0.4):
            return text.rstrip(stop + loose)
        return text if text[-1] in "?!？！" + stop else text + stop

    def _with(self, prepositions: Sequence[str], cell: Cell) -> str:
        if self.language == "zh":
            return self.spot(cell)
        if self.often(0.4):
            return self.words.place(cell)
        is_side = cell in ((1, 0), (1, 2))
        chosen = "on the" if is_side and prepositions is AT_A_PLACE else self.form(prepositions)
        return f"{chosen} {self.spot(cell)}"
