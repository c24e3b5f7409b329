"""Edits said in people's own words, and what must be so, and must have stayed, afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from .colours import COMMON, is_called
from .expectations import PLACES, Wanted, is_at
from .prompts import ZH_COLOURS, ZH_SHAPES, an
from .scene import SHAPES
from .sight import Seen, View

KEPT_MIDDLE, KEPT_RADIUS, KEPT_COLOUR = 0.04, 0.03, 45  # parts of the side; levels of 255
RESIZED = 1.15  # times: less is not seen as another size


@dataclass(frozen=True, slots=True)
class Change:
    """One edit of a thing known by its shape: what it does, and to what."""

    kind: str
    shape: str
    to: str = ""

    def is_made(self, before: View, after: View) -> bool:
        """Tell whether a picture became what was asked, all else kept."""
        old = [thing for thing in before.things if thing.shape == self.shape]
        if self.kind != "add" and len(old) != 1:
            return False
        ground = _same_colour(before.ground, after.ground)
        if self.kind == "background":
            ground = is_called(after.ground, self.to)
        rest = list(after.things)
        for thing in before.things:
            changed = thing in old and self.kind not in ("add", "background")
            kept = next((seen for seen in rest if _is_same(thing, seen)), None)
            if not changed and kept is None:
                return False
            if not changed and kept is not None:
                rest.remove(kept)
        return ground and self._is_left(old, rest)

    def _is_left(self, old: list[Seen], rest: list[Seen]) -> bool:
        """Tell whether what is not a kept thing is what the edit makes."""
        if self.kind in ("background", "remove"):
            return not rest
        if len(rest) != 1:
            return False
        new = rest[0]
        if self.kind == "add":
            colour, shape, place = self.to.split("/")
            return Wanted(shape, colour, place).fits(new)
        was = old[0]
        made = {
            "recolour": lambda: is_called(new.colour, self.to) and _lies(was, new),
            "replace": lambda: new.shape == self.to and _near(was, new),
            "move": lambda: is_at(new, self.to) and _same_colour(was.colour, new.colour),
            "larger": lambda: new.radius > was.radius * RESIZED and _near(was, new),
            "smaller": lambda: new.radius * RESIZED < was.radius and _near(was, new),
        }[self.kind]()
        return made and (self.kind == "replace" or new.shape == was.shape)


Asked = tuple[str, Change]
Maker = Callable[[Random, View], Asked]


def remove(random: Random, view: View) -> Asked:
    """Ask to take a thing away."""
    shape = random.choice(view.things).shape
    words = (
        f"Please get rid of the {shape}.",
        f"I don't want the {shape} any more.",
        f"the {shape} should go away",
        f"Erase that {shape}",
        f"Can you take out the {shape}?",
        f"去掉{ZH_SHAPES[shape]}",
    )
    return random.choice(words), Change("remove", shape)


def recolour(random: Random, view: View) -> Asked:
    """Ask for another colour of a thing."""
    shape = random.choice(view.things).shape
    to = _unused(random, view)
    words = (
        f"Make the {shape} {to}.",
        f"I'd rather have the {shape} in {to}.",
        f"could the {shape} be {to} instead?",
        f"Paint the {shape} {to}, please",
        f"Turn the {shape} {to}",
        f"把{ZH_SHAPES[shape]}改成{ZH_COLOURS[to]}",
    )
    return random.choice(words), Change("recolour", shape, to)


def background(random: Random, view: View) -> Asked:
    """Ask for another background."""
    to = _unused(random, view)
    words = (
        f"Give it {an(to)} background.",
        f"I want everything behind to be {to}.",
        f"background in {to} please",
        f"Change what's behind to {to}",
        f"Let the backdrop be {to} now.",
        f"背景换成{ZH_COLOURS[to]}",
    )
    return random.choice(words), Change("background", view.things[0].shape, to)


def another(random: Random, view: View) -> Asked:
    """Ask for another thing in the place of one."""
    shape = random.choice(view.things).shape
    to = random.choice(sorted({*SHAPES} - {thing.shape for thing in view.things}))
    words = (
        f"I'd rather have {an(to)} than the {shape}.",
        f"Swap the {shape} for {an(to)}.",
        f"Instead of the {shape}, show {an(to)}",
        f"the {shape} should become {an(to)}",
        f"把{ZH_SHAPES[shape]}换成{ZH_SHAPES[to]}",
    )
    return random.choice(words), Change("replace", shape, to)


def move(random: Random, view: View) -> Asked:
    """Ask to move a thing to a free place."""
    thing = random.choice(view.things)
    free = [place for place in PLACES if _is_free(view, place)]
    to = random.choice(free or ["middle"])
    at = f"to the {to}" if to != "middle" else "into the middle"
    words = (
        f"Move the {thing.shape} {at}.",
        f"The {thing.shape} would look better moved {at}.",
        f"Could you shift the {thing.shape} {at}?",
        f"put the {thing.shape} over {at}",
    )
    return random.choice(words), Change("move", thing.shape, to)


def resize(random: Random, view: View) -> Asked:
    """Ask for a larger or smaller thing."""
    thing = random.choice(view.things)
    if thing.radius > 0.14:
        words = (
            f"Shrink the {thing.shape}.",
            f"the {thing.shape} is too big, make it smaller",
            f"Could the {thing.shape} be a bit smaller?",
        )
        return random.choice(words), Change("smaller", thing.shape)
    words = (
        f"Enlarge the {thing.shape}.",
        f"the {thing.shape} is too small, make it bigger",
        f"Let the {thing.shape} grow.",
    )
    return random.choice(words), Change("larger", thing.shape)


def add(random: Random, view: View) -> Asked:
    """Ask for one thing more in a free place."""
    shape = random.choice(sorted({*SHAPES} - {thing.shape for thing in view.things}))
    colour = _unused(random, view)
    free = [place for place in PLACES if _is_free(view, place)]
    place = random.choice(free or ["middle"])
    at = {"left": "on the left", "right": "on the right"}.get(place, f"at the {place}")
    words = (
        f"Also put {an(colour)} {shape} {at}.",
        f"I'd like {an(colour)} {shape} {at} as well.",
        f"now add {an(colour)} {shape} {at}",
        f"There should be {an(colour)} {shape} {at}, too.",
    )
    return random.choice(words), Change("add", shape, f"{colour}/{shape}/{place}")


KINDS: dict[str, Maker] = {
    maker.__name__: maker for maker in (remove, recolour, background, another, move, resize, add)
}


def _unused(random: Random, view: View) -> str:
    shown = [view.ground, *(thing.colour for thing in view.things)]
    free = [name for name in COMMON if not any(is_called(colour, name) for colour in shown)]
    return random.choice(free)


def _is_free(view: View, place: str) -> bool:
    column, row = PLACES[place]
    x, y = ((third or 0) / 3 + 1 / 6 for third in (column, row))
    return all(max(abs(t.x - x), abs(t.y - y)) > t.radius + 0.17 for t in view.things)


def _is_same(one: Seen, other: Seen) -> bool:
    return one.shape == other.shape and _same_colour(one.colour, other.colour) and _lies(one, other)


def _lies(one: Seen, other: Seen) -> bool:
    return _near(one, other) and abs(one.radius - other.radius) <= KEPT_RADIUS


def _near(one: Seen, other: Seen) -> bool:
    return max(abs(one.x - other.x), abs(one.y - other.y)) <= KEPT_MIDDLE


def _same_colour(one: tuple[int, int, int], other: tuple[int, int, int]) -> bool:
    return max(abs(a - b) for a, b in zip(one, other, strict=True)) <= KEPT_COLOUR
