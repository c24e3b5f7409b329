"""Texts that the page rewrites when it queues: choices, comments, dates and values of nodes."""

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from random import Random

_COMMENT = re.compile(r"/\*|//[^\n\r\u2028\u2029]*")
_ESCAPED = re.compile(r"\\([{}|])")
_PLACE = re.compile(r"%([^%]+)%")
_DATE_PART = re.compile(r"dd?|MM?|hh?|mm?|ss?|yyy?y?")
_NOT_IN_NAMES = re.compile(r'[/?<>\\:*|"\x00-\x1f\x7f]')

# (name of a node, name of a widget) -> its value as text, or None where there is none
Lookup = Callable[[str, str], "str | None"]


def dynamic_prompt(text: str, random: Random) -> str:
    """Drop comments, and draw one of every {a|b}; choices may hold choices, `\\{` is a brace."""
    text = _without_comments(text)
    drawn: list[str] = []
    position = 0
    while position < len(text):
        letter = text[position]
        position += 1
        if letter == "\\":
            drawn.append(_escape(text, position))
            position += 1
        elif letter == "{":
            options, position = _options(text, position)
            drawn.append(dynamic_prompt(random.choice(options), random))
        else:
            drawn.append(letter)
    return _ESCAPED.sub(r"\1", "".join(drawn))


def _without_comments(text: str) -> str:
    """The text without `/* */` and what follows `//`; a `/*` that nothing closes is text."""
    kept: list[str] = []
    begin = position = 0
    may_close = True
    while (found := _COMMENT.search(text, position)) is not None:
        end = found.end()
        if found[0] == "/*":
            close = text.find("*/", end) if may_close else -1
            may_close = close >= 0
            if not may_close:
                position = found.start() + 1
                continue
            end = close + len("*/")
        kept.append(text[begin : found.start()])
        begin = position = end
    return "".join((*kept, text[begin:]))


def _options(text: str, position: int) -> tuple[Sequence[str], int]:
    """The alternatives of a block that begins at `position`, and where the text goes on."""
    options, depth = [list[str]()], 0
    while position < len(text):
        letter = text[position]
        position += 1
        if letter == "\\":
            options[-1].append(_escape(text, position))
            position += 1
            continue
        if letter == "}" and not depth:
            break
        if letter == "|" and not depth:
            options.append([])
            continue
        depth += {"{": 1, "}": -1}.get(letter, 0)
        options[-1].append(letter)
    return ["".join(option) for option in options], position


def _escape(text: str, position: int) -> str:
    """A backslash with what follows; the page writes this very word where nothing does."""
    return "\\" + (text[position] if position < len(text) else "undefined")


def replaced(text: str, now: datetime, value_of: Lookup) -> str:
    """Fill in %date:yyyy-MM-dd% and %Node.widget%; what is not understood stays as it is."""

    def fill(place: re.Match[str]) -> str:
        parts = place[1].split(".")
        if len(parts) != 2:  # noqa: PLR2004 - node and widget
            is_date = parts[0].startswith("date:")
            return _dated(parts[0].removeprefix("date:"), now) if is_date else place[0]
        found = value_of(*parts)
        return place[0] if found is None else _NOT_IN_NAMES.sub("_", found)

    return _PLACE.sub(fill, text)


def as_page_text(value: object) -> str:
    """A value as the page writes it into a text."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _dated(pattern: str, now: datetime) -> str:
    numbers = {"d": now.day, "M": now.month, "h": now.hour, "m": now.minute, "s": now.second}

    def fill(part: re.Match[str]) -> str:
        text = part[0]
        if text[0] in numbers:
            return str(numbers[text[0]]).zfill(len(text))
        return {"yy": str(now.year)[2:], "yyyy": str(now.year)}.get(text, text)

    return _DATE_PART.sub(fill, pattern)
