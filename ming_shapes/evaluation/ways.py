"""Ways a conversation can go on: in one latent context, in windows of it, or through pixels."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from io import BytesIO

import numpy as np
from PIL import Image

from ming_core import ALL, Window

from ..questions import any_question
from ..tasks import Conversation, Say, Shown, TaskSampler
from .judge import Array

JPEG_QUALITY = 85
Travel = Callable[[Array], Array]


def as_png(picture: Array) -> Array:
    """A picture that travels without loss."""
    return picture


def as_jpeg(picture: Array) -> Array:
    """A picture that was saved as a JPEG."""
    file = BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=JPEG_QUALITY)
    return np.array(Image.open(file).convert("RGB"))


def at_half_size(picture: Array) -> Array:
    """A picture that was made half as large, and large again."""
    image = Image.fromarray(picture)
    small = image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS)
    return np.array(small.resize(image.size, Image.Resampling.LANCZOS))


@dataclass(frozen=True)
class Way:
    """How each turn hands the conversation on to the next.

    window  what the next turn remembers, applied at every `every`-th turn
    pixels  how the picture travels to a fresh context instead; None: it does not
    asks    whether a question comes between the turns
    """

    window: Window = ALL
    every: int = 1
    pixels: Travel | None = None
    asks: bool = False


WAYS = {
    "one growing context": Way(),
    "last turn": Way(Window(1, questions=False)),
    "last 2 turns": Way(Window(2, questions=False)),
    "last 3 turns": Way(Window(3, questions=False)),
    "picture only": Way(Window(0)),
    "picture only, every third turn": Way(Window(0), every=3),
    "pixels": Way(pixels=as_png),
    "pixels as JPEG": Way(pixels=as_jpeg),
    "pixels at half size": Way(pixels=at_half_size),
    "one growing context, with questions": Way(asks=True),
    "last turn and its questions": Way(Window(2), asks=True),
    "last turn, questions left out": Way(Window(1, questions=False), asks=True),
}


def with_questions(conversation: Conversation, sampler: TaskSampler) -> Conversation:
    """Return a conversation with a question behind every turn but the last that drew something."""
    turns: list[Say] = []
    for number, turn in enumerate(conversation.turns, 1):
        turns.append(turn)
        is_last = number == len(conversation.turns)
        if isinstance(turn.answer, Shown) and turn.answer.scene.things and not is_last:
            asked = any_question(sampler.phrasing, turn.answer.scene, sampler.style)
            turns.append(Say(asked.words, asked.answer, None, asked.kind, meant=asked.meant))
    return replace(conversation, turns=tuple(turns))


def played_by(way: Way, conversation: Conversation, number: int) -> Conversation:
    """Return what is played: the conversation, with questions where the way asks them."""
    if not way.asks:
        return conversation
    rng = random.Random(f"{number} questions")
    return with_questions(conversation, TaskSampler(rng, chinese=0.0))
