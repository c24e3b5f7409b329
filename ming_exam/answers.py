"""Reads what an answer says: colours, shapes, numbers, places and yes or no, in two languages."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

Words = Mapping[str, Sequence[str]]

COLOURS: Words = {
    "black": ("black", "黑"),
    "white": ("white", "白"),
    "grey": ("grey", "gray", "灰"),
    "red": ("red", "红"),
    "orange": ("orange", "橙", "橘"),
    "yellow": ("yellow", "黄"),
    "green": ("green", "绿"),
    "blue": ("blue", "蓝"),
    "purple": ("purple", "violet", "紫"),
    "pink": ("pink", "粉"),
    "brown": ("brown", "棕", "褐"),
    "cyan": ("cyan", "青"),
    "beige": ("beige", "米色"),
    "navy": ("navy",),
    "teal": ("teal",),
    "lime": ("lime",),
}
SHAPES: Words = {
    "circle": ("circle", "disc", "圆"),
    "square": ("square", "正方", "方形", "方块"),
    "triangle": ("triangle", "三角"),
    "star": ("star", "星"),
    "diamond": ("diamond", "rhombus", "菱形"),
    "cross": ("cross", "plus", "十字"),
    "heart": ("heart", "心形", "爱心", "红心"),
}
NUMBERS: Words = {
    "0": ("0", "no", "none", "zero", "零", "没有"),
    "1": ("1", "one", "一"),
    "2": ("2", "two", "二", "两"),
    "3": ("3", "three", "三"),
    "4": ("4", "four", "四"),
    "5": ("5", "five", "五"),
}
YES: Words = {"yes": ("yes", "是", "有", "对"), "no": ("no", "not", "没有", "不", "不是", "否")}
ACROSS: Words = {"left": ("left", "左"), "right": ("right", "右")}
DOWN: Words = {
    "top": ("top", "upper", "above", "上"),
    "bottom": ("bottom", "lower", "below", "下"),
}


def is_chinese(text: str) -> bool:
    """Tell whether a text holds Chinese characters."""
    return re.search(r"[\u4e00-\u9fff]", text) is not None


def said(text: str, words: Words) -> list[str]:
    """Return which of the words a text says, in its order, each as often as it does."""
    found: dict[int, tuple[int, str]] = {}
    for name, forms in words.items():
        for form in forms:
            for match in re.finditer(_pattern(form), text.lower()):
                # Where two end alike the longer counts: in Chinese "has not" ends with "has".
                start, _ = found.get(match.end(), (len(text), ""))
                if match.start() < start:
                    found[match.end()] = (match.start(), name)
    return [name for _, name in sorted(found.values())]


def things_said(text: str) -> list[tuple[str, str]]:
    """Return every (colour, shape) that a text names, a colour being the last before its shape."""
    pairs: list[tuple[str, str]] = []
    colour = ""
    for word in said(text, {**COLOURS, **SHAPES}):
        if word in COLOURS:
            colour = word
        elif colour:
            pairs.append((colour, word))
            colour = ""
    return pairs


def ground_said(text: str) -> str | None:
    """Return the colour that a text gives to the background, if it gives one."""
    for part in re.split(r"[.,;。，；]|\bon\b|\bwith\b", text.lower()):
        before, word, behind = _around(part, ("background", "背景", "底色"))
        if word:
            named = said(before, COLOURS)[-1:] or said(behind, COLOURS)[:1]
            if named:
                return named[0]
    return None


def _around(text: str, words: Sequence[str]) -> tuple[str, str, str]:
    """Split a text at the first of the words that it says."""
    return next((text.partition(word) for word in words if word in text), (text, "", ""))


def _pattern(form: str) -> str:
    if is_chinese(form):
        return re.escape(form)
    return rf"\b{re.escape(form)}(?:s|es)?\b"
