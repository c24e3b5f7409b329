"""Text <-> token ids, with control tokens kept apart from anything a user can type.

Reads the checkpoint's `tokenizer.json`; no remote code.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from tokenizers import Tokenizer

from .errors import CheckpointError, ForeignError, PromptError
from .foreign_code import guarded
from .foreign_files import is_plain_file
from .foreign_json import read_any_json
from .foreign_text import shown

Self = TypeVar("Self", bound="TextTokenizer")


@dataclass(frozen=True, slots=True)
class Control:
    """A control token, by its text; what is not wrapped in this is plain text."""

    token: str


class TextTokenizer:
    """A byte-level BPE tokenizer whose special ids come from its own file.

    controls   the control tokens that a family's conversations are made with
    additions  those of them that get a number, in this order, where the file lacks them
    """

    controls: ClassVar[tuple[str, ...]] = ()
    additions: ClassVar[tuple[str, ...]] = ()

    def __init__(self, tokenizer: Tokenizer, plain: Tokenizer) -> None:
        self._full = tokenizer
        self._plain = plain
        vocabulary = tokenizer.get_vocab(with_added_tokens=True)
        self.max_id = max(vocabulary.values())
        self.ids = {token: vocabulary[token] for token in self.controls}

    @classmethod
    def load(cls: type[Self], folder: Path) -> Self:
        """Read the tokenizer of a folder; raises CheckpointError naming what is wrong."""
        path = folder / "tokenizer.json"
        with guarded(
            lambda reason: CheckpointError(
                f"{path} cannot be read as a fast tokenizer ({reason}). Download it again."
            ),
            ForeignError,
        ):
            layout = {**cls.layout(folder), "truncation": None, "padding": None}  # of training
            tokenizer = Tokenizer.from_str(json.dumps(layout))
            # A twin without control tokens: whatever a user types, it can only give text.
            plain = Tokenizer.from_str(
                json.dumps({**layout, "added_tokens": [], "post_processor": None})
            )
            tokenizer.add_special_tokens(list(cls.additions))
            missing = [t for t in cls.controls if tokenizer.token_to_id(t) is None]
            if not missing:
                return cls(tokenizer, plain)
        raise CheckpointError(
            f"{path} lacks the special tokens {', '.join(missing)}; it belongs to another "
            "model. Use the tokenizer files published with this one."
        )

    @classmethod
    def layout(cls, folder: Path) -> Any:  # noqa: ANN401  any JSON
        """Return what `tokenizer.json` of a folder holds; raises CheckpointError without one."""
        path = folder / "tokenizer.json"
        if not is_plain_file(path):
            raise CheckpointError(
                f"No tokenizer.json in {folder}. Copy the tokenizer files of the published "
                "checkpoint beside its config.json."
            )
        return read_any_json(path)

    def read(self, text: str) -> str:
        """Return a text as it is read: with the tokenizer's own other words for some of it."""
        with guarded(_unreadable(text)):
            normalizer = self._plain.normalizer
            return text if normalizer is None else normalizer.normalize_str(text)

    def encode(self, pieces: Sequence[str | Control]) -> list[int]:
        """Tokenise a turn: neighbouring texts as one, each control token as its own id."""
        ids: list[int] = []
        text = ""
        for piece in [*pieces, None]:
            if isinstance(piece, str):
                text += piece
                continue
            if text:
                ids += self._encode_text(text)
            text = ""
            if piece is not None:
                ids.append(self.ids[piece.token])
        return ids

    def _encode_text(self, text: str) -> list[int]:
        if not text.isascii():
            _refuse_half_characters(text)
        with guarded(_unreadable(text)):
            ids: list[int] = self._plain.encode(text, add_special_tokens=False).ids
        typed = sorted(set(ids) & set(self.ids.values()))
        if typed:  # only if a vocabulary holds a control token as an ordinary word
            raise PromptError(
                f"The text {shown(text)} would become control tokens {typed}; leave the markup "
                f"{', '.join(self.controls)} out of it."
            )
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ids, control tokens left out."""
        controls = set(self.ids.values())  # a file need not mark all of them as special
        words = [i for i in ids if i not in controls]
        with guarded(
            lambda reason: CheckpointError(
                f"The tokenizer cannot write the tokens {shown(words)} as text ({reason}). "
                "Download the checkpoint's tokenizer.json again."
            )
        ):
            return self._full.decode(words, skip_special_tokens=True)


def _unreadable(text: str) -> Callable[[str], PromptError]:
    """Return what makes an error of a reason why a text cannot be read."""
    return lambda reason: PromptError(
        f"The tokenizer cannot read the text {shown(text)} ({reason}). Word it differently, or "
        "download the checkpoint's tokenizer.json again."
    )


def _refuse_half_characters(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise PromptError(
            f"The text {shown(text)} holds half a character (a lone surrogate); type it again."
        ) from error
