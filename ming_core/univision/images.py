"""Images of people <-> latents and semantic features: what MingTok does without a conversation."""

import torch
from torch import Tensor

from ..errors import PromptError
from ..pixels import Fit, Frame, ImageUse, fit_for, restored, to_image, to_pixels
from ..progress import Progress, ProgressBar
from .model import MingModel
from .values import Features, Latents


@torch.inference_mode()
def encode_image(
    model: MingModel,
    image: Tensor,
    use: ImageUse,
    progress: Progress | ProgressBar | None = None,
    fit: Fit | None = None,
) -> Latents:
    """Encode a host image (B, H, W, C) in [0, 1] to latents (B, N, C') for one of two uses.

    fit  how another shape becomes a square; as published where it is not said
    """
    size = model.edit_size if use == "edit" else model.understand_size
    pixels = to_pixels(image, use, size, fit).to(model.device, model.dtype)
    frame = Frame(image.shape[1], image.shape[2], fit_for(use, fit))
    encoder = model.parts.low_level_encoder
    # The class token is last; the semantic decoder is causal, so the patches do not need it.
    callback = ProgressBar.of(progress, len(encoder.blocks)).update
    latents = encoder.normalised(encoder(pixels, callback).float())[:, :-1]
    return Latents(latents.cpu(), encoder.grid(pixels), model.identity, frame)


@torch.inference_mode()
def expand(
    model: MingModel, latents: Latents, progress: Progress | ProgressBar | None = None
) -> Features:
    """Expand latents (B, N, C) to semantic features (B, N, D)."""
    refuse_foreign(latents, model, model.config.mingtok.latent_size)
    callback = ProgressBar.of(progress, len(model.parts.semantic_decoder.blocks)).update
    features = model.expand(latents.values, callback=callback).cpu()
    return Features(features, latents.grid, model.identity, latents.frame)


@torch.inference_mode()
def decode_pixels(
    model: MingModel, features: Features, progress: Progress | ProgressBar | None = None
) -> Tensor:
    """Paint semantic features as a host image (B, H, W, 3) in [0, 1], in fp32 and as drawn."""
    refuse_foreign(features, model, model.config.mingtok.semantic.width)
    values, decoder = features.values.to(model.device), model.parts.pixel_decoder
    return to_image(
        decoder(values, features.grid, ProgressBar.of(progress, len(decoder.blocks)).update)
    )


def as_given(images: Tensor, features: Features) -> Tensor:
    """Give painted features the size and shape of the picture they are of, or are an edit of.

    Raises PromptError where there was none.
    """
    if features.frame is None:
        raise PromptError(
            "These features were not made from a given picture, so there is no size to go back to. "
            "Choose the size as drawn."
        )
    return restored(images, features.frame)


def paint_speck(model: MingModel) -> None:
    """Paint one visual token, the least there is to paint, to see how long that takes."""
    width = model.config.mingtok.semantic.width
    decode_pixels(model, Features(torch.zeros(1, 1, width), (1, 1)))


def refuse_foreign(values: Latents | Features, model: MingModel, width: int) -> None:
    """Refuse what another model made, as far as it is known or its width tells."""
    what = type(values).__name__.lower()
    if values.values.shape[-1] != width:
        raise PromptError(
            f"The {what} have {values.values.shape[-1]} channels, the connected model has {width}: "
            "another model made them. Make them with this one."
        )
    if values.made_by not in ("", model.identity):
        raise PromptError(
            f"The {what} were made by the model {values.made_by[:12]}; the connected model is "
            f"{model.identity[:12]}. Make them with this one, or connect the model that did."
        )
