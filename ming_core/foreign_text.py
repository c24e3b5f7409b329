"""What others wrote, as a message shows it: short, on its line, and printable everywhere.

A message may repeat a value of any size and kind: a name from a file system, a cell of a table,
an answer of a hub, the words of another package's error.
"""

import reprlib
from collections.abc import Iterable
from itertools import islice
from unicodedata import category

LONGEST = 120  # characters of a value
LONGEST_REASON = 400  # characters of another program's words
MOST = 20  # of many names


class _Short(reprlib.Repr):
    """`repr` that looks at the beginning of what it is given, and never fails."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxother = 3, LONGEST
        self.maxstring = self.maxlong = LONGEST
        self.maxlist = self.maxtuple = self.maxdict = self.maxset = 6

    def repr1(self, x: object, level: int) -> str:
        """Return the text of a value of any kind."""
        try:
            return super().repr1(x, level)
        except Exception:  # noqa: BLE001  whatever a stranger's __repr__ raises
            return f"<{type(x).__name__}>"

    def repr_dict(self, x: dict[object, object], level: int) -> str:
        """Return the first entries of a dict, in its own order."""
        first = islice(x.items(), self.maxdict if level else 0)
        pairs = [f"{self.repr1(k, level - 1)}: {self.repr1(v, level - 1)}" for k, v in first]
        return "{" + ", ".join([*pairs, *(["..."] if len(pairs) < len(x) else [])]) + "}"


_SHORT = _Short()


def shown(value: object) -> str:
    """Return a value as a message names it: quoted if it is text, at most `LONGEST` or so long."""
    return _cut(_SHORT.repr(value), 4 * LONGEST)


def plain(words: object, longest: int = LONGEST_REASON) -> str:
    """Return words without quotes: shortened, control characters and half characters escaped."""
    try:
        text = str(words)
    except Exception:  # noqa: BLE001  whatever a stranger's __str__ raises
        text = f"<{type(words).__name__}>"
    kept = _cut(text, longest)
    return "".join(c if c == "\n" or is_text(c) else ascii(c)[1:-1] for c in kept)


def several(names: Iterable[object], between: str = ", ") -> str:
    """Return the first of many names, each without quotes, and how many more there are."""
    all_ = list(names)
    rest = f" and {len(all_) - MOST} more" if len(all_) > MOST else ""
    return between.join(plain(name, 2 * LONGEST) for name in all_[:MOST]) + rest


def is_text(words: str) -> bool:
    """Whether words can be shown, sent and asked for again: no control or half characters."""
    return words.isprintable() or all(category(c) not in ("Cc", "Cs") for c in words)


def _cut(text: str, longest: int) -> str:
    """Leave out the middle of a long text."""
    half = longest // 2
    return text if len(text) <= longest else f"{text[:half]}...{text[-half:]}"
