"""What becomes of pictures before somebody gives them: noise, JPEG, soft edges, small copies."""

from __future__ import annotations

import io
import random
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageFilter
from torch import Tensor

SIDES = (0.26, 0.62)  # of a small copy, as shares of the whole
BLURS = (0.012, 0.036)  # standard deviations, as shares of the side
SOFT = (0.003, 0.008)
RESAMPLED = (Image.Resampling.BICUBIC, Image.Resampling.BILINEAR, Image.Resampling.NEAREST)


@dataclass(frozen=True)
class Wear:
    """How a picture was worn: everything follows from the seed; blurred ones are past reading."""

    seed: int
    is_blurred: bool = False


def worn(pixels: Tensor, wear: Wear | None) -> Tensor:
    """Return a picture (3, S, S) in [-1, 1] as it is after some wear; none leaves it alone."""
    if wear is None:
        return pixels
    rng = random.Random(wear.seed)
    array = ((pixels.clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0)
    picture = Image.fromarray(array.cpu().numpy())
    picture = _blurred(picture, rng) if wear.is_blurred else _softened(picture, rng)
    if rng.random() < 0.5:
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=rng.randint(35, 92))
        picture = Image.open(buffer)
    result = torch.from_numpy(np.array(picture)).permute(2, 0, 1).to(pixels) / 127.5 - 1
    if rng.random() < 0.35:
        generator = torch.Generator().manual_seed(wear.seed)
        noise = torch.randn(result.shape, generator=generator) * rng.uniform(0.01, 0.08)
        result = (result + noise.to(result)).clamp(-1, 1)
    return result


def _softened(picture: Image.Image, rng: random.Random) -> Image.Image:
    """Soften edges a little, or not."""
    if rng.random() < 0.5:
        return picture
    return picture.filter(ImageFilter.GaussianBlur(rng.uniform(*SOFT) * picture.width))


def _blurred(picture: Image.Image, rng: random.Random) -> Image.Image:
    """Blur a picture, or make a small copy of it and enlarge that."""
    if rng.random() < 0.4:
        return picture.filter(ImageFilter.GaussianBlur(rng.uniform(*BLURS) * picture.width))
    side = round(picture.width * rng.uniform(*SIDES))
    small = picture.resize((side, side), rng.choice((Image.Resampling.BOX, RESAMPLED[0])))
    return small.resize(picture.size, rng.choice((RESAMPLED[0], *RESAMPLED)))
