"""What the language model reads: templates, picture slots, queries, and where each token stands.

Sections 3 and 6. Knows nothing about tensors of the model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import PromptError
from ..foreign_files import is_plain_file
from ..text_tokenizer import Control, TextTokenizer
from .tokenizer_files import is_older_form, older_layout

END_OF_TEXT, TURN, TURN_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
TEMPLATE = (END_OF_TEXT, TURN, TURN_END)
IMAGE, PATCH, IMAGE_END = "<image>", "<imagePatch>", "</image>"
# Added in this order to a tokenizer that lacks them; their numbers follow from it.
MARKUP = (
    *("[item]", "<html>", "</html>", "<body>", "</body>", "<table>", "</table>", "<tr>", "</tr>"),
    *("<td>", "</td>", "<think>", "</think>", "<answer>", "</answer>"),
)
MEDIA = (
    *(PATCH, IMAGE, IMAGE_END, "<video>", "</video>", "<gen_imagePatch>", "<gen_image>"),
    *("</gen_image>", "<imageHere>", "<end_of_chunk>", "<end_of_audio>", "<audioPatch>", "<audio>"),
    *("</audio>", "<gen_audioPatch>", "<gen_audio>", "</gen_audio>", "<audioHere>", "<framePatch>"),
)

SYSTEM = (Control(TURN), "system\nYou are a helpful assistant.")
USER = (Control(TURN_END), "\n", Control(TURN), "user\n")
ASSISTANT = (Control(TURN_END), "\n", Control(TURN), "assistant\n")
BEFORE_QUESTION = "\n "  # between a picture and what is asked about it


@dataclass(frozen=True, slots=True)
class Prompt:
    """Token ids (S), their positions (3, S) in time, row and column, and what is no text.

    image    slots of a given picture; queries  slots of each scale's queries, by its side
    """

    ids: tuple[int, ...]
    positions: Tensor
    image: slice | None
    queries: Mapping[int, slice]

    def following(self, index: int) -> Tensor:
        """Return the position (3, 1) of a token written after the prompt, counted from 0."""
        return (self.positions.max() + 1 + index).expand(3, 1)


class LiteTokenizer(TextTokenizer):
    """The Qwen2 tokenizer with the published additions."""

    controls = (*TEMPLATE, *MARKUP, *MEDIA)
    additions = (*MARKUP, *MEDIA)

    @classmethod
    def layout(cls, folder: Path) -> Any:  # noqa: ANN401  any JSON
        """Return what `tokenizer.json` holds, made of the two older files where it is missing."""
        if not is_plain_file(folder / "tokenizer.json") and is_older_form(folder):
            return older_layout(folder)
        return super().layout(folder)

    @property
    def stops(self) -> frozenset[int]:
        """The tokens that end an answer."""
        return frozenset((self.ids[TURN_END], self.ids[END_OF_TEXT]))


class _Writer:
    """Appends to a prompt, counting positions."""

    def __init__(self, tokenizer: LiteTokenizer) -> None:
        self._tokenizer = tokenizer
        self._next = 0
        self._positions: list[Tensor] = []
        self.ids: list[int] = []

    @property
    def positions(self) -> Tensor:
        """Of everything so far (3, S)."""
        return torch.cat(self._positions, dim=1)

    def text(self, *pieces: str | Control) -> None:
        """Append words, whose positions advance on all axes alike."""
        ids = self._tokenizer.encode(pieces)
        self._positions.append(self._next + torch.arange(len(ids)).expand(3, -1))
        self._next += len(ids)
        self.ids += ids

    def picture(self, rows: int, columns: int) -> slice:
        """Append a grid of slots between its marks; returns the slots.

        All slots share a time, and the next token stands behind the longer side.
        """
        self.text(Control(IMAGE))
        start = len(self.ids)
        self.ids += [self._tokenizer.ids[PATCH]] * (rows * columns)
        places = torch.cartesian_prod(*(torch.arange(size) for size in (1, rows, columns)))
        self._positions.append(self._next + places.T)
        self._next += max(rows, columns)
        self.text(Control(IMAGE_END))
        return slice(start, start + rows * columns)


def conversation(
    tokenizer: LiteTokenizer,
    question: str,
    grid: tuple[int, int] | None = None,
    history: Sequence[tuple[str, str]] = (),
    scales: Sequence[int] = (),
) -> Prompt:
    """Put a question into words, after earlier ones and their answers.

    grid    merged rows and columns of a picture, which belongs to the first question
    scales  of the queries to be answered; without them an answer in words follows
    """
    writer, image = _Writer(tokenizer), None
    writer.text(*SYSTEM)
    for index, (asked, answer) in enumerate((*history, (question, None))):
        writer.text(*USER)
        if grid is not None and index == 0:
            image = writer.picture(*grid)
            asked = BEFORE_QUESTION + asked.rstrip() if asked.strip() else ""
        writer.text(asked)
        writer.text(*ASSISTANT)
        if answer is not None:
            writer.text(answer)
    queries = {scale: writer.picture(1, scale * scale) for scale in scales}
    return Prompt(tuple(writer.ids), writer.positions, image, queries)


def refuse_too_long(prompt: Prompt, max_tokens: int, to_write: int = 0) -> None:
    """Refuse a prompt that, with what is to be written, the model has no positions for."""
    if len(prompt.ids) + to_write > max_tokens:
        raise PromptError(
            f"The prompt has {len(prompt.ids)} tokens and {to_write} are to be written; the model "
            f"reads {max_tokens}. Shorten the prompt."
        )
