"""Calibrated schedules: kept with a checkpoint's identity, asked for by settings, refused."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from ming_core import CheckpointError, ImageSampling, MingModel, PromptError, generate, load_model
from ming_core.families import convert
from ming_core.univision.flow.schedule import (
    Calibrated,
    Schedules,
    grid_of,
    progress_grid,
)
from ming_core.univision.schedule_file import FILE_NAME, read_schedules, write_schedules

GRID = (0.0, 0.2, 0.7, 1.0)
CALIBRATED = ImageSampling(steps=3, schedule="calibrated")


def schedules(identity: str) -> Schedules:
    return Schedules(identity, 16, 0.0123, {3: Calibrated(GRID, 0.004)})


def test_they_are_read_back_as_they_were_written(tmp_path: Path):
    kept = schedules("x")
    write_schedules(kept, tmp_path)
    assert read_schedules(tmp_path, "x") == kept
    assert kept.told(3) == "calibrated 3 for 16: error 0.004, rounding to bf16 is 0.012"
    assert Schedules("x", 16, None, kept.by_steps).told(3) == "calibrated 3 for 16: error 0.004"


def test_those_of_another_model_count_for_nothing(tmp_path: Path):
    assert read_schedules(tmp_path, "x") is None
    write_schedules(schedules("x"), tmp_path)
    assert read_schedules(tmp_path, "y") is None


@pytest.mark.parametrize(
    "broken",
    [
        {"by_steps": {"3": {"grid": [0, 0.5, 1], "error": 0}}},
        {"by_steps": {"3": {"grid": [0, 0.7, 0.5, 1], "error": 0}}},
        {"by_steps": {"3": {"grid": [0.1, 0.2, 0.5, 1], "error": 0}}},
        {"by_steps": {"3": {"error": 0}}},
        {"by_steps": 3},
        {"rounding": "much"},
    ],
)
def test_a_file_that_holds_no_schedules_is_refused(broken: dict, tmp_path: Path):
    path = write_schedules(schedules("x"), tmp_path)
    path.write_text(json.dumps(json.loads(path.read_text()) | broken))
    with pytest.raises(CheckpointError, match=r"Delete it, and run ming calibrate again"):
        read_schedules(tmp_path, "x")


def test_settings_choose_the_grid():
    assert torch.equal(grid_of(ImageSampling(steps=4), None), progress_grid(4, None))
    shifted = ImageSampling(steps=4, time_shift=0.5)
    assert torch.equal(grid_of(shifted, schedules("x")), progress_grid(4, 0.5))
    assert grid_of(CALIBRATED, schedules("x")).tolist() == pytest.approx(GRID)
    with pytest.raises(PromptError, match="no calibrated schedules. Run `ming calibrate`"):
        grid_of(CALIBRATED, None)
    with pytest.raises(PromptError, match="calibrated for 3 steps, not for 16"):
        grid_of(ImageSampling(schedule="calibrated"), schedules("x"))


def test_what_does_not_go_with_a_calibrated_schedule_is_refused():
    for odd in ({"solver": "ab2"}, {"time_shift": 0.5}):
        with pytest.raises(PromptError, match="found for euler, and without a time shift"):
            ImageSampling(schedule="calibrated", **odd)
    with pytest.raises(PromptError, match="use one of uniform, calibrated"):
        ImageSampling(schedule="best")


@pytest.fixture
def calibrated(tiny: Path, model: MingModel, tmp_path: Path) -> Path:
    """A copy of the tiny checkpoint with schedules of its own."""
    home = tmp_path / "tiny"
    shutil.copytree(tiny, home)
    write_schedules(schedules(model.identity), home / "Ming-UniVision")
    return home


def test_a_checkpoint_brings_its_own_and_draws_by_them(calibrated: Path, model: MingModel):
    loaded = load_model(calibrated)
    assert model.schedules is None
    assert loaded.schedules == schedules(model.identity)
    drawn, uniform, plain = (
        generate(one, "a star", seeds=[1], sampling=how)[0].latents.values
        for one, how in (
            (loaded, CALIBRATED),
            (loaded, ImageSampling(steps=3)),
            (model, ImageSampling(steps=3)),
        )
    )
    assert torch.equal(uniform, plain)
    assert not torch.equal(drawn, uniform)


def test_converting_takes_them_along(calibrated: Path, tmp_path: Path, model: MingModel):
    folder = convert(calibrated, tmp_path / "converted", quantise="int8")
    assert (folder / FILE_NAME).is_file()
    assert load_model(folder).schedules == schedules(model.identity)
