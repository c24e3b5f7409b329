"""Plays conversations to the model by the public engine, as the nodes do."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from ming_core import (
    Features,
    ImageSampling,
    LatentContext,
    MingModel,
    TextSampling,
    decode_pixels,
    describe,
    encode_image,
    expand,
    generate,
    load_model,
    trim,
)
from ming_core.pixels import ImageUse

from ..render import pack, render, to_bytes
from ..tasks import Conversation, Say, Shown
from .judge import Array, to_picture
from .ways import Way

MOST_WORDS = 90


@dataclass
class Played:
    """What came back: per turn words or a picture (96, 96, 3) of bytes."""

    conversation: Conversation
    words: list[str] = field(default_factory=list)
    pictures: list[Array | None] = field(default_factory=list)


class Player:
    """A model and the settings it is asked with."""

    def __init__(self, model: MingModel, sampling: ImageSampling | None = None) -> None:
        self.model = model
        self.sampling = sampling or ImageSampling()

    def play(self, conversation: Conversation, seed: int, way: Way | None = None) -> Played:
        """Play all turns, one after another in one context where no other way is given."""
        way = way or Way()
        played = Played(conversation)
        context: LatentContext | None = None
        last: Features | None = None
        for number, turn in enumerate(conversation.turns):
            features = None
            if turn.given is not None:
                # As in the workflows: what is asked about is given larger than what is edited.
                use: ImageUse = "understand" if isinstance(turn.answer, str) else "edit"
                features = self.features(picture_of(turn.given), use)
            if way.pixels and number and last is not None:
                context, features = None, self.features(way.pixels(self.painted(last)))
            elif context is not None and number % way.every == 0:
                context = trim(self.model, context, way.window)
            context, drawn = self._turn(played, turn, context, features, seed + number)
            last = drawn or features or last
        return played

    def features(self, picture: Array, use: ImageUse = "edit") -> Features:
        """Encode a picture as the nodes Encode Image to Latent and Semantic Expand do."""
        image = torch.from_numpy(np.ascontiguousarray(picture)).float()[None] / 255
        return expand(self.model, encode_image(self.model, image, use))

    def painted(self, features: Features) -> Array:
        """Decode features to a picture of bytes."""
        return to_picture(decode_pixels(self.model, features)[0])

    def _turn(
        self,
        played: Played,
        turn: Say,
        context: LatentContext | None,
        features: Features | None,
        seed: int,
    ) -> tuple[LatentContext, Features | None]:
        """Play one turn; returns the context after it, and what was drawn."""
        model, words = self.model, turn.words
        if isinstance(turn.answer, str):
            sampling = TextSampling(MOST_WORDS)
            reply = describe(model, words, sampling=sampling, context=context, features=features)
            played.words.append(reply.text)
            played.pictures.append(None)
            return reply.context, None
        sampling = self.sampling
        reply = generate(
            model, words, seeds=[seed], sampling=sampling, context=context, features=features
        )[0]
        played.words.append("")
        played.pictures.append(None if reply.features is None else self.painted(reply.features))
        return reply.context, reply.features


def picture_of(shown: Shown) -> Array:
    """Render what is shown as a picture of bytes."""
    rendering = render(pack([shown.scene], [shown.effect], shown.marked))
    return to_bytes(rendering.pixels)[0].numpy()


def player_and_cases(purpose: str | None, cases: int) -> tuple[Player, int]:
    """Read from the command line which checkpoint is measured, and on how many cases."""
    parser = argparse.ArgumentParser(description=purpose)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cases", type=int, default=cases)
    args = parser.parse_args()
    return Player(load_model(args.folder)), args.cases
