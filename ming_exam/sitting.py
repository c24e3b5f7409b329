"""A model sitting the examination: it draws, answers and edits by the engine, as nodes do."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from PIL import Image

from ming_core import (
    Features,
    ImageSampling,
    LatentContext,
    MingModel,
    TextSampling,
    decode_pixels,
    describe,
    edit,
    encode_image,
    expand,
    generate,
    to_pil,
)
from ming_core.pixels import ImageUse

MOST_TOKENS = 90  # of an answer


@dataclass(frozen=True, slots=True)
class Talk:
    """A conversation so far, with the picture drawn last."""

    context: LatentContext | None = None
    picture: Image.Image | None = None
    text: str = ""


class Sitting:
    """One model and the settings it draws with."""

    def __init__(self, model: MingModel, sampling: ImageSampling) -> None:
        self.model = model
        self.sampling = sampling

    def draw(self, prompt: str, seed: int) -> Talk:
        """Draw a picture from words."""
        reply = generate(self.model, prompt, seeds=[seed], sampling=self.sampling)[0]
        return Talk(reply.context, self._painted(reply.features))

    def ask(self, question: str, talk: Talk, given: Image.Image | None = None) -> Talk:
        """Answer a question about the conversation, or about a picture given with it."""
        features = None if given is None else self._features(given, "understand")
        reply = describe(
            self.model,
            question,
            sampling=TextSampling(MOST_TOKENS),
            context=talk.context,
            features=features,
        )
        return replace(talk, context=reply.context, text=reply.text)

    def edit(
        self, instruction: str, seed: int, talk: Talk, given: Image.Image | None = None
    ) -> Talk:
        """Edit the picture drawn last, or a given one."""
        done = edit(
            self.model,
            instruction,
            seed=seed,
            sampling=self.sampling,
            context=talk.context,
            features=None if given is None else self._features(given, "edit"),
        )
        return Talk(done.context, self._painted(done.features))

    def _features(self, picture: Image.Image, use: ImageUse) -> Features:
        pixels = torch.from_numpy(np.array(picture.convert("RGB"))).float()[None] / 255
        return expand(self.model, encode_image(self.model, pixels, use))

    def _painted(self, features: Features | None) -> Image.Image | None:
        return None if features is None else to_pil(decode_pixels(self.model, features))[0]
