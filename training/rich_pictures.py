"""Pictures for the tokenizer: crowded, cut off, overlapping, with every effect the tasks need.

Sparse scenes teach a tokenizer little but backgrounds, so these hold one to six things anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ming_shapes.render import RGB, Effect, SceneTensors, render
from ming_shapes.scene import ALL_COLOURS, CENTRES, COLOURS, SHAPES, SIDE, SIZES

from .probes import patch_truth
from .stage import Settings

MOST = 6
CHUNK = 16  # pictures rendered at a time, so that they stay in the processor's cache
FREE = 0.5  # share of pictures whose things lie anywhere
EXACT = 0.5  # share of the others whose things lie on the points of the drawn world
NESTED = 0.2  # share of pictures whose second thing lies on the middle of the first, of any shape
TINTED, TINT = 0.5, 60.0  # share of pictures in other than the named colours, and how far off
EFFECTS = {Effect.BLUR: 0.04, Effect.SMALL: 0.04, Effect.GREY: 0.06, Effect.MARK: 0.08}


def rich_scenes(count: int, generator: torch.Generator) -> SceneTensors:
    """Draw random scenes that hold none of the held-out combinations."""

    def chance(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator)

    def whole(most: int, *shape: int) -> Tensor:
        return torch.randint(most, shape, generator=generator)

    shape = whole(len(SHAPES), count, MOST)
    background = whole(len(ALL_COLOURS), count)
    colour = _allowed(whole(len(ALL_COLOURS), count, MOST), shape, background)
    shape = torch.where(torch.arange(MOST) <= whole(MOST, count, 1), shape, -1)
    sizes = torch.tensor(list(SIZES.values()))
    radius = sizes[whole(len(sizes), count, MOST)] * (0.94 + 0.12 * chance(count, MOST))
    anywhere = chance(count, MOST, 2) * (SIDE + 8) - 4
    spread = 8.0 * (chance(count, 1, 1) >= EXACT)
    centre = torch.tensor(CENTRES)[whole(3, count, MOST, 2)]
    near = centre + (chance(count, MOST, 2) - 0.5) * spread
    place = torch.where(chance(count, 1, 1) < FREE, anywhere, near)
    is_nested = (chance(count) < NESTED) & (shape[:, 1] >= 0)
    place[:, 1] = torch.where(is_nested[:, None], place[:, 0], place[:, 1])
    large_and_small = sizes[[-1, 0]]
    radius[:, :2] = torch.where(is_nested[:, None], large_and_small, radius[:, :2])
    return SceneTensors(
        shape,
        colour,
        torch.cat((place, radius[..., None]), dim=-1),
        (chance(count, MOST) < 0.25) & (radius > 9),
        background,
        torch.where(chance(count) < 0.3, whole(4, count) + 1, 0),
        _effects(chance(count)),
        torch.zeros(count, dtype=torch.long),
        tints(torch.cat((colour, background[:, None]), dim=1), generator),
        torch.ones(count),
    )


def _allowed(colour: Tensor, shape: Tensor, background: Tensor) -> Tensor:
    """Shift colours that are the background's or make a held-out combination."""
    for _ in range(3):
        held_out = (shape * 3 + 1) % len(COLOURS)
        wrong = (colour == background[:, None]) | (colour == held_out)
        colour = torch.where(wrong, (colour + 1) % len(ALL_COLOURS), colour)
    return colour


def tints(named: Tensor, generator: torch.Generator) -> Tensor:
    """Shift named colours (B, C) within what is nearest to their names, so that there are many."""
    rgb = torch.tensor(RGB)
    wide = torch.rand(len(named), 1, 1, generator=generator) < TINTED
    tint = (torch.rand(*named.shape, 3, generator=generator) * 2 - 1) * TINT * wide
    shifted = (rgb[named] + tint).clamp(0, 255)
    is_same = torch.cdist(shifted.flatten(0, 1), rgb).argmin(-1).view_as(named) == named
    return (shifted - rgb[named]) * is_same[..., None]


def _effects(chance: Tensor) -> Tensor:
    result = torch.zeros(len(chance), dtype=torch.long)
    floor = 0.0
    for effect, share in EFFECTS.items():
        result[(chance >= floor) & (chance < floor + share)] = int(effect)
        floor += share
    return result


@dataclass
class Drawn:
    """Pictures (B, 3, S, S) in [-1, 1], where things are (B, 1, S, S), and what is true of them."""

    pixels: Tensor
    cover: Tensor
    truth: dict[str, Tensor]


class PicturePool:
    """Pictures drawn beforehand and kept as bytes; the same seed gives the same pool."""

    def __init__(self, count: int, side: int, settings: Settings) -> None:
        self.side, self.device = side, settings.device
        generator = torch.Generator().manual_seed(settings.seed + side)
        pixels, cover = [], []
        truths: list[dict[str, Tensor]] = []
        for _ in range(0, count, CHUNK):
            scenes = rich_scenes(CHUNK, generator).to(self.device)
            rendering = render(scenes, side * 16)
            pixels.append(((rendering.pixels + 1) * 127.5).round().to(torch.uint8))
            cover.append((rendering.coverage.amax(1, keepdim=True) * 255).to(torch.uint8))
            truths.append(patch_truth(scenes, rendering, side))
        self.pixels, self.cover = torch.cat(pixels), torch.cat(cover)
        self.truth = {name: torch.cat([truth[name] for truth in truths]) for name in truths[0]}

    def __len__(self) -> int:
        return len(self.pixels)

    def take(self, chosen: Tensor) -> Drawn:
        """Return chosen pictures by their numbers (B,)."""
        chosen = chosen.to(self.device)
        truth = {name: values[chosen] for name, values in self.truth.items()}
        return Drawn(self.pixels[chosen] / 127.5 - 1, self.cover[chosen] / 255, truth)
