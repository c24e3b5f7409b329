"""What a picture must show to be what was asked for, and whether it does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .colours import is_called
from .sight import Seen, View

SMALL, LARGE = 0.14, 0.145  # half extent that "small" stays below and "large" goes beyond
SLACK = 0.06  # part of the side that a thing's middle may lie outside its ninth

# Column and row of each place: 0 is left or top, 1 the middle, 2 right or bottom, None either.
PLACES: dict[str, tuple[int | None, int | None]] = {
    "top left": (0, 0),
    "top": (1, 0),
    "top right": (2, 0),
    "left": (0, 1),
    "middle": (1, 1),
    "right": (2, 1),
    "bottom left": (0, 2),
    "bottom": (1, 2),
    "bottom right": (2, 2),
}
RELATIONS = {"left of": (0, 1), "right of": (0, -1), "above": (1, 1), "below": (1, -1)}


@dataclass(frozen=True, slots=True)
class Wanted:
    """One thing that was asked for; what is None was left open."""

    shape: str
    colour: str | None = None
    place: str | None = None
    size: str | None = None

    def fits(self, thing: Seen) -> bool:
        """Tell whether a thing is what was asked for."""
        if thing.shape != self.shape:
            return False
        if self.colour is not None and not is_called(thing.colour, self.colour):
            return False
        if self.size == "small" and thing.radius > SMALL:
            return False
        if self.size == "large" and thing.radius < LARGE:
            return False
        return self.place is None or is_at(thing, self.place)


@dataclass(frozen=True, slots=True)
class Expected:
    """Things asked for, no more and no fewer; the first two may stand in a relation."""

    things: tuple[Wanted, ...]
    ground: str | None = None
    relation: str | None = None

    def is_met(self, view: View) -> bool:
        """Tell whether a picture shows all of it."""
        if self.ground is not None and not is_called(view.ground, self.ground):
            return False
        found = match(self.things, view.things)
        if found is None:
            return False
        return self.relation is None or _stand(found[0], found[1], self.relation)


def match(wanted: Sequence[Wanted], seen: Sequence[Seen]) -> list[Seen] | None:
    """Return the thing that each wanted one is, or None where that does not come out even."""
    if len(wanted) != len(seen):
        return None
    if not wanted:
        return []
    for index, thing in enumerate(seen):
        if wanted[0].fits(thing):
            rest = match(wanted[1:], [*seen[:index], *seen[index + 1 :]])
            if rest is not None:
                return [thing, *rest]
    return None


def is_at(thing: Seen, place: str) -> bool:
    """Tell whether a thing lies in a place, a ninth of the picture with some slack."""
    middle = (thing.x, thing.y)
    return all(
        third is None or third / 3 - SLACK <= at <= (third + 1) / 3 + SLACK
        for at, third in zip(middle, PLACES[place], strict=True)
    )


def _stand(one: Seen, other: Seen, relation: str) -> bool:
    axis, sign = RELATIONS[relation]
    ways = (other.x - one.x, other.y - one.y)
    return sign * ways[axis] > 0.08 and abs(ways[axis]) >= 0.7 * abs(ways[1 - axis])
