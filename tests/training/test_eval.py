"""`ming eval` asks everything it says it asks, and its figures tell right from wrong."""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ming_cli import eval as command
from ming_core import CheckpointError, ImageSampling, load_model
from ming_shapes.evaluation import worker_pool
from ming_shapes.evaluation.cases import KINDS, cases_of
from ming_shapes.evaluation.measures import (
    ask_figures,
    describe_figures,
    edit_figures,
    generate_figures,
    psnr,
    region_figures,
    superres_figures,
    talk_figures,
)
from ming_shapes.evaluation.player import Played, Player, picture_of
from ming_shapes.tasks import Conversation, Say, Shown

BUNDLED = Path(__file__).resolve().parents[2] / "bundled"
LEAST_RIGHT, LEAST_DESCRIBED, LEAST_COPIED = 18, 9, 40.0  # of 20, of 10, dB
LEAST_EDITED, LEAST_PRESERVED = 16, 44.0  # of 20, dB


def played_rightly(conversation: Conversation) -> Played:
    """What a perfect model would answer."""
    answers = [turn.answer for turn in conversation.turns]
    words = ["" if isinstance(a, Shown) else a for a in answers]
    pictures = [picture_of(a) if isinstance(a, Shown) else None for a in answers]
    return Played(conversation, words, pictures)


def perfect(name: str, count: int = 6) -> list[Played]:
    return [played_rightly(case) for case in cases_of(name, is_quick=False)[:count]]


def test_a_perfect_model_gets_perfect_figures():
    drawn = {name: perfect(name) for name in command.DRAWN}
    generated = generate_figures(drawn)
    assert min(generated[n] for n in ("single", "two", "counting", "position", "overall")) >= 0.8
    assert generate_figures({"single": perfect("single", 40)})["iou"] > 0.93
    assert describe_figures(perfect("describe"))["exact"] == 1
    assert ask_figures(perfect("ask"))["accuracy"] == 1
    edited = edit_figures(perfect("edit", 10), perfect("chain", 4))
    assert edited["success"] >= 0.95
    assert edited["chain3"] >= 0.8
    assert edited["preserved_psnr"] > 55
    assert region_figures(perfect("region"))["iou"] > 0.99
    talked = talk_figures(perfect("draw_then_edit", 30))
    assert talked.pop("drawn") >= 0.95
    assert set(talked.values()) == {1}
    assert superres_figures(perfect("superres"))["psnr_gain"] > 20


def test_a_model_that_does_nothing_gets_nothing():
    lazy = perfect("edit", 12)
    for played in lazy:
        played.pictures[0] = picture_of(played.conversation.turns[0].given)
    assert edit_figures(lazy, [])["success"] == 0
    mute = perfect("ask", 12)
    for played in mute:
        played.words = ["" for _ in played.words]
    assert ask_figures(mute)["accuracy"] == 0


def test_only_edits_after_a_question_are_counted_as_such():
    talked = perfect("draw_then_edit", 30)
    for played in talked:
        is_asked = [isinstance(turn.answer, str) for turn in played.conversation.turns]
        for number in range(2, len(is_asked)):
            if any(is_asked[:number]) and not is_asked[number]:
                played.pictures[number] = played.pictures[0]
    figures = talk_figures(talked)
    assert figures["edits_after_a_question"] < 0.1
    assert figures["answers"] == figures["edits"] == 1


def test_of_an_answer_that_lists_what_is_there_the_conclusion_counts():
    for said, share in (("yes", 1), ("A teal heart: yes", 1), ("A teal heart: no", 0), ("", 0)):
        only = Say("Is there a red circle?", "A red circle: yes", kind="is_there")
        figures = ask_figures([Played(Conversation("ask", (only,)), [said], [None])])
        assert figures["is_there"] == figures["accuracy"] == share


def test_cases_are_the_same_every_time_and_enough():
    assert cases_of("edit", is_quick=True) == cases_of("edit", is_quick=True)
    assert cases_of("edit", is_quick=True) != cases_of("edit", is_quick=True, seed=1)
    assert all(kind.full >= 200 for kind in KINDS.values())
    assert sum(kind.quick for kind in KINDS.values()) >= 150


def test_plain_cases_are_of_one_filled_thing_in_english():
    for name in ("single", "ask", "edit"):
        for case in cases_of(name, is_quick=True, is_plain=True):
            shown = [turn.given or turn.answer for turn in case.turns[:1]]
            scene = shown[0].scene
            assert len(scene.things) == 1
            assert not scene.gradient and not scene.things[0].is_outlined
            assert all(turn.words.isascii() for turn in case.turns)
    assert any(
        len(case.turns[0].given.scene.things) > 1 for case in cases_of("edit", is_quick=True)
    )


def test_the_command_prints_one_object(model, monkeypatch, capsys, tmp_path):
    for module in (command, worker_pool):
        monkeypatch.setattr(module, "load_model", lambda _: model)
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    words = ["somewhere", "--quick", "--cases", "1", "--steps", "1", "--json", "--processes", "1"]
    sheet = tmp_path / "sheet.png"
    with torch.inference_mode():
        assert command.main(parser.parse_args([*words, "--sheet", str(sheet)])) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    wanted = {"generate", "describe", "ask", "edit", "draw_then_edit", "region", "superres"}
    wanted |= {"reconstruct"}
    assert wanted <= set(report)
    keys = {"single", "two", "counting", "colors", "position", "attribution", "overall", "iou"}
    assert keys <= set(report["generate"])
    assert {"success", "preserved_psnr", "chain3"} <= set(report["edit"])
    assert sheet.stat().st_size > 1000


