"""Scenes -> pictures: signed distances, anti-aliased, many at once, on any device.

Knows nothing about language or models. The same scenes give the same pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from enum import IntEnum

import torch
from torch import Tensor
from torch.nn import functional as F

from ming_core.pixels import MARK, MARK_OPACITY

from .scene import ALL_COLOURS, MORE, PALETTE, PLAIN, SHAPES, SIDE, Scene

STROKE = 3.2  # width of an outline in pixels
TIP = 1.05  # how far the tips of stars and diamonds reach, in radii
LIGHTENED = 0.4  # how far a graded background goes towards white (white goes towards grey)
GREY = (120.0, 120.0, 120.0)
PENTAGON = 1.2566371
RGB = [[float(part) for part in rgb] for rgb in (PALETTE | MORE).values()]


class Effect(IntEnum):
    """What is done to a picture after it is drawn."""

    NONE = 0
    BLUR = 1
    SMALL = 2  # drawn at a third of the size and enlarged again
    GREY = 3
    MARK = 4  # the marked thing is covered by a magenta overlay


@dataclass
class SceneTensors:
    """B scenes of at most K things as tensors; a shape of -1 is no thing."""

    shape: Tensor  # (B, K)
    colour: Tensor  # (B, K)
    place: Tensor  # (B, K, 3): x, y, radius
    is_outlined: Tensor  # (B, K)
    background: Tensor  # (B,)
    gradient: Tensor  # (B,)
    effect: Tensor  # (B,)
    marked: Tensor  # (B,)
    tint: Tensor  # (B, K + 1, 3): added to the colours of the things and, last, of the background
    stretch: Tensor  # (B,): how much narrower things are than they would be

    def to(self, device: torch.device) -> SceneTensors:
        """Return the same on a device."""
        return SceneTensors(*(getattr(self, f.name).to(device) for f in fields(self)))


@dataclass
class Rendering:
    """Pictures (B, 3, S, S) in [-1, 1] and what is seen of each thing, (B, K, S, S) in [0, 1]."""

    pixels: Tensor
    coverage: Tensor


def pack(
    scenes: Sequence[Scene],
    effects: Sequence[Effect] | None = None,
    marked: int | Sequence[int] = 0,
) -> SceneTensors:
    """Return scenes as tensors, with an effect per scene and the index of its marked thing."""
    most = max(1, *(len(scene.things) for scene in scenes), 1)
    shape, colour, place, outlined, tint = [], [], [], [], []
    for scene in scenes:
        empty = most - len(scene.things)
        shape.append([SHAPES.index(t.shape) for t in scene.things] + [-1] * empty)
        colour.append([ALL_COLOURS.index(t.colour) for t in scene.things] + [0] * empty)
        place.append([(t.x, t.y, t.radius) for t in scene.things] + [(0.0, 0.0, 1.0)] * empty)
        outlined.append([t.is_outlined for t in scene.things] + [False] * empty)
        tint.append([t.tint for t in scene.things] + [PLAIN] * empty + [scene.tint])
    marks = [marked] * len(scenes) if isinstance(marked, int) else list(marked)
    return SceneTensors(
        torch.tensor(shape),
        torch.tensor(colour),
        torch.tensor(place, dtype=torch.float32),
        torch.tensor(outlined),
        torch.tensor([ALL_COLOURS.index(scene.background) for scene in scenes]),
        torch.tensor([scene.gradient for scene in scenes]),
        torch.tensor([int(e) for e in effects or [Effect.NONE] * len(scenes)]),
        torch.tensor(marks),
        torch.tensor(tint),
        torch.tensor([scene.stretch for scene in scenes]),
    )


def render(scenes: SceneTensors, size: int = SIDE) -> Rendering:
    """Draw scenes as square pictures of `size` pixels a side."""
    scale = size / SIDE
    filled = _distances(scenes, size)
    stroke = STROKE / scenes.place[..., 2][..., None, None]
    outline = torch.maximum(filled, -(filled + stroke))
    inside = torch.where(scenes.is_outlined[..., None, None], outline, filled)
    steepness = scenes.place[..., 2][..., None, None] * scale
    cover = (0.5 - inside * steepness).clamp(0, 1)
    cover = cover * (scenes.shape >= 0)[..., None, None]
    picture = _background(scenes, size)
    palette = torch.tensor(RGB, device=cover.device)
    seen = cover
    for k in range(cover.shape[1]):
        layer = cover[:, k, None]
        colour = (palette[scenes.colour[:, k]] + scenes.tint[:, k])[:, :, None, None]
        picture = picture + (colour - picture) * layer
        hides = torch.cat((1 - layer.expand(-1, k, -1, -1), torch.ones_like(cover[:, k:])), dim=1)
        seen = seen * hides
    rows = torch.arange(len(picture), device=picture.device)
    whole = (0.5 - filled[rows, scenes.marked] * steepness[rows, scenes.marked]).clamp(0, 1)
    picture = _with_effects(picture, whole[:, None], scenes.effect)
    return Rendering(picture / 127.5 - 1, seen)


def silhouettes(scenes: SceneTensors, size: int = SIDE) -> Tensor:
    """Return the full shape of each thing, filled and unhidden: (B, K, S, S) booleans."""
    return (_distances(scenes, size) < 0) & (scenes.shape >= 0)[..., None, None]


def to_bytes(pixels: Tensor) -> Tensor:
    """Turn pixels (B, 3, H, W) in [-1, 1] into pictures (B, H, W, 3) of bytes."""
    values = ((pixels.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return values.permute(0, 2, 3, 1).contiguous().cpu()


def _distances(scenes: SceneTensors, size: int) -> Tensor:
    """Signed distances to every thing's rim in units of its radius: (B, K, S, S)."""
    device = scenes.shape.device
    axis = (torch.arange(size, device=device) + 0.5) * (SIDE / size)
    flat, kinds = scenes.place.flatten(0, 1), scenes.shape.flatten()
    stretch = scenes.stretch[:, None].expand_as(scenes.shape).flatten()
    result = torch.ones(len(kinds), size, size, device=device)
    for kind, name in enumerate(SHAPES):
        chosen = torch.nonzero(kinds == kind)[:, 0]
        if len(chosen):
            x, y, radius = (flat[chosen, i][:, None] for i in range(3))
            across = ((axis[None] - x) / radius * stretch[chosen, None])[:, None, :]
            down = ((axis[None] - y) / radius)[:, :, None]
            result[chosen] = DISTANCES[name](*torch.broadcast_tensors(across, down))
    return result.unflatten(0, scenes.shape.shape)


