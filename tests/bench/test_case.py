"""What `ming bench` times: a case against the published algorithm, random weights, wishes."""

import logging
import os
from pathlib import Path

import pytest
import torch

from ming_bench import sources
from ming_bench.case import GRAPH_SWITCH, Case, fused_kernels, recording
from ming_bench.measure import Bench, Plan, plans
from ming_bench.random_model import SIZES, random_model
from ming_bench.report import component_sizes
from ming_bench.traffic import Bandwidth
from ming_core import ImageSampling, MingModel
from ming_core.kernels.probe import Case as KernelCase

CPU = torch.device("cpu")
CONTEXT = 12


def unmarked(name: str) -> None:
    pass


@pytest.mark.parametrize("rows", [1, 2, 3])
@torch.inference_mode()
def test_engine_and_baseline_draw_the_same_latents(model: MingModel, rows: int):
    case = Case.read(model, rows, CONTEXT)
    assert len(case.seen) == rows
    ours, theirs = case.draw(3, unmarked)[0], case.draw_baseline(3, unmarked)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@torch.inference_mode()
def test_branches_see_different_parts_of_the_prefix(case: Case):
    seen = [int(visible.sum()) for visible in case.seen.values()]
    assert seen == [12, 9, 6]
    assert case.cache.length == CONTEXT


@torch.inference_mode()
def test_pictures_side_by_side_are_those_drawn_alone(case: Case):
    pair, alone = case.side_by_side(2).draw(2, unmarked), case.draw(2, unmarked)
    torch.testing.assert_close(pair[:1], alone, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(pair[0], pair[1])


# Random weights.


def test_published_size_has_the_published_number_of_parameters():
    count = sources.weight_bytes(SIZES["published"], "fp32") / 4
    assert count == pytest.approx(18.80e9, rel=0.002)


def test_same_seed_gives_the_same_weights_in_every_precision(model: MingModel):
    small = random_model(SIZES["quick"], torch.bfloat16, CPU)
    for name, part in model.components.items():
        for mine, other in zip(part.parameters(), small.components[name].parameters(), strict=True):
            assert torch.equal(mine, other.float()), name


@pytest.mark.parametrize("precision", sources.PRECISIONS)
@torch.inference_mode()
def test_every_precision_draws_close_to_fp32(precision: str, model: MingModel):
    source = sources.source_of(None, None, "quick")
    other = source.make(precision, CPU)
    exact = Case.read(model, 3, CONTEXT).draw(2, unmarked)[0]
    ours = Case.read(other, 3, CONTEXT).draw(2, unmarked, replay=exact)[0]
    error = (ours - exact).abs().max() / exact.abs().max()
    assert error < 0.05
    assert (error == 0) == (precision == "fp32")


def test_activations_stay_sane(case: Case):
    with torch.inference_mode():
        latents = case.draw(4, unmarked)
    assert 0.1 < latents.std() < 10


def test_config_files_alone_are_enough(tiny: Path, tmp_path: Path):
    for name in ("Ming-UniVision", "MingTok-Vision"):
        (tmp_path / name).mkdir()
        text = (tiny / name / "config.json").read_text()
        (tmp_path / name / "config.json").write_text(text)
    source = sources.source_of(None, tmp_path, "quick")
    assert source.make("fp32", CPU).config == sources.source_of(tiny, None, "quick").config
    assert not source.is_trained


def test_a_case_adds_up(model: MingModel):
    bench = Bench(model, Bandwidth(read=2e9, copy=1e9), tokens=2, repeats=1)
    plan = Plan(rows=2, pictures=2, context=CONTEXT, solver="ab2", steps=4)
    found = bench.measure(plan)
    assert found["floor_ms"] == pytest.approx(found["gb_per_token"]["total"] / 2 * 1e3)
    median = found["ms_per_token"]["median"]
    assert found["over_floor"] == pytest.approx(median / found["floor_ms"])
    image = (found["prefill_seconds"] + 256 * median / 1e3) / 2 + found["pixel_decode_seconds"]
    assert found["seconds_per_image"] == pytest.approx(image)
    nothing = {"fp32": None, "baseline": None}
    assert found["errors"] == nothing, "other settings, other latents"
    assert found["baseline"]["ops_per_token"]["total"] > found["ops_per_token"]["total"]
    assert plan.sampling(model) == ImageSampling(steps=4, solver="ab2")


@pytest.mark.parametrize("precision", [p for p in sources.PRECISIONS if "int" in p])
def test_quantised_weights_have_no_baseline(precision: str, model: MingModel):
    small = sources.source_of(None, None, "quick").make(precision, CPU)
    bench = Bench(small, Bandwidth(1e9, 1e9), tokens=1, repeats=1)
    found = bench.measure(Plan(context=CONTEXT))
    assert found["baseline"] is None
    ours, exact = (component_sizes(m)["language_model"] for m in (small, model))
    assert ours["parameters"] == exact["parameters"]
    assert sum(ours["bytes"].values()) < sum(exact["bytes"].values()) / 2


def test_fused_kernels_are_those_for_this_model(model: MingModel, monkeypatch: pytest.MonkeyPatch):
    def tried(kernel: str, dtype: torch.dtype, stored: torch.dtype, tile: int = 16) -> KernelCase:
        return KernelCase(kernel, CPU, dtype, ((stored, 0), (stored, 0)), tile)

    verdicts = {
        tried("block", torch.float32, torch.float32): True,
        tried("block", torch.float32, torch.float32, 32): True,
        tried("add_experts", torch.float32, torch.float32): False,
        tried("add_experts", torch.float32, torch.int8): True,
        tried("add_experts", torch.bfloat16, torch.bfloat16): True,
    }
    monkeypatch.setattr("ming_core.kernels.choice._verdicts", verdicts)
    assert fused_kernels(model) == ["block"]


def test_a_graph_that_fails_is_not_called_replayed(
    model: MingModel, monkeypatch: pytest.MonkeyPatch
):
    bench = Bench(model, Bandwidth(1e9, 1e9), tokens=1, repeats=1, baseline=False)
    plan = Plan(rows=1, context=CONTEXT, steps=1, graph=True)
    found = bench.measure(plan)
    assert found["kernels"]["step"] == "replayed graph"
    assert set(found["ms_per_token"]) == {"median", "p90"}, "no marks inside of a graph"
    assert found["recording_ms"] > 0
    real = Case.draw

    def failing(self: Case, *arguments, graph: bool = False, **options) -> torch.Tensor:
        if graph:
            logging.getLogger("ming").warning("no graph; MING_CUDA_GRAPH=0 skips the attempt")
        return real(self, *arguments, graph=graph, **options)

    monkeypatch.setattr(Case, "draw", failing)
    assert bench.measure(plan)["kernels"]["step"] == "eager"
    assert not logging.getLogger("ming").handlers


def test_graphs_are_recorded_only_when_wanted(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(GRAPH_SWITCH, raising=False)
    with recording(wanted=True):
        assert GRAPH_SWITCH not in os.environ
    with recording(wanted=False):
        assert os.environ[GRAPH_SWITCH] == "0"
    assert GRAPH_SWITCH not in os.environ
    monkeypatch.setenv(GRAPH_SWITCH, "1")
    with recording(wanted=False):
        assert os.environ[GRAPH_SWITCH] == "0"
    assert os.environ[GRAPH_SWITCH] == "1"


def test_plans_are_every_combination():
    every = plans(Plan(), {"rows": [1, 3], "steps": [None, 8]})
    assert [(plan.rows, plan.steps) for plan in every] == [(1, None), (1, 8), (3, None), (3, 8)]
