"""Scenes as plain values: what is in a picture is known before it is drawn."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace

SHAPES = ("circle", "square", "triangle", "star", "diamond", "cross", "heart")
PALETTE: dict[str, tuple[int, int, int]] = {
    "red": (215, 40, 40),
    "green": (40, 160, 60),
    "blue": (40, 80, 220),
    "yellow": (240, 210, 50),
    "purple": (140, 60, 170),
    "orange": (245, 135, 30),
    "white": (248, 248, 248),
    "black": (20, 20, 20),
}
COLOURS = tuple(PALETTE)
# Seen in training alone. With the eight colours only, each of which is never seen on one shape, a
# model learns that "blue" means "no star"; with many, that a colour says nothing of the shape.
MORE: dict[str, tuple[int, int, int]] = {
    "pink": (250, 165, 195),
    "brown": (125, 75, 40),
    "grey": (128, 128, 128),
    "cyan": (80, 210, 230),
    "navy": (20, 30, 105),
    "lime": (165, 225, 80),
    "teal": (20, 125, 130),
    "beige": (230, 210, 170),
}
ALL_COLOURS = (*PALETTE, *MORE)
# A word of size is one radius and a place is one point: what is said of a scene is all there is of
# it, so that a picture asked for in full has one right answer. A place is four of the model's
# patches and a thing stays within them, so that it is the same four anywhere (decision 0021).
# The edges of squares lie between pixels: half-covered rims of two colours look like a third.
SIZES = {"small": 8.2, "medium": 11.7, "large": 15.1}
SIDE = 96  # pixels of a picture; all lengths of this module are in them
SLIM = ("star", "cross")  # shapes with too little inside to be hollow
CENTRES = (16.0, 48.0, 80.0)  # of the three rows and columns of cells
GAP = 4.0  # pixels at least between two things
Cell = tuple[int, int]  # row, column
Tint = tuple[float, float, float]  # added to the red, green and blue of a named colour
PLAIN: Tint = (0.0, 0.0, 0.0)
CELLS: tuple[Cell, ...] = tuple((row, column) for row in range(3) for column in range(3))


@dataclass(frozen=True)
class Thing:
    """One object: its kind, and its centre and radius in pixels."""

    shape: str
    colour: str
    size: str
    x: float
    y: float
    radius: float
    is_outlined: bool = False
    tint: Tint = field(default=PLAIN, repr=False)  # what is drawn has the colour itself

    @property
    def cell(self) -> Cell:
        """Row and column of the cell the centre lies in."""
        return cell_of(self.y), cell_of(self.x)


@dataclass(frozen=True)
class Scene:
    """A background and up to four things, later ones in front."""

    background: str
    things: tuple[Thing, ...] = ()
    gradient: int = 0  # 0 plain; 1..4 lighter towards the right, bottom, left, top
    tint: Tint = field(default=PLAIN, repr=False)
    stretch: float = field(default=1.0, repr=False)  # how much wider it was before it was squashed

    def with_thing(self, index: int, thing: Thing) -> Scene:
        """Return the scene with one thing exchanged."""
        return replace(self, things=(*self.things[:index], thing, *self.things[index + 1 :]))

    def without(self, index: int) -> Scene:
        """Return the scene with one thing left out."""
        return replace(self, things=self.things[:index] + self.things[index + 1 :])


def cell_of(position: float) -> int:
    """Return the row or column a coordinate lies in."""
    return min(range(3), key=lambda index: abs(CENTRES[index] - position))


def is_held_out(shape: str, colour: str) -> bool:
    """Tell whether training never shows this combination of shape and colour.

    One colour of eight per shape, each a different one: 7 of 56 combinations.
    """
    return colour == COLOURS[(SHAPES.index(shape) * 3 + 1) % len(COLOURS)]


def can_be_hollow(thing: Thing) -> bool:
    """Tell whether an outline leaves anything of the inside open."""
    return thing.size != "small" and thing.shape not in SLIM


@dataclass(frozen=True)
class SceneStyle:
    """What kind of scenes are drawn: shares of outlines and of graded backgrounds, which
    combinations of shape and colour (`training`: all but the held-out ones; `held_out`: those
    alone wherever possible; `all`), and of which colours."""

    outlined: float = 0.15
    graded: float = 0.15
    combinations: str = "training"
    colours: tuple[str, ...] = COLOURS

    def allows(self, shape: str, colour: str) -> bool:
        """Tell whether this combination may come to be, by an edit too."""
        return self.combinations != "training" or not is_held_out(shape, colour)


class SceneMaker:
    """Draws scenes from one stream of random numbers."""

    def __init__(self, rng: random.Random, style: SceneStyle | None = None) -> None:
        self.rng = rng
        self.style = style or SceneStyle()

    def scene(self, num_things: int) -> Scene:
        """Return a scene of so many things that do not touch one another."""
        rng = self.rng
        background = rng.choice(self.style.colours)
        gradient = rng.randint(1, 4) if rng.random() < self.style.graded else 0
        scene = Scene(background, (), gradient)
        while len(scene.things) < num_things:
            thing = self.fitting(scene)
            # A crowded start may leave no room: begin again.
            scene = Scene(background, (), gradient) if thing is None else grown(scene, thing)
        return scene

    def fitting(self, scene: Scene, tries: int = 30) -> Thing | None:
        """Return a thing that fits into a scene beside the others, or None."""
        for _ in range(tries):
            thing = self.thing(scene.background)
            if all(is_apart(thing, other) for other in scene.things):
                return thing
        return None

    def thing(self, background: str, cell: Cell | None = None) -> Thing:
        """Return a thing anywhere, or in a cell, of another colour than the background."""
        rng = self.rng
        shape, colour = self.kind(background)
        size = rng.choice(tuple(SIZES))
        thing = Thing(shape, colour, size, 0, 0, 0)
        is_outlined = can_be_hollow(thing) and rng.random() < self.style.outlined
        thing = replace(thing, is_outlined=is_outlined)
        return placed(replace(thing, radius=SIZES[size]), cell or rng.choice(CELLS))

    def kind(self, background: str) -> tuple[str, str]:
        """Return a shape and a colour as the style allows."""
        wanted = self.style.combinations
        while True:
            shape, colour = self.rng.choice(SHAPES), self.rng.choice(self.style.colours)
            is_rare = is_held_out(shape, colour)
            if colour != background and (wanted == "all" or is_rare == (wanted == "held_out")):
                return shape, colour


def placed(thing: Thing, cell: Cell) -> Thing:
    """Return the thing in a cell."""
    return replace(thing, y=CENTRES[cell[0]], x=CENTRES[cell[1]])


def grown(scene: Scene, thing: Thing) -> Scene:
    """Return the scene with one thing more."""
    return replace(scene, things=(*scene.things, thing))


def is_apart(a: Thing, b: Thing) -> bool:
    """Tell whether two things have some pixels between them."""
    distance = ((a.x - b.x) ** 2 + (a.y - b.y) ** 2) ** 0.5
    return distance > a.radius + b.radius + GAP
