"""Host images <-> pixels of the model: how a given image becomes a square, and is one no more."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from .errors import PromptError
from .foreign_text import shown

ImageUse = Literal["edit", "understand"]
Fit = Literal["crop", "pad", "squash"]
PUBLISHED_FIT: dict[ImageUse, Fit] = {"edit": "crop", "understand": "squash"}
LONGEST_SHAPE = 32
MARK, MARK_OPACITY = (255.0, 0.0, 200.0), 0.85  # of the overlay over what is to be edited


@dataclass(frozen=True, slots=True)
class Frame:
    """What a given image was before it became a square: its sides in pixels, and how it did."""

    height: int
    width: int
    fit: Fit


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
    """Resize to a square, whatever the shape was: the published rule for understanding."""
    return picture.resize((size, size), Image.Resampling.BICUBIC)


def cropped(picture: Image.Image, size: int) -> Image.Image:
    """Resize the shorter side to `size` and crop the middle square: published for edits."""
    picture = _without_far_ends(picture)
    width, height = picture.size
    long_side = int(size * max(width, height) / min(width, height))
    resized = (size, long_side) if width <= height else (long_side, size)
    picture = picture.resize(resized, Image.Resampling.BICUBIC)
    left, top = (round((side - size) / 2) for side in resized)
    return picture.crop((left, top, left + size, top + size))


def padded(picture: Image.Image, size: int) -> Image.Image:
    """Resize the longer side to `size`; fill up with the mean colour of the rim, masks with 0."""
    left, top, right, bottom = _inner_box(*picture.size, size)
    small = picture.resize((right - left, bottom - top), Image.Resampling.BICUBIC)
    values = np.asarray(small)
    rim = np.concatenate((values[0], values[-1], values[:, 0], values[:, -1]))
    fill = 0 if picture.mode == "L" else tuple(int(c) for c in rim.mean(axis=0).round())
    sheet = Image.new(picture.mode, (size, size), fill)
    sheet.paste(small, (left, top))
    return sheet


FITS: dict[Fit, Callable[[Image.Image, int], Image.Image]] = {
    "crop": cropped,
    "pad": padded,
    "squash": squashed,
}


def _inner_box(width: int, height: int, size: int) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of a padded picture within its square."""
    longest = max(width, height)
    across, down = (max(1, round(size * side / longest)) for side in (width, height))
    left, top = (size - across) // 2, (size - down) // 2
    return left, top, left + across, top + down


def _without_far_ends(picture: Image.Image) -> Image.Image:
    """Shorten a picture longer than LONGEST_SHAPE times its width, as many pixels at both ends.

    What lies there is cropped away all the same, but resizing it first would take gigabytes.
    """
    longest = LONGEST_SHAPE * min(picture.size)
    left, top = (max(0, (side - longest) // 2) for side in picture.size)
    return picture.crop((left, top, picture.width - left, picture.height - top))


def fit_for(use: ImageUse, fit: Fit | None = None) -> Fit:
    """Return how an image is fitted for a use: as said, or else as published."""
    if use not in list(PUBLISHED_FIT):  # a link may bring what cannot be looked up
        raise PromptError(f"use is {shown(use)}; use one of {', '.join(PUBLISHED_FIT)}.")
    fit = PUBLISHED_FIT[use] if fit is None else fit
    if fit not in list(FITS):
        raise PromptError(f"fit is {shown(fit)}; use one of {', '.join(FITS)}.")
    return fit


def to_pixels(image: Tensor, use: ImageUse, size: int, fit: Fit | None = None) -> Tensor:
    """Turn a host image (B, H, W, C) in [0, 1] into pixels (B, 3, size, size) in [-1, 1]."""
    fitted = FITS[fit_for(use, fit)]
    pictures = [np.asarray(fitted(picture, size)) for picture in to_pil(image)]
    pixels = torch.from_numpy(np.stack(pictures)).float() / 255
    return (pixels.permute(0, 3, 1, 2) - 0.5) / 0.5


def to_image(pixels: Tensor) -> Tensor:
    """Turn pixels (B, 3, H, W), clamped to [-1, 1], into a host image (B, H, W, 3) in [0, 1]."""
    return (pixels.float().clamp(-1, 1) * 0.5 + 0.5).permute(0, 2, 3, 1).contiguous().cpu()


def restored(images: Tensor, frame: Frame) -> Tensor:
    """Give square host images (B, S, S, 3) the size and shape of what they were made of.

    What was cropped away is not there: such an image is the middle square in its own size.
    """
    size = images.shape[1]
    height, width = frame.height, frame.width
    if frame.fit == "crop":
        height = width = min(height, width)
    elif frame.fit == "pad":
        left, top, right, bottom = _inner_box(width, height, size)
        images = images[:, top:bottom, left:right]
    planes = images.permute(0, 3, 1, 2)
    sized = F.interpolate(planes, (height, width), mode="bicubic", antialias=True)
    return sized.clamp(0, 1).permute(0, 2, 3, 1).contiguous()


def to_mask(mask: Tensor, frame: Frame | None, size: int) -> Tensor:
    """Turn a host mask (H, W) or (1, H, W) in [0, 1] into booleans (size, size), true where marked.

    It is fitted as the image was that `frame` tells of; one that is square already is resized.
    Raises PromptError for another shape, and where it marks nothing.
    """
    mask = mask[0] if mask.dim() == 3 and len(mask) == 1 else mask
    if mask.dim() != 2 or 0 in mask.shape:
        raise PromptError(
            f"The mask has shape {tuple(mask.shape)}; expected one mask, (height, width)."
        )
    fit: Fit = "crop" if frame is None or mask.shape[0] == mask.shape[1] else frame.fit
    levels = (mask.detach().float().cpu().nan_to_num(0).clamp(0, 1) * 255).round()
    picture = Image.fromarray(levels.to(torch.uint8).numpy())
    marked = torch.from_numpy(np.array(FITS[fit](picture, size))) > 127
    if not marked.any():
        raise PromptError(
            "The mask marks nothing of the picture: paint over what should change (in the mask "
            "editor of Load Image), or disconnect it."
        )
    return marked


def marked(image: Tensor, mask: Tensor) -> Tensor:
    """Draw a mask (S, S) over a host image (1, S, S, 3): the overlay of a region to be edited."""
    colour = torch.tensor(MARK) / 255
    return torch.where(mask[..., None], image + (colour - image) * MARK_OPACITY, image)
