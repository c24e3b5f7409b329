"""The cases of `ming eval`: held-out combinations, phrasings and seeds; one seed, one set."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from ..scene import SceneStyle
from ..tasks import (
    Conversation,
    TaskSampler,
    ask,
    colourise,
    copy,
    describe,
    draw_counted,
    draw_one,
    draw_related,
    draw_then_edit,
    draw_two,
    edit,
    edit_chain,
    region_then_edit,
    sharpen,
)

SEED = 20_261_121  # far from every seed of the training
HELD_OUT = SceneStyle(outlined=0.15, graded=0.15, combinations="held_out")
# Edits and questions need things that may become anything.
ANYTHING = SceneStyle(outlined=0.15, graded=0.15, combinations="all")


@dataclass(frozen=True)
class Kind:
    """One line of the report: how its cases are made and how many there are."""

    make: Callable[[TaskSampler], Conversation]
    style: SceneStyle
    quick: int
    full: int = 200
    most_things: int = 3


def chain_of_three(sampler: TaskSampler) -> Conversation:
    """Edit a given picture three times."""
    return edit_chain(sampler, 3)


KINDS: dict[str, Kind] = {
    "single": Kind(draw_one, HELD_OUT, 12),
    "two": Kind(draw_two, HELD_OUT, 8),
    "counting": Kind(draw_counted, HELD_OUT, 4),
    "position": Kind(draw_related, HELD_OUT, 6),
    "describe": Kind(describe, ANYTHING, 40),
    "ask": Kind(ask, ANYTHING, 100),
    "edit": Kind(edit, ANYTHING, 10),
    "chain": Kind(chain_of_three, ANYTHING, 3, most_things=2),
    "draw_then_edit": Kind(draw_then_edit, ANYTHING, 6),
    "region": Kind(region_then_edit, ANYTHING, 4),
    "superres": Kind(sharpen, ANYTHING, 4),
    "colourise": Kind(colourise, ANYTHING, 2),
    "copy": Kind(copy, ANYTHING, 4),
}
RECONSTRUCTIONS = {"quick": 32, "full": 200}


def cases_of(
    name: str, *, is_quick: bool, is_plain: bool = False, seed: int = SEED
) -> list[Conversation]:
    """Return the cases of one line; plain ones are of one filled thing, said in plain English."""
    kind = KINDS[name]
    count = kind.quick if is_quick else kind.full
    return some_of(kind, name, count, is_plain=is_plain, seed=seed)


def some_of(
    kind: Kind, name: str, count: int, *, is_plain: bool, seed: int = SEED
) -> list[Conversation]:
    """Return so many cases of a kind, always the same for a name and a seed."""
    rng = random.Random(f"{seed} {name}")
    if is_plain:
        plain = replace(kind.style, outlined=0.0, graded=0.0)
        how = {"style": plain, "chinese": 0.0, "most_things": 1, "is_plain": True}
    else:
        how = {"style": kind.style, "is_held_out": True, "most_things": kind.most_things}
    return [kind.make(TaskSampler(rng, **how)) for _ in range(count)]
