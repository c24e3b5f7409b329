"""Pictures that are no squares: what crop, pad and squash see of them, and what comes back.

    python -m ming_shapes.evaluation.fits FOLDER --cases 40

Pictures of three to two with a thing at either end, as large as the model knows them once padded.
Asked is for the colour of one; told is to change it; the answer, in the size and shape of what was
given, is judged as any other.
"""

import random
from dataclasses import dataclass, replace

import numpy as np
import torch
from PIL import Image

from ming_core import (
    Features,
    TextSampling,
    as_given,
    decode_pixels,
    describe,
    edit,
    encode_image,
    expand,
)
from ming_core.pixels import FITS, Fit, ImageUse, padded

from ..edits import ASK
from ..render import pack, render, to_bytes
from ..scene import COLOURS, SIDE, Scene, SceneMaker, SceneStyle
from .judge import Array
from .measures import mean, psnr
from .player import MOST_WORDS, Player, player_and_cases
from .verdict import judge_scene

WIDTH, HEIGHT = 144, 96
STYLE = SceneStyle(outlined=0.0, graded=0.0, combinations="all")


@dataclass(frozen=True)
class Case:
    """A scene of two things in the middle row, and a colour for the first."""

    scene: Scene
    colour: str

    @property
    def changed(self) -> Scene:
        """The scene in which the first thing has that colour."""
        return self.scene.with_thing(0, replace(self.scene.things[0], colour=self.colour))


def case_of(rng: random.Random) -> Case:
    """Return a case: two things of different shapes, one at either end."""
    maker = SceneMaker(rng, STYLE)
    background = rng.choice(COLOURS)
    while True:
        things = tuple(maker.thing(background, (1, column)) for column in (0, 2))
        if things[0].shape != things[1].shape:
            break
    taken = (background, *(thing.colour for thing in things))
    return Case(Scene(background, things), rng.choice([c for c in COLOURS if c not in taken]))


def wide_picture(scene: Scene) -> Array:
    """Return the middle of a picture of a scene: (96, 144, 3) bytes."""
    top = (WIDTH - HEIGHT) // 2
    return to_bytes(render(pack([scene]), WIDTH).pixels)[0, top : top + HEIGHT].numpy()


@dataclass(frozen=True)
class Trial:
    """What became of one picture."""

    comes_back: float  # PSNR in dB, 0 where not all of it does
    is_answered: bool
    is_edited: bool


def tried(player: Player, case: Case, fit: Fit, seed: int) -> Trial:
    """Let a picture go in and out, ask about it, and edit it."""
    model, given, thing = player.model, wide_picture(case.scene), case.scene.things[0]
    image = torch.from_numpy(given).float()[None] / 255

    def features(use: ImageUse) -> Features:
        return expand(model, encode_image(model, image, use, fit=fit))

    def back(of: Features) -> Array:
        return (as_given(decode_pixels(model, of), of)[0] * 255).round().byte().numpy()

    shown = features("edit")
    asked = f"What colour is the {thing.shape}?"
    how = {"features": features("understand"), "sampling": TextSampling(MOST_WORDS)}
    said = describe(model, asked, **how).text
    told = ASK["en"]["recolour"][0].format(it=f"the {thing.shape}", colour=case.colour)
    how = {"features": shown, "sampling": player.sampling}
    made = edit(model, f"{told.capitalize()}.", seed=seed, **how)
    returned, edited = back(shown), back(made.features)
    square = np.asarray(padded(Image.fromarray(edited), SIDE))
    return Trial(
        psnr(returned, given) if returned.shape == given.shape else 0.0,
        thing.colour in said,
        judge_scene(square, case.changed),
    )


def main() -> None:
    """Measure and print."""
    player, num_cases = player_and_cases(__doc__, 40)
    rng = random.Random("fits")
    cases = [case_of(rng) for _ in range(num_cases)]
    for fit in FITS:
        trials = [tried(player, case, fit, seed) for seed, case in enumerate(cases)]
        print(
            f"{fit}: comes back at {mean([t.comes_back for t in trials]):.1f} dB, "
            f"answers {mean([t.is_answered for t in trials]):.2f}, "
            f"edits {mean([t.is_edited for t in trials]):.2f}"
        )


if __name__ == "__main__":
    main()
