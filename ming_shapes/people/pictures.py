"""Pictures that people bring: things off the nine places, of any size, in shades of the colours."""

from __future__ import annotations

import random
from dataclasses import replace

import torch

from ..render import RGB
from ..scene import ALL_COLOURS, CENTRES, PLAIN, SIDE, Scene, Thing, Tint, can_be_hollow, is_apart

AWAY = 11.0  # pixels at most between a thing and the middle of its place, each way
RADII = {"small": (6.0, 9.4), "medium": (10.4, 13.2), "large": (14.2, 23.0)}
SHADE = 38.0  # how far each of red, green and blue may be from the named colour
TRIES = 12


def loosened(scene: Scene, rng: random.Random) -> Scene:
    """Return a scene of the same things in the same places, but not exactly."""
    things: list[Thing] = []
    for number, thing in enumerate(scene.things):
        others = [*things, *scene.things[number + 1 :]]
        tried = (_loose(thing, rng) for _ in range(TRIES))
        free = (one for one in tried if all(is_apart(one, other) for other in others))
        things.append(next(free, thing))
    if rng.random() < 0.6:
        things = [replace(thing, tint=shade(thing.colour, rng)) for thing in things]
        return replace(scene, things=tuple(things), tint=shade(scene.background, rng))
    return replace(scene, things=tuple(things))


def shade(colour: str, rng: random.Random) -> Tint:
    """Return how far a shade is from the colour by whose name everybody would call it."""
    base = RGB[ALL_COLOURS.index(colour)]
    tint = tuple(min(255.0, max(0.0, c + rng.uniform(-SHADE, SHADE))) - c for c in base)
    shifted = torch.tensor(base) + torch.tensor(tint)
    nearest = torch.cdist(shifted[None], torch.tensor(RGB)).argmin()
    return tint if int(nearest) == ALL_COLOURS.index(colour) else PLAIN  # type: ignore[return-value]


def _loose(thing: Thing, rng: random.Random) -> Thing:
    radius = rng.uniform(*RADII[thing.size])
    row, column = thing.cell
    far = SIDE - radius * 0.9
    x, y = (
        min(far, max(SIDE - far, CENTRES[place] + rng.uniform(-AWAY, AWAY)))
        for place in (column, row)
    )
    loose = replace(thing, x=x, y=y, radius=radius)
    return replace(loose, is_outlined=loose.is_outlined and can_be_hollow(loose))
