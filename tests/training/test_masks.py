"""On the bundled model a mask, several pictures and other shapes do what decision 0029 says."""

import random
from pathlib import Path

import pytest

from ming_core import ImageSampling, load_model
from ming_shapes.evaluation import fits, masks, several
from ming_shapes.evaluation.player import Player
from ming_shapes.evaluation.verdict import judge_scene

BUNDLED = Path(__file__).resolve().parents[2] / "bundled"


@pytest.fixture(scope="module")
def player() -> Player:
    return Player(load_model(BUNDLED), ImageSampling(steps=8))


def test_a_mask_says_which_of_two_alike_things_is_meant(player):
    rng = random.Random("masks")
    rights, others = 0, 0
    for seed in range(8):
        case = masks.case_of(rng)
        made = masks.edited(player, case, seed, masks.Way())
        picture = player.painted(made.features)
        rights += judge_scene(picture, case.ends["right"])
        others += judge_scene(picture, case.ends["the other"])
    assert rights >= 6 and not others


def test_a_wide_picture_is_edited_as_a_whole_where_it_is_padded(player):
    cases = [fits.case_of(random.Random(seed)) for seed in range(4)]
    padded = [fits.tried(player, case, "pad", 0) for case in cases]
    assert all(trial.is_edited and trial.is_answered for trial in padded)
    assert min(trial.comes_back for trial in padded) > 30
    assert not fits.tried(player, cases[0], "crop", 0).is_edited


def test_of_several_pictures_every_one_is_read_and_the_last_one_edited(player):
    right = several.tried(player, several.case_of(random.Random(1)), 0)
    wanted = {"asked about the first", "asked about the last", "edited the last"}
    assert {name for name, is_right in right.items() if is_right} == wanted
