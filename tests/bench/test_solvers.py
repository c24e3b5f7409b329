"""`ming bench --solvers`: errors of the engine's own sampler, which shrink as they should."""

import json

import pytest
import torch

from ming_bench import solvers
from ming_bench.solvers import report, solver_error, solver_errors
from ming_cli.__main__ import main
from ming_cli.calibrate import collect
from ming_core import GENERATE_PREFIX, ImageSampling, MingModel, generate
from ming_core.univision.conditions import Conditions


@pytest.fixture(scope="module")
def conditions(model: MingModel) -> Conditions:
    return collect(model, ["a red circle"], seed=3)


def test_conditions_are_those_of_a_drawing(model: MingModel, conditions: Conditions):
    (reply,) = generate(model, GENERATE_PREFIX + "a red circle", seeds=[3])
    drawn = conditions.latents(ImageSampling())
    torch.testing.assert_close(drawn, reply.latents.values[0], rtol=1e-4, atol=1e-5)


def test_integrating_in_parts_changes_nothing(
    conditions: Conditions, monkeypatch: pytest.MonkeyPatch
):
    whole = conditions.latents(ImageSampling(steps=4))
    monkeypatch.setattr("ming_core.univision.conditions.MODULATION_BYTES", 1 << 20)
    torch.testing.assert_close(conditions.latents(ImageSampling(steps=4)), whole)


def test_errors_shrink_with_steps_and_order(conditions: Conditions):
    errors = solver_errors(conditions.some(16))
    plain = {(e.solver, e.steps): e.error for e in errors if e.time_shift is None and not e.renorm}
    assert plain["euler", 16] < plain["euler", 8] < plain["euler", 4]
    assert plain["ab2", 16] < plain["ab2", 8] < plain["ab2", 4]
    assert plain["ab2", 8] < plain["euler", 16]
    # First order: half the steps, twice the error.
    assert plain["euler", 8] / plain["euler", 16] == pytest.approx(2, rel=0.1)
    lines = report(errors)
    assert len(lines) == 1 + 8
    assert f"{plain['ab2', 6]:.4f}" in next(line for line in lines if line.startswith("ab2 6"))


def test_error_is_relative_to_the_size_of_the_latents():
    true = torch.tensor([[3.0, 4.0], [3.0, 4.0]])
    off = true + torch.tensor([[0.0, 0.0], [0.0, 1.0]])
    found = solver_error(off, true, ImageSampling())
    assert found.error == pytest.approx((1 / 2) ** 0.5 / 5)
    assert found.worst_token == pytest.approx(1 / 5)


def test_command_says_that_random_weights_say_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(solvers, "TRUE_STEPS", 32)
    monkeypatch.setattr(solvers, "STEPS", (4,))
    words = ["bench", "--solvers", "--size", "quick", "--quick", "--device", "cpu"]
    assert main(words) == 0
    assert "say" in capsys.readouterr().out.splitlines()[1]
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["is_trained"] is False
    assert {error["steps"] for error in found["errors"]} == {4}
