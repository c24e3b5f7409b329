"""Whether a mask says which of two alike things is edited, and what it leaves alone.

    python -m ming_shapes.evaluation.masks FOLDER --cases 60

Of two things that are the same but for their place one is to be changed, in words that fit both.
Without a mask, with its overlay alone (a box around the thing), with all of it, and with that in
the middle of a conversation.
"""

import random
from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import torch

from ming_core import Edit, Features, LatentContext, edit, mark

from ..edits import ASK, COPY
from ..render import pack, silhouettes
from ..scene import CELLS, COLOURS, SHAPES, Scene, SceneMaker, SceneStyle, is_apart, placed
from ..tasks import Shown
from .judge import Array
from .measures import mean
from .player import Player, picture_of, player_and_cases
from .verdict import judge_scene, preserved_psnr

MARGIN = 2  # pixels of the box around a thing
STYLE = SceneStyle(outlined=0.0, graded=0.0, combinations="all")
KINDS = ("recolour", "reshape", "remove")


@dataclass(frozen=True)
class Case:
    """Two alike things, the words for one, and the scene where one, the other or both changed."""

    scene: Scene
    words: str
    ends: dict[str, Scene]
    box: Array  # (96, 96) booleans


@dataclass(frozen=True)
class Way:
    """How a case is edited: with its mask or without; as given, or as the model drew it again."""

    is_marked: bool = True
    keeps: bool = True  # what the mask does not touch
    is_drawn: bool = False


WAYS = {
    "no mask": Way(is_marked=False),
    "overlay alone": Way(keeps=False),
    "mask": Way(),
    "mask, in a conversation": Way(is_drawn=True),
}


def case_of(rng: random.Random) -> Case:
    """Return a case, said in plain English."""
    maker = SceneMaker(rng, STYLE)
    while True:
        alone = maker.scene(1)
        thing = alone.things[0]
        twin = placed(thing, rng.choice(CELLS))
        if is_apart(thing, twin):
            break
    both = [alone.things[0], twin]
    scene, kind = replace(alone, things=tuple(both)), rng.choice(KINDS)
    colour = rng.choice([c for c in COLOURS if c not in (thing.colour, alone.background)])
    shape = rng.choice([s for s in SHAPES if s != thing.shape])
    changed = {
        "recolour": [replace(each, colour=colour) for each in both],
        "reshape": [replace(each, shape=shape) for each in both],
        "remove": [None, None],
    }[kind]
    said = ASK["en"][kind][0].format(it=f"the {thing.shape}", colour=colour, shape=f"a {shape}")
    things = {
        "right": (changed[0], both[1]),
        "the other": (both[0], changed[1]),
        "both": changed,
        "nothing": both,
    }
    ends = {
        name: replace(scene, things=tuple(t for t in some if t is not None))
        for name, some in things.items()
    }
    return Case(scene, f"{said[0].upper()}{said[1:]}.", ends, box_around(scene))


def box_around(scene: Scene) -> Array:
    """Return the box around the first thing of a scene."""
    rows, columns = np.nonzero(silhouettes(pack([scene]))[0, 0].numpy())
    box = np.zeros(picture_of(Shown(scene)).shape[:2], dtype=bool)
    top, left = (max(0, axis.min() - MARGIN) for axis in (rows, columns))
    box[top : rows.max() + 1 + MARGIN, left : columns.max() + 1 + MARGIN] = True
    return box


def edited(player: Player, case: Case, seed: int, way: Way) -> Edit:
    """Edit the picture of a case."""
    given: Features | None = player.features(picture_of(Shown(case.scene)))
    context: LatentContext | None = None
    how = {"seed": seed, "sampling": player.sampling}
    if way.is_drawn:
        copied = edit(player.model, f"{COPY['en'][0].capitalize()}.", features=given, **how)
        given, context = None, copied.context
    marked = None
    if way.is_marked:
        mask = torch.from_numpy(case.box).float()
        marked = mark(player.model, mask, context=context, features=given)
        if not way.keeps:
            nothing = torch.zeros_like(marked.kept.is_replayed)
            marked = replace(marked, kept=replace(marked.kept, is_replayed=nothing))
    return edit(
        player.model,
        case.words,
        context=context,
        features=given,
        show_region_first=marked or False,
        **how,
    )


def main() -> None:
    """Measure and print."""
    player, num_cases = player_and_cases(__doc__, 60)
    rng = random.Random("masks")
    cases = [case_of(rng) for _ in range(num_cases)]
    for name, way in WAYS.items():
        ends, kept = Counter[str](), list[float]()
        for seed, case in enumerate(cases):
            made = edited(player, case, seed, way)
            picture = player.painted(made.features)
            shown = (end for end, scene in case.ends.items() if judge_scene(picture, scene))
            ends[next(shown, "something else")] += 1
            kept.append(preserved_psnr(picture, picture_of(Shown(case.scene)), patches(case.box)))
        print(
            f"{name}: outside {mean(kept):.1f} dB,", ", ".join(f"{e} {n}" for e, n in ends.items())
        )


def patches(box: Array, side: int = 16) -> Array:
    """Return the model's patches that a box touches, as pixels."""
    rows, columns = (n // side for n in box.shape)
    touched = box.reshape(rows, side, columns, side).any(axis=(1, 3))
    return touched.repeat(side, 0).repeat(side, 1)


if __name__ == "__main__":
    main()