def _background(scenes: SceneTensors, size: int) -> Tensor:
    """Return plain and graded backgrounds (B, 3, S, S) in 0..255."""
    device = scenes.shape.device
    palette = torch.tensor(RGB, device=device)
    base = palette[scenes.background] + scenes.tint[:, -1]
    grey = torch.tensor(GREY, device=device)
    is_white = (scenes.background == ALL_COLOURS.index("white"))[:, None]
    target = torch.where(is_white, grey, torch.full_like(base, 255.0))
    light = base + (target - base) * LIGHTENED
    ramp = (torch.arange(size, device=device) + 0.5) / size
    across, down = torch.broadcast_tensors(ramp[None, :], ramp[:, None])
    ramps = torch.stack((torch.zeros_like(across), across, down, 1 - across, 1 - down))
    share = ramps[scenes.gradient][:, None]
    return base[..., None, None] + (light - base)[..., None, None] * share


def _with_effects(picture: Tensor, whole: Tensor, effect: Tensor) -> Tensor:
    """Apply each picture's effect; `whole` (B, 1, S, S) is its marked thing, filled."""
    size = picture.shape[-1]
    for kind in Effect:
        rows = torch.nonzero(effect == kind)[:, 0]
        if kind is Effect.NONE or not len(rows):
            continue
        chosen = picture[rows]
        if kind is Effect.BLUR:
            chosen = _blurred(chosen, 2.2 * size / SIDE)
        elif kind is Effect.SMALL:
            small = F.avg_pool2d(chosen, 3)
            chosen = F.interpolate(small, size=(size, size), mode="bilinear")
        elif kind is Effect.GREY:
            luma = torch.tensor((0.299, 0.587, 0.114), device=picture.device)
            chosen = (chosen * luma[:, None, None]).sum(1, keepdim=True).expand_as(chosen)
        else:
            mark = torch.tensor(MARK, device=picture.device)[:, None, None]
            chosen = chosen + (mark - chosen) * whole[rows] * MARK_OPACITY
        picture = picture.index_copy(0, rows, chosen)
    return picture


