"""Chains are played both ways, and the page says what was measured."""

import random

import numpy as np
import torch

from ming_core import ImageSampling
from ming_shapes.evaluation.chains import (
    LENGTH,
    chain_cases,
    chains_section,
    draw_plot,
    edits_of,
    settings_section,
    steps_of,
    written,
)
from ming_shapes.evaluation.player import Played, Player, picture_of
from ming_shapes.evaluation.ways import WAYS, as_jpeg, as_png, at_half_size, played_by
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


def test_the_page_and_the_plot_show_every_way(tmp_path):
    ways = dict.fromkeys(WAYS, steps_of(perfect_chains(2)))
    chains = chains_section(ways, cases=2, model="abc", is_plain=True)
    settings = settings_section([("8 steps, euler", 0.5, 1.0)], singles=7, is_plain=True)
    for name in WAYS:
        assert f"| {name} | 1.00" in chains or f"| {name} | 0." in chains
    assert "8 steps, euler | 0.50" in settings
    assert "plain English" in chains and "`abc`" in chains
    assert "--plain" in chains and "--plain" in settings
    assert "](latent_chain_plain.png)" in chains
    assert "](latent_chain.md)" in chains
    assert len(draw_plot(ways).getcolors(100_000)) > 3
    page = tmp_path / "page.md"
    assert written(page) == ("", "")
    page.write_text(f"{chains}\n\n{settings}\n", encoding="utf-8")
    assert written(page) == (chains, settings)


def test_questions_come_between_the_edits_and_do_not_count():
    case = chain_cases(1)[0]
    asked = played_by(WAYS["one growing context, with questions"], case, 0)
    assert len(asked.turns) > LENGTH
    assert tuple(t for t in asked.turns if isinstance(t.answer, Shown)) == case.turns
    pictures = [picture_of(t.answer) if isinstance(t.answer, Shown) else None for t in asked.turns]
    played = Played(asked, [""] * len(asked.turns), pictures)
    assert edits_of(played).conversation.turns == case.turns


def test_pictures_that_travel_lose_what_they_should():
    picture = picture_of(chain_cases(1)[0].turns[0].given)
    assert np.array_equal(as_png(picture), picture)
    for travel in (as_jpeg, at_half_size):
        arrived = travel(picture)
        assert arrived.shape == picture.shape and not np.array_equal(arrived, picture)
        assert np.abs(arrived.astype(float) - picture).mean() < 12


def test_all_ways_of_a_chain_start_alike_and_then_differ(model):
    chain = edit_chain(TaskSampler(random.Random(3), chinese=0.0), 2)
    player = Player(model, ImageSampling(steps=1))
    names = ("one growing context", "picture only", "pixels as JPEG")
    with torch.inference_mode():
        played = [player.play(chain, 5, WAYS[name]) for name in names]
    first, second = ({each.pictures[i].tobytes() for each in played} for i in (0, 1))
    assert len(first) == 1 and len(second) == len(names)
