"""Questions about given pictures in people's own words, and what a right answer says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from .answers import (
    ACROSS,
    COLOURS,
    DOWN,
    NUMBERS,
    SHAPES,
    YES,
    ground_said,
    is_chinese,
    said,
    things_said,
)
from .prompts import ZH_COLOURS, ZH_SHAPES, an
from .scene import Scene, Thing


@dataclass(frozen=True, slots=True)
class Answer:
    """What an answer must say, of one kind, and in which language."""

    kind: str
    right: tuple[str, ...]
    in_chinese: bool = False

    def is_given(self, text: str) -> bool:
        """Tell whether a text is this answer, in the question's language, and nothing else."""
        return bool(text.strip()) and is_chinese(text) == self.in_chinese and self._says(text)

    def _says(self, text: str) -> bool:
        if self.kind == "colour":
            return set(said(text, COLOURS)) == set(self.right)
        if self.kind == "shape":
            return set(said(text, SHAPES)) == set(self.right)
        if self.kind == "place":
            return {*said(text, ACROSS), *said(text, DOWN)} == set(self.right)
        kinds = {"number": NUMBERS, "yes": YES}
        return said(text, kinds[self.kind])[-1:] == list(
            self.right
        )  # what it says first, it counts


@dataclass(frozen=True, slots=True)
class Whole:
    """A description that names the background and each thing, and no other."""

    ground: str
    things: tuple[tuple[str, str], ...]

    def is_given(self, text: str) -> bool:
        """Tell whether a text describes all of it."""
        named = [(colour, shape) for colour, shape in things_said(text)]
        return ground_said(text) == self.ground and sorted(set(named)) == sorted(self.things)


Question = tuple[str, Answer]
Maker = Callable[[Random, Scene], Question]


def whole(scene: Scene) -> Whole:
    """Return what a description of a scene must say."""
    return Whole(scene.ground, tuple((thing.name, thing.shape) for thing in scene.things))


def colour(random: Random, scene: Scene) -> Question:
    """Ask for a thing's colour."""
    thing = random.choice(scene.things)
    if random.random() < 0.25:
        shape = ZH_SHAPES[thing.shape]
        words = random.choice((f"{shape}是什么颜色？", f"告诉我{shape}的颜色"))
        return words, Answer("colour", (thing.name,), in_chinese=True)
    words = random.choice(
        (
            f"What colour is the {thing.shape}?",
            f"Tell me the color of the {thing.shape}.",
            f"the {thing.shape} - which colour does it have?",
            f"Which color would you call that {thing.shape}?",
            f"Name the colour of the {thing.shape}",
        )
    )
    return words, Answer("colour", (thing.name,))


def ground(random: Random, scene: Scene) -> Question:
    """Ask for the background's colour."""
    if random.random() < 0.25:
        return random.choice(("背景是什么颜色？", "底色是什么？")), Answer(
            "colour", (scene.ground,), in_chinese=True
        )
    words = random.choice(
        (
            "What colour is the background?",
            "Tell me what color the background has.",
            "What is the backdrop's colour?",
            "Behind everything, which colour do you see?",
            "background colour?",
        )
    )
    return words, Answer("colour", (scene.ground,))


def number(random: Random, scene: Scene) -> Question:
    """Ask how many things there are."""
    right = (str(len(scene.things)),)
    if random.random() < 0.25:
        words = random.choice(("图里有几个东西？", "一共有多少个图形？"))
        return words, Answer("number", right, in_chinese=True)
    words = random.choice(
        (
            "How many things are in the picture?",
            "Count the shapes, please.",
            "What's the number of objects here?",
            "Tell me how many shapes you can see.",
        )
    )
    return words, Answer("number", right)


def presence(random: Random, scene: Scene) -> Question:
    """Ask whether there is a thing."""
    thing = random.choice(scene.things)
    others = sorted({*SHAPES} - {each.shape for each in scene.things})
    shape, right = (thing.shape, "yes") if random.random() < 0.5 else (random.choice(others), "no")
    if random.random() < 0.25:
        return f"图里有没有{ZH_SHAPES[shape]}？", Answer("yes", (right,), in_chinese=True)
    words = random.choice(
        (
            f"Is there {an(shape)} in the picture?",
            f"Can you see {an(shape)} anywhere?",
            f"Do you spot {an(shape)}?",
            f"Does this image contain {an(shape)}?",
        )
    )
    return words, Answer("yes", (right,))


def shape(random: Random, scene: Scene) -> Question:
    """Ask which shape has a colour."""
    thing = random.choice(scene.things)
    if random.random() < 0.25:
        words = f"{ZH_COLOURS[thing.name]}的是什么形状？"
        return words, Answer("shape", (thing.shape,), in_chinese=True)
    words = random.choice(
        (
            f"What shape is the {thing.name} thing?",
            f"Tell me which shape is {thing.name}.",
            f"The {thing.name} object, what is it?",
            f"Which figure is {thing.name}?",
        )
    )
    return words, Answer("shape", (thing.shape,))


def place(random: Random, scene: Scene) -> Question:
    """Ask where a thing lies that lies clearly in one half."""
    thing = random.choice(scene.things)
    right = _halves(thing)
    if not right:
        return shape(random, scene)
    words = random.choice(
        (
            f"Where is the {thing.shape}?",
            f"Whereabouts in the picture do you find the {thing.shape}?",
            f"Tell me the position of the {thing.shape}.",
            f"In which part of the image is the {thing.shape}?",
        )
    )
    return words, Answer("place", right)


def _halves(thing: Thing) -> tuple[str, ...]:
    """Return the sides a thing clearly lies at, or nothing where that is open."""
    sides: list[str] = []
    for at, names in ((thing.x, ("left", "right")), (thing.y, ("top", "bottom"))):
        if at < 0.3:
            sides.append(names[0])
        elif at > 0.7:
            sides.append(names[1])
        elif abs(at - 0.5) > 0.08:
            return ()
    return tuple(sides)


KINDS: dict[str, Maker] = {
    maker.__name__: maker for maker in (colour, ground, number, presence, shape, place)
}
