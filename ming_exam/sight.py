"""Reads a picture back: its background, and every thing's shape, colour, middle and size."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from .colours import Colour
from .scene import SHAPES, outline_of

Pixels = npt.NDArray[np.int16]
Mask = npt.NDArray[np.bool_]

SEEN = 96  # pixels of the shorter side that pictures are looked at with
OTHER = 40  # levels of 255 that tell a thing from the background
SAME = 48  # levels that neighbouring pixels of one thing differ by at most
SPECK = 12  # pixels with four neighbours; what has fewer is an edge or dirt
TIPS = 5  # pixels that a tip may be long
TEMPLATE = 48


@dataclass(frozen=True, slots=True)
class Seen:
    """One thing: middle and half extent as parts of the shorter side."""

    shape: str
    colour: Colour
    x: float
    y: float
    radius: float


@dataclass(frozen=True, slots=True)
class View:
    """What a picture shows, the largest thing first."""

    ground: Colour
    things: tuple[Seen, ...]


def look(picture: Image.Image) -> View:
    """Read a picture of any size."""
    shrink = SEEN / min(picture.size)
    size = (round(picture.width * shrink), round(picture.height * shrink))
    pixels = np.asarray(picture.convert("RGB").resize(size, Image.Resampling.BOX), np.int16)
    rim = np.concatenate([pixels[:2].reshape(-1, 3), pixels[-2:].reshape(-1, 3)])
    rim = np.concatenate([rim, pixels[:, :2].reshape(-1, 3), pixels[:, -2:].reshape(-1, 3)])
    ground = np.median(rim, axis=0).astype(np.int16)
    is_thing = np.abs(pixels - ground).max(axis=-1) > OTHER
    parts = [part for part in _regions(pixels, is_thing) if _core(part).sum() >= SPECK]
    free = is_thing & ~np.any(parts, axis=0) if parts else is_thing
    things = [_thing(pixels, _with_tips(part, free)) for part in parts]
    things.sort(key=lambda thing: thing.radius, reverse=True)
    return View(_colour(ground), tuple(things))


def _regions(pixels: Pixels, wanted: Mask) -> list[Mask]:
    """Return the connected parts of `wanted` inside which colour changes softly."""
    numbers = np.where(wanted, np.arange(1, wanted.size + 1).reshape(wanted.shape), 0)
    joins = []
    for axis in (0, 1):
        near = np.abs(np.diff(pixels, axis=axis)).max(axis=-1) <= SAME
        joins.append(near & _ahead(wanted, axis) & _behind(wanted, axis))
    while True:
        before = numbers.copy()
        for axis, join in enumerate(joins):
            larger = np.maximum(_ahead(numbers, axis), _behind(numbers, axis))
            for side in (_ahead(numbers, axis), _behind(numbers, axis)):
                side[join] = np.maximum(side, larger)[join]
        if np.array_equal(before, numbers):
            return [numbers == number for number in np.unique(numbers) if number]


def _ahead(values: npt.NDArray[np.generic], axis: int) -> npt.NDArray[np.generic]:
    return values[1:] if axis == 0 else values[:, 1:]


def _behind(values: npt.NDArray[np.generic], axis: int) -> npt.NDArray[np.generic]:
    return values[:-1] if axis == 0 else values[:, :-1]


def _thing(pixels: Pixels, part: Mask) -> Seen:
    rows, columns = np.flatnonzero(part.any(axis=1)), np.flatnonzero(part.any(axis=0))
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    inner = part & _core(part)
    colour = np.median(pixels[inner if inner.any() else part], axis=0)
    return Seen(
        shape=_shape(part[top:bottom, left:right]),
        colour=_colour(colour),
        x=float(left + right) / 2 / SEEN,
        y=float(top + bottom) / 2 / SEEN,
        radius=float(max(bottom - top, right - left)) / 2 / SEEN,
    )


def _core(part: Mask) -> Mask:
    """Return the pixels whose four neighbours are in as well."""
    wide = np.pad(part, 1)
    return wide[:-2, 1:-1] & wide[2:, 1:-1] & wide[1:-1, :-2] & wide[1:-1, 2:]


def _with_tips(part: Mask, free: Mask) -> Mask:
    """Return a part with its edges and tips, which have colours of their own in a JPEG."""
    for _ in range(TIPS):
        part = part | free & ~_core(np.pad(~part, 1, constant_values=True))[1:-1, 1:-1]
    return part


def _shape(part: Mask) -> str:
    """Return the shape that covers a thing's box most alike."""
    box = Image.fromarray(part.astype(np.uint8) * 255)
    mine = np.asarray(box.resize((TEMPLATE, TEMPLATE), Image.Resampling.BILINEAR)) > 127
    return max(SHAPES, key=lambda shape: _overlap(mine, _template(shape)))


@cache
def _template(shape: str) -> Mask:
    outline = outline_of(shape)
    low = [min(point[axis] for point in outline) for axis in (0, 1)]
    high = [max(point[axis] for point in outline) for axis in (0, 1)]
    scale = [TEMPLATE * 4 / (high[axis] - low[axis]) for axis in (0, 1)]
    picture = Image.new("L", (TEMPLATE * 4, TEMPLATE * 4))
    points = [((x - low[0]) * scale[0], (y - low[1]) * scale[1]) for x, y in outline]
    ImageDraw.Draw(picture).polygon(points, fill=255)
    return np.asarray(picture.resize((TEMPLATE, TEMPLATE), Image.Resampling.BOX)) > 127


def _overlap(one: Mask, other: Mask) -> float:
    return float((one & other).sum() / (one | other).sum())


def _colour(values: npt.NDArray[np.generic]) -> Colour:
    red, green, blue = (round(float(value)) for value in values)
    return red, green, blue
