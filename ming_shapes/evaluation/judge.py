"""What a program sees in a picture: background, things, their shape, colour, size and place.

Knows nothing about models, prompts or how the picture came about; only the drawn world's
palette and shapes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ming_core.pixels import MARK

from ..render import pack, silhouettes
from ..scene import COLOURS, PALETTE, SHAPES, SIDE, SIZES, Cell, Scene, Thing, cell_of
from .connected_components import filled, grown, labelled, shrunk

FAR = 62.0  # RGB distance from the background from which on a pixel belongs to a thing
LEAST_AREA = 45  # pixels of the smallest thing
RIM = 2  # pixels along the border, nearly all of them background
RIM_WIDTH = 2  # pixels around a thing where its colour may be mixed with the background's
OFF_LINE = 60.0  # RGB distance that a mixed colour may lie off the line between its two colours
BEYOND = 1.3  # share from which on it is no mixture but a colour on the far side: red beyond orange
STRETCHES = (1.0, 1.08, 1.16)  # of templates: where a rim is soft, tips end short of where they are
HOLLOW = 0.5  # a thing whose inner part is less than so much of its own colour is an outline

Array = np.ndarray
PALETTE_RGB = np.array([PALETTE[c] for c in COLOURS], dtype=np.float32)


@dataclass(frozen=True)
class Seen:
    """A thing the judge sees."""

    shape: str
    colour: str
    size: str
    x: float
    y: float
    is_outlined: bool
    fit: float
    mask: Array  # (H, W) booleans, holes filled

    @property
    def cell(self) -> Cell:
        """Row and column of the cell it lies in."""
        return cell_of(self.y), cell_of(self.x)


@dataclass(frozen=True)
class Sight:
    """Everything seen in a picture."""

    background: str
    is_graded: bool
    things: tuple[Seen, ...]


def look(picture: Array) -> Sight:
    """Look at a picture (96, 96, 3) of bytes."""
    pixels = picture.astype(np.float32)
    base, is_graded = _background(pixels)
    is_far = np.sqrt(((pixels - base) ** 2).sum(-1)) > FAR
    things = []
    taken = np.zeros(pixels.shape[:2], dtype=bool)
    for colour, part in _parts(pixels, is_far):
        # A rim of mixed pixels belongs to the thing whose colour is half of them or more, and none
        # of them is a thing of a third colour, however much it looks like it.
        share = _share(pixels, base, PALETTE_RGB[colour])
        own = (part | (grown(part, RIM_WIDTH) & (share >= 0.5))) & ~taken
        core = shrunk(own)
        if own.sum() < LEAST_AREA or core.sum() < max(8, 0.12 * own.sum()):
            continue
        taken |= own | (grown(own, RIM_WIDTH) & (share > 0))
        seen = _thing(own, ~is_far, COLOURS[colour])
        if seen is not None:
            things.append(seen)
    return Sight(_colour_of_background(base), is_graded, tuple(things))


def overlay(picture: Array) -> Array:
    """Return where a picture is covered by the magenta overlay: (H, W) booleans."""
    distance = np.abs(picture.astype(np.float32) - np.array(MARK)).max(-1)
    return distance < 70


def overlap(a: Array, b: Array) -> float:
    """Intersection over union of two masks."""
    union = float((a | b).sum())
    return float((a & b).sum()) / union if union else 1.0


def true_masks(scene: Scene) -> Array:
    """Return where the things of a scene truly are: (K, H, W) booleans."""
    return silhouettes(pack([scene]))[0].numpy()


def _background(pixels: Array) -> tuple[Array, bool]:
    """Fit a plane of colour to the border: the background everywhere (H, W, 3)."""
    size = len(pixels)
    rows, columns = np.mgrid[:size, :size] / (size - 1.0) - 0.5
    is_rim = np.ones((size, size), dtype=bool)
    is_rim[RIM:-RIM, RIM:-RIM] = False
    design = np.stack([np.ones_like(rows), rows, columns], axis=-1)
    chosen = is_rim
    fit = np.zeros((3, 3))
    for _ in range(3):
        fit = np.linalg.lstsq(design[chosen], pixels[chosen], rcond=None)[0]
        residue = np.abs(design @ fit - pixels).max(-1)
        calm = is_rim & (residue < 30)
        chosen = calm if calm.sum() > 100 else is_rim
    slope = np.abs(fit[1:]).sum(-1).max()
    return design @ fit, bool(slope > 90)


def _colour_of_background(base: Array) -> str:
    """Name the colour of a background, which a gradient lightens towards one side."""
    corners = base[[0, 0, -1, -1], [0, -1, 0, -1]]
    gaps = np.sqrt(((corners[:, None] - PALETTE_RGB) ** 2).sum(-1))
    return COLOURS[int(gaps.min(axis=0).argmin())]


def _parts(pixels: Array, is_far: Array) -> list[tuple[int, Array]]:
    """Return what lies together in one colour, with the colour, by what is left without its rim."""
    nearest = _nearest(pixels)
    parts = [
        (colour, part)
        for colour in range(len(COLOURS))
        for part in labelled((nearest == colour) & is_far, LEAST_AREA)
    ]
    return sorted(parts, key=lambda item: -int(shrunk(item[1]).sum()))


def _share(pixels: Array, base: Array, colour: Array) -> Array:
    """Return how much of a colour is mixed with the background in every pixel; 0 if others are."""
    way, from_base = colour - base, pixels - base
    share = (from_base * way).sum(-1) / np.maximum((way**2).sum(-1), 1.0)
    off_line = np.sqrt(((from_base - share[..., None] * way) ** 2).sum(-1))
    return share * (off_line < OFF_LINE) * (share < BEYOND)


def _nearest(pixels: Array) -> Array:
    """Return the palette's nearest colour of every pixel (H, W)."""
    gaps = ((pixels[:, :, None] - PALETTE_RGB) ** 2).sum(-1)
    return gaps.argmin(-1)


