"""What a picture shows: things of any place and size on one colour, and how Pillow draws them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from io import BytesIO
from random import Random

from PIL import Image, ImageDraw

from .colours import COMMON, Colour, some_colour

SHAPES: tuple[str, ...] = ("circle", "square", "triangle", "star", "diamond", "cross", "heart")
FINER = 4  # drawn so many times larger, then shrunk
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Thing:
    """A shape with its middle (x, y) and half its extent, as parts of the shorter side."""

    shape: str
    name: str
    colour: Colour
    x: float
    y: float
    radius: float


@dataclass(frozen=True, slots=True)
class Scene:
    """Things on a background; y grows downwards, x runs to width / height of the picture."""

    ground: str
    colour: Colour
    things: tuple[Thing, ...]
    aspect: float = 1.0


def some_scene(random: Random, count: int, *, aspect: float = 1.0) -> Scene:
    """Return a scene of things of different shape and colour that do not touch."""
    names = random.sample(COMMON, count + 1)
    shapes = random.sample(SHAPES, count)
    things: list[Thing] = []
    for name, shape in zip(names[1:], shapes, strict=True):
        things.append(_apart(random, things, (name, shape), aspect))
    return Scene(names[0], some_colour(names[0], random), tuple(things), aspect)


def _apart(random: Random, others: list[Thing], kind: tuple[str, str], aspect: float) -> Thing:
    """Return a thing at a free place; the smaller, the longer the search for one."""
    name, shape = kind
    for attempt in range(10_000):
        radius = random.uniform(0.11, 0.19) * 0.9 ** (attempt // 200)
        x = random.uniform(radius + 0.03, max(1.0, aspect) - radius - 0.03)
        y = random.uniform(radius + 0.03, max(1.0, 1 / aspect) - radius - 0.03)
        if all(math.dist((x, y), (o.x, o.y)) > 1.5 * (radius + o.radius) for o in others):
            return Thing(shape, name, some_colour(name, random), x, y, radius)
    raise AssertionError("there is always room for a thing that is small enough")


def draw(scene: Scene, shorter: int = 96) -> Image.Image:
    """Draw a scene with soft edges; `shorter` is its shorter side in pixels."""
    unit = shorter * FINER
    width, height = round(unit * max(1, scene.aspect)), round(unit * max(1, 1 / scene.aspect))
    picture = Image.new("RGB", (width, height), scene.colour)
    pen = ImageDraw.Draw(picture)
    for thing in scene.things:
        outline = [
            ((thing.x + thing.radius * x) * unit, (thing.y + thing.radius * y) * unit)
            for x, y in outline_of(thing.shape)
        ]
        pen.polygon(outline, fill=thing.colour)
    return picture.resize((round(width / FINER), round(height / FINER)), Image.Resampling.BOX)


def as_jpeg(picture: Image.Image, quality: int) -> Image.Image:
    """Return a picture as it comes back from a JPEG file."""
    file = BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return Image.open(BytesIO(file.getvalue())).convert("RGB")


def outline_of(shape: str) -> list[Point]:
    """Return the outline of a shape inside the square from -1 to 1."""
    if shape == "square":
        return [(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)]
    if shape == "triangle":
        return [(0, -0.95), (1, 0.85), (-1, 0.85)]
    if shape == "diamond":
        return [(0, -1), (0.85, 0), (0, 1), (-0.85, 0)]
    if shape == "cross":
        arm = 0.34
        quarter = [(arm, -1), (arm, -arm), (1, -arm)]
        turns = [quarter, [(-y, x) for x, y in quarter]]
        turns += [[(-x, -y) for x, y in corner] for corner in turns]
        return [point for corner in turns for point in corner]
    if shape == "star":
        radii = (1.0, 0.42)
        return [_polar(radii[i % 2], i * math.pi / 5 - math.pi / 2) for i in range(10)]
    if shape == "heart":
        return [_heart(i * math.tau / 60) for i in range(60)]
    return [_polar(1.0, i * math.tau / 60) for i in range(60)]


def _polar(radius: float, angle: float) -> Point:
    return radius * math.cos(angle), radius * math.sin(angle)


def _heart(angle: float) -> Point:
    """Return a point of the heart curve of sines and cosines, 32 wide and 29 high by itself."""
    x = 16 * math.sin(angle) ** 3
    y = sum(f * math.cos(n * angle) for n, f in ((1, 13), (2, -5), (3, -2), (4, -1)))
    return x / 16, -(y + 2.5) / 14.5
