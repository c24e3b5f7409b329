"""Turns -> token ids: the conversation's layout and the published prompts (SPEC 5 and 6)."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import PromptError
from ..text_tokenizer import Control, TextTokenizer
from .context import Part, Picture, Text, Turn, pictures_in
from .tokenizer import (
    ASSISTANT,
    EOS,
    IMAGE,
    IMAGE_END,
    IMAGE_PATCH,
    USER,
    ConversationTokenizer,
    role_prefix,
)
from .values import Features

DESCRIBE_PROMPT = "Please describe the picture in detail."
GENERATE_PREFIX = "Please generate the corresponding image based on the description. "


def region_prompt(instruction: str) -> str:
    """Ask for the region an edit concerns, drawn before the edit itself."""
    asked = instruction.strip().rstrip(".")
    return f"Given the edit instruction: {asked}, please identify the editing region"


@dataclass(frozen=True, slots=True)
class Exchange:
    """A user turn and the assistant's answer, given as history in words."""

    parts: tuple[Part, ...]
    answer: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """A turn ready to be read: its parts, its token ids, and the pictures the patches stand for.

    carried  a picture of turns left out that is shown in front of the parts
    """

    parts: tuple[Part, ...]
    ids: tuple[int, ...]
    pictures: tuple[Features, ...]
    carried: Picture | None = None


def build_prompt(
    tokenizer: TextTokenizer,
    parts: Sequence[Part],
    history: Sequence[Exchange] = (),
    carried: Picture | None = None,
) -> Prompt:
    """Lay out one user turn, after history in words; every turn ends with the assistant prefix.

    Raises PromptError when the turn says and shows nothing.
    """
    said = [part for part in parts if isinstance(part, Picture) or part.text.strip()]
    if not said:
        raise PromptError("The prompt is empty; write what to draw, change or describe.")
    pieces: list[str | Control] = []
    for exchange in history:
        pieces += [*_user_turn(exchange.parts), exchange.answer, Control(EOS)]
    own = parts if carried is None else (carried, *parts)
    pieces += _user_turn(own)
    shown = [*(part for exchange in history for part in exchange.parts), *own]
    pictures = tuple(part.features for part in pictures_in(shown))
    return Prompt(tuple(parts), tuple(tokenizer.encode(pieces)), pictures, carried)


def reply_ids(tokenizer: ConversationTokenizer, turn: Turn) -> tuple[int, ...]:
    """Return the tokens that were read of an answer, patches included."""
    if turn.reply_ids:
        return turn.reply_ids
    ids: list[int] = []
    for part in turn.reply:
        if isinstance(part, Text):
            ids += tokenizer.encode([part.text])
        else:
            patches = [tokenizer.image_patch] * part.features.values.shape[1]
            ids += [tokenizer.image, *patches, tokenizer.image_end]
    # The last token of an answer is not read back.
    return tuple(ids[: turn.num_reply_tokens])


def _user_turn(parts: Sequence[Part]) -> list[str | Control]:
    pieces = role_prefix(USER)
    for part in parts:
        pieces += [part.text] if isinstance(part, Text) else _picture(part.features)
    return [*pieces, *role_prefix(ASSISTANT)]


def _picture(features: Features) -> list[str | Control]:
    patches = [Control(IMAGE_PATCH)] * features.values.shape[1]
    return [Control(IMAGE), *patches, Control(IMAGE_END), "\n"]
