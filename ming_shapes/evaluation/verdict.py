"""Pictures held against specs and scenes: what is right, line by line."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from ..prompts import Spec
from ..scene import Scene
from ..words import Mention
from .connected_components import grown
from .judge import Array, Seen, Sight, look, overlap, true_masks

DISTANCE = 14.0  # pixels two things must at least be apart for one to be left of the other


@dataclass(frozen=True)
class Verdict:
    """What is right in a picture that was required for."""

    background: bool
    count: bool
    shapes: bool
    colours: bool
    places: bool
    attribution: bool  # shape, colour, size and outline right on one and the same thing

    @property
    def everything(self) -> bool:
        """Whether nothing is wrong."""
        return self.background and self.count and self.attribution and self.places


def judge_spec(picture: Array, spec: Spec) -> Verdict:
    """Judge a picture (96, 96, 3) of bytes by a spec; what was left open is not judged."""
    sight = look(picture)
    wanted = [mention for mention in spec.mentions for _ in range(mention.number)]
    seen = _best_order(sight, wanted)
    pairs = list(zip(seen, wanted, strict=False))
    background = spec.background in (None, sight.background)
    if spec.is_graded is not None:
        background = background and spec.is_graded == sight.is_graded
    return Verdict(
        background,
        len(sight.things) == len(wanted),
        all(thing.shape == said.shape for thing, said in pairs),
        all(said.colour in (None, thing.colour) for thing, said in pairs),
        _places_right(pairs, spec.relation),
        len(pairs) == len(wanted) and all(_kind_right(thing, said) for thing, said in pairs),
    )


def judge_scene(picture: Array, scene: Scene) -> bool:
    """Tell whether a picture shows exactly a scene: background and every thing, nothing else."""
    mentions = tuple(Mention.of(thing) for thing in scene.things)
    spec = Spec(mentions, scene.background, scene.gradient > 0)
    return judge_spec(picture, spec).everything


def mean_overlap(picture: Array, scene: Scene) -> float:
    """Mean overlap of the true things' masks with those seen nearest to them, 0 where none is."""
    things = look(picture).things
    scores = [
        max((overlap(mask, thing.mask) for thing in things), default=0.0)
        for mask in true_masks(scene)
    ]
    return float(np.mean(scores)) if scores else 1.0


def preserved_psnr(picture: Array, before: Array, changed: Array) -> float:
    """PSNR of what an edit should leave alone: outside `changed` (H, W), in dB, at most 60."""
    kept = ~changed
    if not kept.any():
        return 60.0
    error = ((picture.astype(float) - before.astype(float))[kept] / 255) ** 2
    return float(-10 * np.log10(max(error.mean(), 1e-6)))


def changed_region(before: Array, after: Array, reach: int = 3) -> Array:
    """Return where two true pictures differ, widened by `reach` pixels."""
    region = np.abs(before.astype(int) - after.astype(int)).max(-1) > 12
    return grown(region, reach)


def _kind_right(thing: Seen, said: Mention) -> bool:
    return (
        thing.shape == said.shape
        and said.colour in (None, thing.colour)
        and said.size in (None, thing.size)
        and said.is_outlined in (None, thing.is_outlined)
    )


def _best_order(sight: Sight, wanted: list[Mention]) -> list[Seen]:
    """Assign things seen to things wanted so that most is right."""

    def score(thing: Seen, said: Mention) -> int:
        return (
            4 * (thing.shape == said.shape)
            + 4 * (said.colour in (None, thing.colour))
            + 2 * (said.cell in (None, thing.cell))
            + (said.size in (None, thing.size))
            + (said.is_outlined in (None, thing.is_outlined))
        )

    things = sight.things[:6]
    number = min(len(things), len(wanted))
    orders = itertools.permutations(things, number)
    return list(max(orders, key=lambda order: sum(map(score, order, wanted)), default=()))


def _places_right(pairs: list[tuple[Seen, Mention]], relation: str | None) -> bool:
    if not all(said.cell in (None, thing.cell) for thing, said in pairs):
        return False
    if relation is None:
        return True
    if len(pairs) < 2:
        return False
    (first, _), (second, _) = pairs[:2]
    if relation == "inside":
        inner = first.mask & second.mask
        return bool(inner.sum() > 0.9 * first.mask.sum() and first.mask.sum() < second.mask.sum())
    across, down = first.x - second.x, first.y - second.y
    gaps = {"left of": -across, "right of": across, "above": -down, "below": down}
    is_level = relation in ("left of", "right of")
    is_main = abs(across) > abs(down) if is_level else abs(down) > abs(across)
    return gaps[relation] > DISTANCE and is_main
