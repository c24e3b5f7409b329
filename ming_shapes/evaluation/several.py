"""Several pictures in one turn: what is read of each, and what an edit makes of them.

    python -m ming_shapes.evaluation.several FOLDER --cases 40

Two pictures of one thing each. Asked is for the colour of either thing; told is to change the one
of the first or of the last picture, or to put what is in both together.
"""

import random
from collections import Counter
from dataclasses import dataclass, replace

import torch

from ming_core import Features, TextSampling, describe, edit
from ming_core.pixels import ImageUse

from ..edits import ASK
from ..scene import COLOURS, Scene, SceneMaker, SceneStyle, grown, is_apart
from ..tasks import Shown
from .player import MOST_WORDS, Player, picture_of, player_and_cases
from .verdict import judge_scene

STYLE = SceneStyle(outlined=0.0, graded=0.0, combinations="all")


@dataclass(frozen=True)
class Case:
    """Two scenes of one thing each, which have nothing in common, and a colour of neither."""

    scenes: tuple[Scene, Scene]
    colour: str


def case_of(rng: random.Random) -> Case:
    """Return a case."""
    maker = SceneMaker(rng, STYLE)
    while True:
        a, b = maker.scene(1), maker.scene(1)
        (one,), (other,) = a.things, b.things
        colours = {a.background, b.background, one.colour, other.colour}
        if len(colours) == 4 and one.shape != other.shape and is_apart(one, other):
            return Case((a, b), rng.choice([c for c in COLOURS if c not in colours]))


def tried(player: Player, case: Case, seed: int) -> dict[str, bool]:
    """Ask about and edit two pictures in one turn; what was right, by what was wanted."""
    (first, last), right = case.scenes, dict[str, bool]()

    def shown(use: ImageUse) -> Features:
        each = [player.features(picture_of(Shown(scene)), use) for scene in case.scenes]
        return replace(each[0], values=torch.cat([of.values for of in each]))

    def edited(words: str, after: Scene) -> bool:
        how = {"seed": seed, "sampling": player.sampling, "features": shown("edit")}
        return judge_scene(player.painted(edit(player.model, words, **how).features), after)

    sampling, large = TextSampling(MOST_WORDS), shown("understand")
    for name, scene in (("first", first), ("last", last)):
        (thing,) = scene.things
        asked = f"What colour is the {thing.shape}?"
        said = describe(player.model, asked, features=large, sampling=sampling).text
        right[f"asked about the {name}"] = thing.colour in said
        words = ASK["en"]["recolour"][0].format(it=f"the {thing.shape}", colour=case.colour)
        after = scene.with_thing(0, replace(thing, colour=case.colour))
        right[f"edited the {name}"] = edited(f"{words.capitalize()}.", after)
    (one,), (other,) = first.things, last.things
    right["brought into the first"] = edited(
        f"Add the {other.shape} of the last picture to the first picture.", grown(first, other)
    )
    right["in the colour of the last"] = edited(
        f"Paint the {one.shape} of the first picture like the {other.shape} of the last picture.",
        first.with_thing(0, replace(one, colour=other.colour)),
    )
    return right


def main() -> None:
    """Measure and print."""
    player, num_cases = player_and_cases(__doc__, 40)
    rng = random.Random("several")
    counts = Counter[str]()
    for seed in range(num_cases):
        counts.update(tried(player, case_of(rng), seed))
    for name, count in counts.items():
        print(f"{name}: {count} of {num_cases}")


if __name__ == "__main__":
    main()