def _blurred(picture: Tensor, sigma: float) -> Tensor:
    reach = int(3 * sigma + 0.5)
    steps = torch.arange(-reach, reach + 1, device=picture.device, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (steps / sigma) ** 2)
    kernel = (kernel / kernel.sum()).expand(3, 1, 1, -1)
    padded = F.pad(picture, (reach, reach, reach, reach), mode="replicate")
    return F.conv2d(F.conv2d(padded, kernel, groups=3), kernel.mT, groups=3)


def _circle(x: Tensor, y: Tensor) -> Tensor:
    return (x * x + y * y).sqrt() - 1


def _square(x: Tensor, y: Tensor) -> Tensor:
    return torch.maximum(x.abs(), y.abs()) - 0.86


def _diamond(x: Tensor, y: Tensor) -> Tensor:
    return (x.abs() + y.abs() - TIP) * 0.7071


def _triangle(x: Tensor, y: Tensor) -> Tensor:
    # Sides from the apex (0, -1.05) to (1.03, 0.82).
    return torch.maximum(0.876 * x.abs() - 0.4825 * (y + 1.05), y - 0.82)


def _star(x: Tensor, y: Tensor) -> Tensor:
    """Five points: fold the plane onto half of one point, then one straight edge is left."""
    angle = torch.atan2(x, -y)
    folded = (angle - PENTAGON * torch.round(angle / PENTAGON)).abs()
    length = (x * x + y * y).sqrt()
    u, v = length * torch.sin(folded), length * torch.cos(folded)
    # From the tip (0, TIP) to the notch at radius 0.46 and half a pentagon's angle.
    notch_u, notch_v = 0.46 * 0.5878, 0.46 * 0.8090
    du, dv = notch_u, notch_v - TIP
    norm = (du * du + dv * dv) ** 0.5
    return (u * -dv + (v - TIP) * du) / norm


def _cross(x: Tensor, y: Tensor) -> Tensor:
    u, v = x.abs(), y.abs()
    return torch.minimum(torch.maximum(u - 1.0, v - 0.36), torch.maximum(u - 0.36, v - 1.0))


def _heart(x: Tensor, y: Tensor) -> Tensor:
    """A square standing on a corner, with half a circle on each of its upper sides."""
    u, v = x.abs() / 1.72, (0.95 - y) / 1.72  # the tip is the origin, v points up
    circle = ((u - 0.25) ** 2 + (v - 0.75) ** 2).sqrt() - 0.3536
    along = (u + v).clamp(min=0) / 2
    edge = ((u - along) ** 2 + (v - along) ** 2).sqrt()
    notch = (u**2 + (v - 1) ** 2).sqrt()
    below = torch.minimum(edge, notch) * torch.sign(u - v)
    return torch.where(u + v > 1, circle, below) * 1.72


DISTANCES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "circle": _circle,
    "square": _square,
    "triangle": _triangle,
    "star": _star,
    "diamond": _diamond,
    "cross": _cross,
    "heart": _heart,
}
