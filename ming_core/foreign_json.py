"""JSON that others wrote: parsed with bounds, so that nothing in it ends or holds up a program.

Bounded are size, depth and digits. Refused are keys that are there twice, figures too large for a
float, and text that cannot be encoded: two readers would read such a file differently. Infinity,
where it is spelt out, is in published configs; what needs a finite number says so.
"""

import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .errors import ForeignError
from .foreign_files import read_text
from .foreign_text import plain, shown

DEEPEST = 100  # levels of objects and lists
MOST_DIGITS = 20  # those of 2**64
_HALF = re.compile(r"\\u[dD][89a-fA-F]|[\ud800-\udfff]")


def parse_json(text: str | bytes, what: str) -> Any:  # noqa: ANN401  any JSON
    """Parse JSON; raises ForeignError, in which `what` is its name."""
    try:
        text = text.decode("utf-8-sig") if isinstance(text, bytes) else text
        value = json.loads(
            text,
            parse_int=_integer,
            parse_float=_number,
            object_pairs_hook=_object,
        )
        _refuse_depth(value)
        if _HALF.search(text):
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:
        raise ForeignError(f"{what} is nested more than {DEEPEST} levels deep.") from None
    except UnicodeError:
        raise ForeignError(
            f"{what} holds half a character (a lone surrogate), or is not UTF-8."
        ) from None
    except ValueError as error:
        raise ForeignError(f"{what} cannot be read as JSON ({plain(error)}).") from error
    return value


def read_any_json(path: Path) -> Any:  # noqa: ANN401  any JSON
    """Read a JSON file; raises ForeignError naming it, or FileNotFoundError."""
    return parse_json(read_text(path), plain(path))


def _integer(text: str) -> int:
    num_digits = len(text.lstrip("-"))
    if num_digits > MOST_DIGITS:
        raise ValueError(f"the number {shown(text)} has {num_digits} digits")
    return int(text)


def _number(text: str) -> float:
    number = float(text)
    if number - number != 0:
        raise ValueError(f"{shown(text)} is no finite number")
    return number


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        [(twice, _)] = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"the key {shown(twice)} is there twice")
    return found


def _refuse_depth(value: object) -> None:
    """Raise RecursionError for what copying, comparing or writing again would fail on."""
    level = _parts_of(value)
    for _ in range(DEEPEST - 1):
        level = [part for entry in level for part in _parts_of(entry)]
        if not level:
            return
    raise RecursionError


def _parts_of(value: object) -> list[Any]:
    """Return the objects and lists right inside an object or a list."""
    if isinstance(value, dict):
        value = list(value.values())
    parts = value if isinstance(value, list) else []
    return [part for part in parts if isinstance(part, dict | list)]
