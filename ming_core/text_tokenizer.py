"""Text <-> token ids, with control tokens kept apart from anything a user can type.

Reads the checkpoint's `tokenizer.json`; no remote code.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from tokenizers import Tokenizer

from .errors import CheckpointError, PromptError

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
        """Read `tokenizer.json` of a folder; raises CheckpointError naming what is wrong."""
        path = folder / "tokenizer.json"
        if not path.is_file():
            raise CheckpointError(
                f"No tokenizer.json in {folder}. Copy the tokenizer files of the published "
                "checkpoint beside its config.json."
            )
        try:
            layout: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            layout |= {"truncation": None, "padding": None}  # of training, not of prompts
            tokenizer = Tokenizer.from_str(json.dumps(layout))
            # A twin without control tokens: whatever a user types, it can only give text.
            plain = Tokenizer.from_str(
                json.dumps({**layout, "added_tokens": [], "post_processor": None})
            )
        except Exception as error:  # noqa: BLE001  the tokenizers package raises bare Exceptions
            raise CheckpointError(
                f"{path} cannot be read as a fast tokenizer ({error}). Download it again."
            ) from error
        tokenizer.add_special_tokens(list(cls.additions))
        missing = [t for t in cls.controls if tokenizer.token_to_id(t) is None]
        if missing:
            raise CheckpointError(
                f"{path} lacks the special tokens {', '.join(missing)}; it belongs to another "
                "model. Use the tokenizer files published with this one."
            )
        return cls(tokenizer, plain)

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
        try:
            ids: list[int] = self._plain.encode(text, add_special_tokens=False).ids
        except TypeError as error:
            raise PromptError(
                f"The text {text!r} holds half a character (a lone surrogate); type it again."
            ) from error
        typed = sorted(set(ids) & set(self.ids.values()))
        if typed:  # only if a vocabulary holds a control token as an ordinary word
            raise PromptError(
                f"The text {text!r} would become control tokens {typed}; leave the markup "
                f"{', '.join(self.controls)} out of it."
            )
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ids, control tokens left out."""
        controls = set(self.ids.values())  # a file need not mark all of them as special
        return self._full.decode([i for i in ids if i not in controls], skip_special_tokens=True)
