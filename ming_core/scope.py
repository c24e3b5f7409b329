"""What a small checkpoint knows, as a file beside its tokenizer says: so that nobody has to guess.

The published models have no such file: theirs is the world. Ours, of drawn shapes, answers a cat
with a shape on paper, and only this file can tell why.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import CheckpointError, ForeignError
from .foreign_files import is_plain_file
from .foreign_json import read_any_json
from .foreign_text import plain, several, shown

FILE = "scope.json"
MOST_SHOWN = 8  # unknown words in a message
_WORD = re.compile(r"[a-z]+(?:'[a-z]+)?|[\u3400-\u9fff]")


@dataclass(frozen=True, slots=True)
class Scope:
    """What a checkpoint says of itself, and the words that it was taught.

    says   one sentence per language, English first
    words  English words in small letters, and single Chinese signs
    """

    says: tuple[str, ...]
    words: frozenset[str]

    def unknown(self, text: str) -> list[str]:
        """Return the words of a text that were not taught, each once, in its order."""
        return [word for word in dict.fromkeys(words_of(text)) if word not in self.words]

    def remark(self, text: str) -> str | None:
        """Return what to tell whoever wrote a text with unknown words; None where all are known."""
        unknown = self.unknown(text)
        if not unknown:
            return None
        rest = ", ..." if len(unknown) > MOST_SHOWN else ""
        listed = several(unknown[:MOST_SHOWN])
        return f"Not among its words: {listed}{rest}. {' '.join(self.says)}"


def words_of(text: str) -> list[str]:
    """Return the words of a text as `Scope.words` holds them."""
    return _WORD.findall(text.lower())


def read_scope(folder: Path) -> Scope | None:
    """Read the file of a folder, if it has one; raises CheckpointError where it is none."""
    path = folder / FILE
    if not is_plain_file(path):
        return None
    try:
        content = read_any_json(path)
    except ForeignError as error:
        raise CheckpointError(f"{error} Download it again, or remove it.") from error
    held: dict[str, Any] = content if isinstance(content, dict) else {}
    says, words = _texts(held.get("says")), _texts(held.get("words"))
    if says is None or words is None:
        raise CheckpointError(
            f"{path} should hold lists of texts `says` and `words`, but holds {shown(content)}. "
            "Download it again, or remove it."
        )
    return Scope(tuple(plain(text) for text in says[:MOST_SHOWN]), frozenset(words))


def _texts(values: Any) -> list[str] | None:  # noqa: ANN401  any JSON
    """Return a list of texts, or None for anything else."""
    are_texts = isinstance(values, list) and all(isinstance(value, str) for value in values)
    return values if are_texts else None
