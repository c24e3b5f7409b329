"""ming calibrate: grids that come nearer than uniform ones, judged on prompts left out."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ming_cli.__main__ import main
from ming_cli.calibrate import collect
from ming_core import ImageSampling, load_model
from ming_core.univision import calibration
from ming_core.univision.calibration import (
    Judge,
    best_grid,
    calibrate,
    fewer,
    looks_trained,
    rounding_error,
)
from ming_core.univision.flow.schedule import Schedules, progress_grid
from ming_core.univision.schedule_file import FILE_NAME

BUNDLED = Path(__file__).parents[2] / "bundled"
PUBLISHED = 16


@pytest.fixture(scope="module")
def judges() -> tuple[Judge, Judge]:
    """Few tokens of two prompts of the bundled model."""
    model = load_model(BUNDLED)
    each = [collect(model, [prompt]) for prompt in ("A red circle.", "Two blue squares.")]
    return Judge.of(each[0].some(12), PUBLISHED), Judge.of(each[1].some(12), PUBLISHED)


def uniform(steps: int) -> tuple[float, ...]:
    return tuple(progress_grid(steps, None).tolist())


def test_the_published_grid_has_no_error(judges: tuple[Judge, Judge]):
    assert judges[0].error(uniform(PUBLISHED)) == 0
    assert judges[0].error(uniform(8)) > 0


def test_a_searched_grid_is_nearer_than_any_it_started_from(judges: tuple[Judge, Judge]):
    searched, held_out = judges
    grid = best_grid(searched, 6)
    assert len(grid) == 7
    assert all(a < b for a, b in zip(grid, grid[1:], strict=False))
    shifted = min(searched.error(tuple(progress_grid(6, s).tolist())) for s in (0.5, 0.7, 1.0))
    assert searched.error(grid) < shifted
    assert held_out.error(grid) < held_out.error(uniform(6))


def test_a_grid_of_one_step_less_goes_the_same_way():
    assert fewer(uniform(6)) == pytest.approx(uniform(5))
    assert fewer((0.0, 0.1, 1.0)) == (0.0, 1.0)


class Steps:
    """Judges a grid by the number of its steps."""

    def __init__(self, factor: int) -> None:
        self.factor = factor

    def error(self, grid: tuple[float, ...]) -> float:
        return self.factor * (len(grid) - 1)


def test_errors_are_of_the_prompts_left_out_and_each_search_begins_near_the_last(
    model, monkeypatch: pytest.MonkeyPatch
):
    starts, heard = [], []

    def search(judge: Steps, steps: int, start: tuple[float, ...] | None) -> tuple[float, ...]:
        assert judge.factor == 1
        starts.append(start)
        return uniform(steps)

    monkeypatch.setattr(calibration, "best_grid", search)
    monkeypatch.setattr(calibration, "rounding_error", lambda judge, _steps: judge.error((0, 1)))
    found = calibrate(
        model, Steps(1), Steps(10), (4, 6, 5, 5), lambda *one: heard.append((one[0], one[2]))
    )
    assert {steps: one.error for steps, one in found.by_steps.items()} == {4: 40, 5: 50, 6: 60}
    assert found.rounding == 10
    assert heard == [(6, 6), (5, 5), (4, 4)]
    assert starts == [None, fewer(uniform(6)), fewer(uniform(5))]


def test_some_tokens_are_spread_over_all(judges: tuple[Judge, Judge]):
    noise = torch.arange(10.0)[:, None]
    whole = replace(judges[0].conditions, z=noise.expand(3, 10, 1), noise=noise)
    assert whole.some(4).noise.flatten().tolist() == [0, 3, 6, 9]
    assert torch.equal(whole.some(4).z[1], whole.some(4).noise)
    assert whole.some(99).noise.shape == (10, 1)


def test_a_learnt_flow_leads_away_from_the_noise_and_a_random_one_does_not(
    judges: tuple[Judge, Judge], model
):
    assert looks_trained(judges[0].conditions)
    assert not looks_trained(collect(model, ["a cat"]).some(12))


def test_rounding_is_measured_where_the_flow_is_exact(judges: tuple[Judge, Judge]):
    judge = judges[0]
    assert 1e-4 < (rounding_error(judge, PUBLISHED) or 0) < 0.1
    velocity = judge.conditions.velocity
    half = replace(judge.conditions, velocity=velocity, z=judge.conditions.z)
    assert torch.equal(half.latents(ImageSampling()), judge.published)


def test_the_command_writes_what_a_model_then_loads(tiny: Path, tmp_path: Path, capsys):
    home = tmp_path / "tiny"
    shutil.copytree(tiny, home)
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("a cat\n# not this\na dog\n", encoding="utf-8")
    words = ["calibrate", str(home), "--prompts", str(prompts), "--steps", "3", "2"]
    words += ["--tokens", "4", "--device", "cpu"]
    assert main([*words, "--dry-run"]) == 0
    assert load_model(home).schedules is None
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "these weights look random" in out
    found = load_model(home).schedules
    assert sorted(found.by_steps) == [2, 3]
    assert found.rounding > 0
    assert json.loads((home / "Ming-UniVision" / FILE_NAME).read_text())["published"] == 16


@pytest.mark.parametrize(
    ("text", "steps", "complaint"),
    [("one\n", "3", "has 1 prompts"), ("one\ntwo\n", "16", "counts below the 16")],
)
def test_what_it_cannot_work_with_is_said(tiny, tmp_path, capsys, text, steps, complaint):
    prompts = tmp_path / "prompts.txt"
    prompts.write_text(text, encoding="utf-8")
    words = ["calibrate", str(tiny), "--prompts", str(prompts), "--steps", steps]
    assert main(words) == 1
    assert complaint in capsys.readouterr().err


def test_the_bundled_model_ships_with_its_own():
    model = load_model(BUNDLED)
    assert isinstance(model.schedules, Schedules)
    assert sorted(model.schedules.by_steps) == list(range(4, 13))
    assert model.schedules.by_steps[6].error < model.schedules.rounding
