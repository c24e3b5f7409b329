"""A given picture -> the patches a vision tower reads: Qwen2-VL's way of resizing (section 4)."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..errors import PromptError
from ..pixels import to_pil

PIXELS = 451584  # every picture is scaled, up or down, to about so many
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
MAX_ASPECT = 200
MAX_EXCESS = 8  # a sliver may come out larger than asked for, but not by more than this


@dataclass(frozen=True, slots=True)
class Patches:
    """One picture in patches (rows * columns, channels * times * size * size).

    Merge blocks lie in rows; the patches of a block follow one another.
    """

    values: Tensor
    rows: int
    columns: int


def fitted_size(height: int, width: int, unit: int, pixels: int = PIXELS) -> tuple[int, int]:
    """Return multiples of `unit` near a picture's shape whose product is about `pixels`.

    Rounds half to even, as Python does; enlarging rounds up, so it may exceed `pixels`.
    """
    longer, shorter = max(height, width), min(height, width)
    if shorter >= unit and longer > MAX_ASPECT * shorter:
        raise PromptError(
            f"The picture is {width}x{height}; its longer side must not exceed {MAX_ASPECT} times "
            "the shorter one. Crop it."
        )
    fitted = [round(side / unit) * unit for side in (height, width)]
    scale = math.sqrt(height * width / pixels)
    if fitted[0] * fitted[1] > pixels:
        fitted = [math.floor(side / scale / unit) * unit for side in (height, width)]
    elif fitted[0] * fitted[1] < pixels:
        scale = math.sqrt(pixels / (height * width))
        fitted = [math.ceil(side * scale / unit) * unit for side in (height, width)]
    fitted = [max(unit, side) for side in fitted]
    if fitted[0] * fitted[1] > MAX_EXCESS * pixels:
        raise PromptError(f"The picture is {width}x{height}, a mere sliver. Crop it.")
    return fitted[0], fitted[1]


def to_patches(image: Tensor, size: int, merge: int, times: int, pixels: int = PIXELS) -> Patches:
    """Turn one host image (1, H, W, C) in [0, 1] into patches of `size` pixels.

    merge  patches along a side of a block; times  frames a patch spans, all alike
    """
    pictures = to_pil(image)
    if len(pictures) != 1:
        raise PromptError(
            f"{len(pictures)} pictures were given; this model reads one. Pick one of the batch."
        )
    height, width = fitted_size(image.shape[1], image.shape[2], size * merge, pixels)
    resized = pictures[0].resize((width, height), Image.Resampling.BICUBIC)
    values = torch.from_numpy(np.array(resized)).permute(2, 0, 1).float() / 255
    values = (values - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    rows, columns = height // size, width // size
    blocks = values.reshape(3, rows // merge, merge, size, columns // merge, merge, size)
    # To (block row, block column, row, column, channel, y, x), then the frames before y.
    blocks = blocks.permute(1, 4, 2, 5, 0, 3, 6)[..., None, :, :]
    blocks = blocks.expand(*blocks.shape[:5], times, size, size)
    return Patches(blocks.reshape(rows * columns, -1), rows, columns)
