"""Sizes of pictures: those the model was trained on, and how a request is met by them.

A size is (height, width) in pixels. LITE_UNI section 8 "Size" and section 19, items 1, 7, 8.
"""

from dataclasses import dataclass
from typing import Literal, cast

from torch import Tensor
from torch.nn import functional as F

from ..errors import PromptError
from ..foreign_text import shown

Size = tuple[int, int]
SizeMode = Literal["binned", "exact", "like input"]
SIZE_MODES = ("binned", "exact", "like input")

SAMPLE_SIZES = (16, 32, 64, 128)  # sides of the square latents that transformers are trained on
SMALLEST_UNIT = 32  # pixels, at sample size 16; twice the sample size has twice the unit
# The trained shapes in units, height: widths. Landscape and portrait are not mirrored.
SHAPES = {
    **{8: (32, 29), 9: (28, 27, 26), 10: (25, 24), 11: (23, 22, 21), 12: (21, 20), 13: (19, 18)},
    **{14: (18, 17), 15: (17, 16), 16: (16, 15), 17: (15, 14), 18: (14, 13), 19: (13,)},
    **{20: (12,), 21: (12,), 22: (11,), 23: (11,), 24: (10,), 25: (10,), 27: (9,), 32: (8,)},
}
# What the tables of the two larger sample sizes have beside them.
LONG_SHAPES = ((8, 31), (8, 30), (26, 9), (28, 9), (29, 8), (30, 8), (31, 8))
FIRST_WITH_LONG_SHAPES = 64


@dataclass(frozen=True, slots=True)
class PictureSize:
    """The size a picture is drawn in, and the size it is resized and cropped to."""

    drawn: Size
    final: Size


def trained_sizes(sample_size: int) -> dict[float, Size]:
    """Return the sizes a transformer was trained on by height / width, to two decimals."""
    shapes = [(height, width) for height, widths in SHAPES.items() for width in widths]
    shapes += LONG_SHAPES if sample_size >= FIRST_WITH_LONG_SHAPES else ()
    unit = SMALLEST_UNIT * sample_size // SAMPLE_SIZES[0]
    shapes.sort(key=lambda shape: shape[0] / shape[1])
    return {round(h / w, 2): (h * unit, w * unit) for h, w in shapes}


def nearest_size(request: Size, sample_size: int) -> Size:
    """Return the trained size whose rounded height / width is nearest; the first of a tie."""
    sizes = trained_sizes(sample_size)
    return sizes[min(sizes, key=lambda ratio: abs(ratio - request[0] / request[1]))]


def picture_size(request: Size, mode: str, sample_size: int, pixels_per_latent: int) -> PictureSize:
    """Say how a request is drawn; raises PromptError for sizes that cannot be.

    binned      in the nearest trained size, then resized to cover the request and cropped
    exact       as asked; both sides must be multiples of `pixels_per_latent`
    like input  in the trained size nearest to the shape of a given picture, and left so
    """
    if mode not in SIZE_MODES:
        raise PromptError(f"size mode is {shown(mode)}; use one of {', '.join(SIZE_MODES)}.")
    if min(request) < 1:
        raise PromptError(f"The size {_text(request)} has no pixels; use 1 or more on each side.")
    if mode == "exact":
        unit = pixels_per_latent
        near = (
            max(unit, round(request[0] / unit) * unit),
            max(unit, round(request[1] / unit) * unit),
        )
        if near != request:
            raise PromptError(
                f"The size {_text(request)} cannot be drawn exactly: both sides must be multiples "
                f"of {unit}. Ask for {_text(near)}, or choose the mode 'binned'."
            )
        return PictureSize(request, request)
    nearest = nearest_size(request, sample_size)
    return PictureSize(nearest, request if mode == "binned" else nearest)


def fitted(pixels: Tensor, size: Size) -> Tensor:
    """Resize pixels (B, 3, H, W) to cover a size and crop the middle; raw values, not clamped."""
    drawn = cast("Size", tuple(pixels.shape[2:]))
    if drawn == size:
        return pixels
    scale = max(wanted / side for wanted, side in zip(size, drawn, strict=True))
    # Truncated as published; but where that falls one short of the request, the published crop
    # keeps a strip one pixel thick.
    covering = [max(int(side * scale), wanted) for wanted, side in zip(size, drawn, strict=True)]
    pixels = F.interpolate(pixels, size=covering, mode="bilinear", align_corners=False)
    top, left = ((side - wanted) // 2 for side, wanted in zip(covering, size, strict=True))
    return pixels[..., top : top + size[0], left : left + size[1]]


def _text(size: Size) -> str:
    return f"{size[1]} x {size[0]}"
