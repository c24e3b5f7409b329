"""Chains are played both ways, and the page says what was measured."""

import random

import numpy as np
import torch

from ming_core import ImageSampling
from ming_shapes.evaluation.chains import LENGTH, chain_cases, draw_plot, page_of, steps_of
from ming_shapes.evaluation.player import Played, Player, picture_of
from ming_shapes.tasks import Shown, TaskSampler, edit_chain


def perfect_chains(count: int) -> list[Played]:
    return [
        Played(c, [""] * LENGTH, [picture_of(t.answer) for t in c.turns])
        for c in chain_cases(count)
    ]


def test_perfect_chains_stay_right_and_keep_the_rest():
    steps = steps_of(perfect_chains(4))
    assert [step.number for step in steps] == list(range(1, LENGTH + 1))
    assert min(step.still_right for step in steps) >= 0.75
    assert min(step.preserved for step in steps) > 50


def test_plain_chains_begin_with_one_thing_and_are_told_in_english():
    for case in chain_cases(6, is_plain=True):
        assert len(case.turns[0].given.scene.things) == 1
        assert all(turn.words.isascii() for turn in case.turns)
    assert any(not turn.words.isascii() for c in chain_cases(12) for turn in c.turns)


def test_a_chain_that_fails_once_is_never_right_again():
    chains = perfect_chains(3)
    for played in chains:
        played.pictures[2] = np.zeros_like(played.pictures[2])
    steps = steps_of(chains)
    assert steps[1].still_right > 0.6
    assert all(step.still_right == 0 for step in steps[2:])


def test_the_page_and_the_plot_show_every_step():
    ways = {"latent context": steps_of(perfect_chains(2)), "decode and re-encode": []}
    ways["decode and re-encode"] = ways["latent context"]
    page = page_of(ways, [("8 steps, euler", 0.5, 1.0)], cases=2, singles=7, is_plain=True)
    assert f"| {LENGTH} | 1.00" in page or f"| {LENGTH} | 0." in page
    assert "8 steps, euler | 0.50" in page
    assert "plain English" in page
    assert "--plain" in page
    assert "](latent_chain_plain.png)" in page
    assert "](latent_chain.md)" in page
    assert len(draw_plot(ways).getcolors(100_000)) > 3


def test_both_ways_of_a_chain_start_alike_and_then_differ(model):
    chain = edit_chain(TaskSampler(random.Random(3), chinese=0.0), 2)
    player = Player(model, ImageSampling(steps=1))
    with torch.inference_mode():
        latent, pixels = (player.play(chain, 5, by_pixels=way) for way in (False, True))
    assert all(isinstance(turn.answer, Shown) for turn in chain.turns)
    assert np.array_equal(latent.pictures[0], pixels.pictures[0])
    assert not np.array_equal(latent.pictures[1], pixels.pictures[1])