def _thing(part: Array, is_ground: Array, colour: str) -> Seen | None:
    """Tell what a connected patch of one colour is; through an outline the ground is seen."""
    mask = filled(part)
    rows, columns = np.nonzero(mask)
    top, bottom, left, right = rows.min(), rows.max() + 1, columns.min(), columns.max() + 1
    if bottom - top < 6 or right - left < 6:
        return None
    scores = {kind: overlap(mask, template) for kind, template in _templates(mask).items()}
    shape, stretch = max(scores, key=lambda kind: scores[kind])
    radius = stretch * _radius(shape, bottom - top, right - left)
    size = min(SIZES, key=lambda name: abs(SIZES[name] - radius))
    inner = shrunk(shrunk(shrunk(mask)))
    # Another thing that lies inside makes it no outline: that is neither its own nor ground.
    own, ground = (part & inner).sum(), (is_ground & ~part & inner).sum()
    solid = own / max(1, own + ground)
    return Seen(
        shape,
        colour,
        size,
        float(left + right) / 2,
        float(top + bottom) / 2,
        bool(solid < HOLLOW),
        scores[shape, stretch],
        mask,
    )


def _extents() -> dict[str, tuple[float, float, float, float]]:
    """Return left, top, right and bottom of each shape of radius 1 about its centre."""
    result = {}
    for shape in SHAPES:
        drawn = Scene("white", (Thing(shape, "red", "large", SIDE / 2, SIDE / 2, 40.0),))
        rows, columns = np.nonzero(true_masks(drawn)[0])
        edges = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
        result[shape] = tuple((edge - SIDE / 2) / 40.0 for edge in edges)
    return result


EXTENTS = _extents()


def _radius(shape: str, height: int, width: int) -> float:
    left, top, right, bottom = EXTENTS[shape]
    return (height / (bottom - top) + width / (right - left)) / 2


def _templates(mask: Array) -> dict[tuple[str, float], Array]:
    """Return each shape drawn about a mask's bounding box, as wide as it and somewhat wider."""
    rows, columns = np.nonzero(mask)
    top, bottom, left, right = rows.min(), rows.max() + 1, columns.min(), columns.max() + 1
    kinds = [(shape, stretch) for shape in SHAPES for stretch in STRETCHES]
    things = []
    for shape, stretch in kinds:
        radius = stretch * _radius(shape, bottom - top, right - left)
        a, b, c, d = EXTENTS[shape]
        x = (left + right) / 2 - radius * (a + c) / 2
        y = (top + bottom) / 2 - radius * (b + d) / 2
        things.append(Thing(shape, "red", "large", float(x), float(y), float(radius)))
    drawn = true_masks(Scene("white", tuple(things)))
    return dict(zip(kinds, drawn, strict=True))


def to_picture(image: torch.Tensor) -> Array:
    """Turn a host image (H, W, 3) in [0, 1] into bytes."""
    return (image.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
