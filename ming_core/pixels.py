"""Host images <-> pixels of the model, and the two rules by which a given image is resized."""

from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from .errors import PromptError
from .foreign_text import shown

ImageUse = Literal["edit", "understand"]
LONGEST_SHAPE = 32


def to_pil(image: Tensor) -> list[Image.Image]:
    """Turn a host image (B, H, W, 1, 3 or 4) in [0, 1] into RGB pictures, alpha over white."""
    if image.dim() != 4 or image.shape[-1] not in (1, 3, 4) or 0 in image.shape:
        raise PromptError(
            f"The image has shape {tuple(image.shape)}; expected (batch, height, width, channels) "
            "with 1, 3 or 4 channels and at least one pixel."
        )
    values = image.detach().float().cpu()
    if not torch.isfinite(values).all():
        raise PromptError("The image holds NaN or infinite values; mend it before encoding.")
    colours = values[..., :3].expand(-1, -1, -1, 3)
    if values.shape[-1] == 4:
        alpha = values[..., 3:]
        colours = colours * alpha + (1 - alpha)
    bytes_ = (colours.clamp(0, 1) * 255).round().to(torch.uint8).numpy()
    return [Image.fromarray(picture) for picture in bytes_]


def squashed(picture: Image.Image, size: int) -> Image.Image:
    """Resize to a square, whatever the shape was: the rule for understanding."""
    return picture.resize((size, size), Image.Resampling.BICUBIC)


def cropped(picture: Image.Image, size: int) -> Image.Image:
    """Resize the shorter side to `size` and crop the middle square: the rule for editing."""
    picture = _without_far_ends(picture)
    width, height = picture.size
    long_side = int(size * max(width, height) / min(width, height))
    resized = (size, long_side) if width <= height else (long_side, size)
    picture = picture.resize(resized, Image.Resampling.BICUBIC)
    left, top = (round((side - size) / 2) for side in resized)
    return picture.crop((left, top, left + size, top + size))


def _without_far_ends(picture: Image.Image) -> Image.Image:
    """Shorten a picture longer than LONGEST_SHAPE times its width, as many pixels at both ends.

    What lies there is cropped away all the same, but resizing it first would take gigabytes.
    """
    longest = LONGEST_SHAPE * min(picture.size)
    left, top = (max(0, (side - longest) // 2) for side in picture.size)
    return picture.crop((left, top, picture.width - left, picture.height - top))


def to_pixels(image: Tensor, use: ImageUse, size: int) -> Tensor:
    """Turn a host image (B, H, W, C) in [0, 1] into pixels (B, 3, size, size) in [-1, 1]."""
    rules = {"edit": cropped, "understand": squashed}
    if use not in list(rules):  # a link may bring what cannot be looked up
        raise PromptError(f"use is {shown(use)}; use one of {', '.join(rules)}.")
    pictures = [np.asarray(rules[use](picture, size)) for picture in to_pil(image)]
    pixels = torch.from_numpy(np.stack(pictures)).float() / 255
    return (pixels.permute(0, 3, 1, 2) - 0.5) / 0.5


def to_image(pixels: Tensor) -> Tensor:
    """Turn pixels (B, 3, H, W), clamped to [-1, 1], into a host image (B, H, W, 3) in [0, 1]."""
    return (pixels.float().clamp(-1, 1) * 0.5 + 0.5).permute(0, 2, 3, 1).contiguous().cpu()