def test_another_seed_asks_other_cases(monkeypatch):
    monkeypatch.setattr(
        command, "play_jobs", lambda _, jobs, __: [job.conversation for job in jobs]
    )
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)

    def asked(*seed: str) -> list[Conversation]:
        args = parser.parse_args(["--quick", "--only", "edit", *seed])
        return command.play_all(BUNDLED, ImageSampling(), args)["edit"]

    assert asked() == cases_of("edit", is_quick=True)
    assert asked("--seed", "1") == cases_of("edit", is_quick=True, seed=1)


def test_another_seed_reconstructs_other_pictures():
    class Perfect:
        def __init__(self) -> None:
            self.seen: list[np.ndarray] = []

        def features(self, picture: np.ndarray) -> np.ndarray:
            self.seen.append(picture)
            return picture

        def painted(self, picture: np.ndarray) -> np.ndarray:
            return picture

    player = Perfect()
    assert command.reconstruct(player, 2, seed=1) == {"psnr": 60}
    wanted = [case.turns[0].answer for case in cases_of("copy", is_quick=False, seed=1)[:2]]
    for seen, shown in zip(player.seen, wanted, strict=True):
        assert np.array_equal(seen, picture_of(shown))


def test_two_processes_play_what_one_plays_in_the_same_order():
    cases = [case for name in ("single", "ask") for case in cases_of(name, is_quick=True)[:5]]
    jobs = [worker_pool.Job(case, n, ImageSampling(steps=1)) for n, case in enumerate(cases)]
    alone, shared = (worker_pool.play_jobs(BUNDLED, jobs, processes) for processes in (1, 2))
    for case, a, b in zip(cases, alone, shared, strict=True):
        assert a.conversation == b.conversation == case
        assert a.words == b.words
        for one, other in zip(a.pictures, b.pictures, strict=True):
            assert (one is None) == (other is None)
            if one is not None:
                assert np.abs(one.astype(int) - other.astype(int)).max() <= 1


def test_right_and_wrong_pictures_are_framed_apart():
    right = perfect("edit", 1)[0]
    wrong = replace(right, pictures=[np.zeros_like(p) for p in right.pictures if p is not None])
    framed = [[cell.frame for cell in command.cells_of(p) if cell.frame] for p in (right, wrong)]
    assert framed == [[command.RIGHT], [command.WRONG]]
    given = next(command.cells_of(right))
    assert (given.label, given.frame) == ("given", None)


@pytest.mark.slow
def test_the_bundled_model_draws_sees_copies_and_edits_as_its_card_says():
    """One thing, everything said plainly: a broken engine does none of these rightly."""
    player = Player(load_model(BUNDLED), ImageSampling(steps=8))

    def played(name: str, count: int) -> list[Played]:
        cases = cases_of(name, is_quick=False, is_plain=True)[:count]
        return [player.play(case, seed) for seed, case in enumerate(cases)]

    assert generate_figures({"single": played("single", 20)})["single"] >= LEAST_RIGHT / 20
    assert describe_figures(played("describe", 10))["exact"] >= LEAST_DESCRIBED / 10
    copies = [psnr(*pictures_of(each)) for each in played("copy", 10)]
    assert sum(copies) / len(copies) >= LEAST_COPIED
    edited = edit_figures(played("edit", 20), [])
    assert edited["success"] >= LEAST_EDITED / 20
    assert edited["preserved_psnr"] >= LEAST_PRESERVED


def pictures_of(played: Played) -> tuple[np.ndarray, np.ndarray]:
    """The picture drawn first, and what it should be."""
    answer = played.conversation.turns[0].answer
    assert isinstance(answer, Shown)
    assert played.pictures[0] is not None
    return played.pictures[0], picture_of(answer)


def test_pictures_are_given_at_the_size_for_what_is_wanted(monkeypatch):
    player, seen = Player(load_model(BUNDLED), ImageSampling(steps=1)), []
    features = player.features
    monkeypatch.setattr(
        player, "features", lambda *given: seen.append(features(*given)) or seen[-1]
    )
    for name in ("describe", "ask", "copy"):
        player.play(cases_of(name, is_quick=True)[0], 0)
    assert [each.grid for each in seen] == [(12, 12), (12, 12), (6, 6)]


def test_a_folder_that_a_process_cannot_load_is_said_clearly(tmp_path):
    jobs = [worker_pool.Job(cases_of("single", is_quick=True)[0], 0, ImageSampling())]
    with pytest.raises(CheckpointError, match="nowhere is no folder"):
        worker_pool.play_jobs(tmp_path / "nowhere", jobs, 2)


def test_large_weights_are_not_loaded_once_per_core(tmp_path, monkeypatch):
    monkeypatch.setattr(worker_pool.os, "cpu_count", lambda: 16)
    monkeypatch.setattr(worker_pool.torch.cuda, "is_available", lambda: False)
    assert worker_pool.usual_processes(BUNDLED) == worker_pool.MOST_PROCESSES
    with (tmp_path / "model.safetensors").open("wb") as file:
        file.truncate(worker_pool.LARGE + 1)  # sparse: takes no room
    assert worker_pool.usual_processes(tmp_path) == 1
