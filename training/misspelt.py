"""Slips of the finger: words one letter away from a taught one are read as it.

As a spelling checker does: letters left out, doubled, exchanged, and in long words one wrong or one
too many; never where that makes another word.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

WORDS = (
    "circle square triangle star diamond cross heart red green blue yellow purple orange white "
    "black pink brown grey cyan navy lime teal beige small medium large little background picture "
    "bottom middle centre center corner left right upper lower hollow"
)
SHAPES = ("circle", "square", "triangle", "star", "diamond", "cross", "heart")
OTHERS = (
    "heat hear hart start tsar back lack brow crown squire squared button muddle mettle hallow "
    "follow fellow write lit rights bight grow whit mall lager form ream read reed rose bleu blew "
    "tale tael navvy nay mile lie tea live time lame limed let felt lent can clan pin lover loser"
)
"""Words of the language that are one letter away from one of these, and something else."""
SHORT, LONG = 4, 6  # letters from which on one may be left out, and one may be any other


def misspelt(taught: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Return patterns of misspelt words and the word each is read as."""
    known = {word.lower() for word in taught if word.isascii()} | {*OTHERS.split()}
    for word in WORDS.split():
        yield _pattern(word, known), word
        if word in SHAPES:
            several = word + ("es" if word == "cross" else "s")
            yield _pattern(several, known), several


def _pattern(word: str, known: set[str]) -> str:
    near = range(len(word) - 1, len(word) + 2)
    others = {other for other in known if len(other) in near} - {word}
    slips = [slip for slip in _slips(word) if not any(re.fullmatch(slip, o) for o in others)]
    return rf"(?i)\b(?!{word}\b)(?:{'|'.join(dict.fromkeys(slips))})\b"


def _slips(word: str) -> Iterator[str]:
    inner = range(1, len(word))
    for i in range(len(word) - 1):
        if word[i] != word[i + 1]:
            yield word[:i] + word[i + 1] + word[i] + word[i + 2 :]
    for i in inner:
        yield word[:i] + word[i - 1] + word[i:]
    if len(word) >= SHORT:
        yield from (word[:i] + word[i + 1 :] for i in inner)
    if len(word) >= LONG:
        yield from (f"{word[:i]}[a-z]{word[i + 1 :]}" for i in inner)
        yield from (f"{word[:i]}[a-z]{word[i:]}" for i in inner)
