"""`ming bench`: its own figures are checked against sums done another way, at tiny sizes."""

import json
import logging
import os
import re
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
import torch
from torch import nn

from ming_cli.__main__ import main
from ming_cli.bench import checks, clock, report, sources
from ming_cli.bench.case import GRAPH_SWITCH, Case, fused_kernels, recording, watched_parts
from ming_cli.bench.clock import HEAD, LANGUAGE, REST, SEMANTIC, TOKEN, Timeline, milliseconds
from ming_cli.bench.counters import count_token, watched_experts
from ming_cli.bench.measure import Bench, Effort, Plan, plans
from ming_cli.bench.random_model import SIZES, random_model
from ming_cli.bench.routing import routed
from ming_cli.bench.traffic import Bandwidth, Load, bytes_per_token, component_sizes
from ming_cli.make_tiny import make_tiny
from ming_core import ExpertLinear, ImageSampling, MingModel, TorchOperations
from ming_core.conversion import convert
from ming_core.kernels.probe import Case as KernelCase
from ming_core.model import Components

CPU = torch.device("cpu")
CONTEXT = 12


def unmarked(name: str) -> None:
    pass


@pytest.fixture(scope="module")
def model() -> MingModel:
    return random_model(SIZES["quick"], torch.float32, CPU)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def case(model: MingModel) -> Case:
    return Case.read(model, 3, CONTEXT)


@pytest.fixture(autouse=True)
def small_buffer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ming_cli.bench.traffic.CPU_BYTES", 1 << 16)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


# The published algorithm and the engine, on the same weights and noise.


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


# Counting.


@torch.inference_mode()
def test_bytes_are_those_of_the_layers_that_a_token_calls(model: MingModel, case: Case):
    """Another way to the same sum: every call of a layer reads its tensors."""
    read: Counter[str] = Counter()
    calls: list[nn.Module] = []

    def count(layer: nn.Module, inputs: tuple) -> None:
        calls.append(layer)

    parts = [model.parts.language_model, model.parts.semantic_decoder]
    layers = [
        layer
        for part in parts
        for layer in part.modules()
        if not list(layer.children()) and list(layer.parameters())
    ]
    hooks = [layer.register_forward_pre_hook(count) for layer in layers]
    marks: list[int] = []
    with watched_experts(model) as experts:
        case.draw(2, lambda name: marks.append(len(calls)) if name == TOKEN else None)
    for hook in hooks:
        hook.remove()
    for layer in calls[marks[0] : marks[1]]:
        size = sum(tensor.nbytes for tensor in (*layer.parameters(), *layer.buffers()))
        share = model.config.language.num_experts if isinstance(layer, ExpertLinear) else 1
        read["all"] += size // share
    layers_count = model.config.language.num_layers
    distinct = sum(experts[-layers_count:]) / layers_count
    counted = bytes_per_token(model, Load(3, CONTEXT, model.config.flow.steps, distinct))
    assert counted.total() - counted["cache"] == read["all"]
    assert counted["cache"] == 3 * CONTEXT * model.kv_shape.bytes_per_token


def test_the_published_model_reads_what_the_page_on_performance_says():
    figures = SIZES["published"]
    parts = Components.build(figures, TorchOperations, torch.bfloat16)
    whole = MingModel("meta", figures, None, parts, torch.bfloat16, CPU)
    counted = bytes_per_token(whole, Load(3, 200, 16, 10.0))
    assert round(counted.total() / 1e9, 1) == 36.8
    page = (Path(__file__).parents[2] / "docs" / "performance.md").read_text(encoding="utf-8")
    shown = dict(re.findall(r"^\| ([a-z ]+) \| (\d+\.\d) \|", page, flags=re.MULTILINE))
    kinds = ("head", "experts", "language_model", "semantic_decoder")
    assert list(shown.values()) == [f"{counted[kind] / 1e9:.1f}" for kind in kinds]


def test_fewer_solver_steps_read_less(model: MingModel):
    sixteen, eight = (bytes_per_token(model, Load(3, CONTEXT, s, 4.0)) for s in (16, 8))
    assert sixteen["head"] > eight["head"] > sixteen["head"] / 2
    assert sixteen["experts"] == eight["experts"]


@torch.inference_mode()
def test_operations_are_counted_by_part(case: Case):
    ours = count_token(lambda mark: case.draw(2, mark), CPU)
    theirs = count_token(lambda mark: case.draw_baseline(2, mark), CPU)
    for counts in (ours, theirs):
        assert set(counts.ops) == {HEAD, SEMANTIC, LANGUAGE, REST}
    assert ours.ops[HEAD] < theirs.ops[HEAD]
    # One look at the routing per layer.
    assert theirs.syncs == case.model.config.language.num_layers


@pytest.mark.parametrize(
    ("ask", "asks"),
    [
        (lambda x: x.tolist(), 1),
        (lambda x: x.sum().item(), 1),
        (lambda x: bool(x.any()), 1),
        (lambda x: x[x > 0], 1),
        (lambda x: x.nonzero(), 1),
        (lambda x: x.cpu(), 1),
        (lambda x: (x * 2).sum(), 0),
        (lambda x: x[1:], 0),
    ],
)
def test_asking_a_tensor_is_counted(ask, asks: int):
    def run(mark) -> None:
        mark(TOKEN)
        ask(torch.ones(3))
        mark(TOKEN)

    assert count_token(run, CPU).syncs == asks


# Routing.


@torch.inference_mode()
def test_uniform_routing_spreads_rows_and_repeats(model: MingModel, case: Case):
    def distinct(routing: str) -> list[int]:
        with routed(model, routing), watched_experts(model) as experts:
            case.draw(8, unmarked)
        return experts

    uniform = distinct("uniform")
    language = model.config.language
    missed = (1 - language.top_k / language.num_experts) ** 3
    expected = language.num_experts * (1 - missed)
    assert sum(uniform) / len(uniform) == pytest.approx(expected, rel=0.2)
    assert uniform == distinct("uniform")
    before = torch.get_rng_state()
    distinct("uniform")
    assert torch.equal(before, torch.get_rng_state())
    assert sum(distinct("model")) < sum(uniform)


# Time.


class Steps:
    """A clock that a test sets."""

    def __init__(self, times: list[float]) -> None:
        self.times = iter(times)

    def now(self) -> float:
        return next(self.times)

    def settle(self) -> None:
        pass

    def seconds(self, start: float, end: float) -> float:
        return end - start


def test_timeline_splits_tokens():
    line = Timeline(Steps([0, 1, 3, 6, 10, 20, 21, 23, 26, 30]))
    for name in (REST, HEAD, SEMANTIC, LANGUAGE, TOKEN, HEAD, SEMANTIC, LANGUAGE, REST, TOKEN):
        line(name)
    first, second = line.tokens()
    assert first == {HEAD: 2, SEMANTIC: 3, LANGUAGE: 4}
    assert second == {REST: 10 + 4, HEAD: 1, SEMANTIC: 2, LANGUAGE: 3}


def test_timeline_of_a_replayed_graph_leaves_out_the_first_token():
    line = Timeline(Steps([5, 7, 10]))
    for _ in range(3):
        line(TOKEN)
    assert line.tokens() == [{REST: 2}, {REST: 3}]
    assert milliseconds(line.tokens()) == {"median": 2500, "p90": 3000}


@torch.inference_mode()
def test_parts_are_marked_in_order(model: MingModel, case: Case):
    names: list[str] = []
    case.draw(2, names.append)
    token = [HEAD, SEMANTIC, REST, LANGUAGE, REST, TOKEN]
    assert names == [LANGUAGE, REST, *token, *token]
    with watched_parts(model, None):
        assert not model.parts.semantic_decoder._forward_pre_hooks
    baseline: list[str] = []
    case.draw_baseline(2, baseline.append)
    assert baseline == [HEAD, SEMANTIC, REST, LANGUAGE, TOKEN] * 2


@pytest.mark.skipif(sys.platform == "win32", reason="tells processor time too coarsely")
def test_other_processes_do_not_count_on_one_thread_of_a_cpu():
    torch.set_num_threads(1)
    sleeping = clock.HostClock(CPU)
    start = sleeping.now()
    time.sleep(0.2)
    assert sleeping.seconds(start, sleeping.now()) < 0.1
    torch.set_num_threads(2)
    waiting = clock.HostClock(CPU)
    start = waiting.now()
    time.sleep(0.05)
    assert waiting.seconds(start, waiting.now()) >= 0.05


class FakeEvent:
    """A CUDA event of a device whose time passes by one millisecond per event."""

    made = 0

    def __init__(self, enable_timing: bool = False) -> None:
        assert enable_timing
        self.at: int | None = None

    def record(self) -> None:
        FakeEvent.made += 1
        self.at = FakeEvent.made

    def elapsed_time(self, other: "FakeEvent") -> float:
        return float(other.at - self.at)


def test_cuda_times_come_from_events(monkeypatch: pytest.MonkeyPatch):
    waits: list[str] = []
    monkeypatch.setattr(torch.cuda, "Event", FakeEvent)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: waits.append("wait"))
    line = Timeline(clock.clock_of(torch.device("cuda")))
    for name in (HEAD, LANGUAGE, TOKEN):
        line(name)
    assert not waits, "marks must not wait for the device"
    assert line.tokens() == [{HEAD: 1e-3, LANGUAGE: 1e-3}]
    assert waits == ["wait"]


def test_cuda_waits_come_from_its_own_warnings(monkeypatch: pytest.MonkeyPatch):
    import warnings

    modes: list[str] = []
    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", modes.append)

    def run(mark) -> None:
        mark(TOKEN)
        for text in ("called a synchronizing CUDA operation", "something else"):
            warnings.warn(text, stacklevel=1)
        mark(TOKEN)

    assert count_token(run, torch.device("cuda")).syncs == 1
    assert modes == ["warn", "default"]


def test_cuda_memory_is_the_peak_on_the_card(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 3 * 10**9)
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda device: 4 * 10**9)
    found = clock.peak_memory(torch.device("cuda"))
    assert found == {"allocated": 3.0, "reserved": 4.0}


def test_devices_are_named_as_tensors_name_them(monkeypatch: pytest.MonkeyPatch):
    chosen: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 3)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    assert clock.device_named(None) == torch.device("cuda:3")
    assert clock.device_named("cuda:1") == torch.device("cuda:1")
    assert chosen == [torch.device("cuda:1")]
    assert clock.device_named("cpu") == CPU


def test_weights_that_do_not_fit_the_card_are_refused(monkeypatch: pytest.MonkeyPatch):
    machine = sources.Machine(None, None, "card", free_vram=24 * 10**9, total_vram=24 * 10**9)
    monkeypatch.setattr(sources.Machine, "here", lambda: machine)
    source = sources.source_of(None, None, "published")
    with pytest.raises(sources.CheckpointError, match=r"bf16 weights take 38.* 24.0 GB are free"):
        sources.refuse_unusable(source, "bf16", torch.device("cuda"))
    sources.refuse_unusable(source, "int8", torch.device("cuda"))


# Whole cases.


def test_a_case_adds_up(model: MingModel):
    bench = Bench(model, Bandwidth(read=2e9, copy=1e9), Effort(tokens=2, repeats=1))
    plan = Plan(rows=2, pictures=2, context=CONTEXT, solver="ab2", steps=4)
    found = bench.measure(plan)
    assert found["floor_ms"] == pytest.approx(found["gb_per_token"]["total"] / 2 * 1e3)
    median = found["ms_per_token"]["median"]
    assert found["over_floor"] == pytest.approx(median / found["floor_ms"])
    image = (found["prefill_seconds"] + 256 * median / 1e3) / 2 + found["pixel_decode_seconds"]
    assert found["seconds_per_image"] == pytest.approx(image)
    nothing = {"fp32": None, "baseline": None, "reference": None}
    assert found["errors"] == nothing, "other settings, other latents"
    assert found["baseline"]["ops_per_token"]["total"] > found["ops_per_token"]["total"]
    assert plan.sampling(model) == ImageSampling(steps=4, solver="ab2")


@pytest.mark.parametrize("precision", [p for p in sources.PRECISIONS if "int" in p])
def test_quantised_weights_have_no_baseline(precision: str, model: MingModel):
    small = sources.source_of(None, None, "quick").make(precision, CPU)
    bench = Bench(small, Bandwidth(1e9, 1e9), Effort(tokens=1, repeats=1))
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
    bench = Bench(model, Bandwidth(1e9, 1e9), Effort(tokens=1, repeats=1, baseline=False))
    plan = Plan(rows=1, context=CONTEXT, steps=1, graph=True)
    found = bench.measure(plan)
    assert found["kernels"]["step"] == "replayed graph"
    assert set(found["ms_per_token"]) == {"median", "p90"}, "no marks inside of a graph"
    assert found["recording_ms"] > found["ms_per_token"]["median"]
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


def run(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    code = main(["bench", "--device", "cpu", *words])
    shown = capsys.readouterr()
    assert code == 0, shown.err
    return shown.out.splitlines()


def test_command_prints_a_line_per_case_and_a_table(capsys: pytest.CaptureFixture[str]):
    words = "--size quick --precision fp32 bf16 --rows 2 --tokens 1 --repeats 1 --context 8"
    lines = run(capsys, *words.split())
    cases = [json.loads(line) for line in lines[:2]]
    assert [case["precision"] for case in cases] == ["fp32", "bf16"]
    assert cases[0]["errors"]["baseline"] < 1e-5
    assert 1e-5 < cases[1]["errors"]["fp32"] < 0.05
    for case in cases:
        assert case["routing"]["mode"] == "uniform"
        assert case["kernels"] == {"step": "eager", "fused": []}
        assert case["sizes"]["flow_head"]["depth"] == 2
        assert case["read_gb_per_s"] > 0
    sizes = [case["components"]["language_model"] for case in cases]
    assert sizes[0]["parameters"] == sizes[1]["parameters"]
    assert sizes[0]["bytes"]["float32"] == 2 * sizes[1]["bytes"]["bfloat16"]
    assert len(lines) == 2 + 1 + 1 + 4, "an empty line, a heading, and two rows a case"


def test_command_measures_a_checkpoint(tiny: Path, capsys: pytest.CaptureFixture[str]):
    words = "--rows 1 --tokens 1 --repeats 1 --no-baseline --json --step eager --context 8"
    (line,) = run(capsys, str(tiny), *words.split())
    case = json.loads(line)
    assert case["routing"]["mode"] == "model"
    assert case["routing"]["distinct_experts"] == 2, "one row chooses its top 2"
    assert case["baseline"] is None


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--step", "graph"], "needs CUDA"),
        (["--pictures", "0"], "count from 1"),
        (["--config", "no-such-folder"], "no-such-folder"),
        (["--cpu", "--solvers"], "cannot go with size, solvers"),
    ],
)
def test_wrong_wishes_are_refused_in_words(
    words: list[str], expected: str, capsys: pytest.CaptureFixture[str]
):
    assert main(["bench", "--device", "cpu", "--size", "quick", *words]) == 1
    assert expected in capsys.readouterr().err


def test_cpu_checks_end_with_one_object(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    small = SIZES["quick"]
    monkeypatch.setattr(checks, "SIZES", {"mid": small, "deep": small})
    lines = run(capsys, "--cpu", "--quick", "--json", "--repeats", "1")
    figures = json.loads(lines[-1])
    wanted = {"ratio_3_rows", "ratio_2_rows", "batch4_over_4x1", "ops_per_token", "latent_error"}
    assert wanted <= set(figures)
    assert figures["head_ops_per_token"] < figures["ops_per_token"]
    assert figures["latent_error"] < 1e-5
    assert len(lines) == len(figures) + 1


def test_operations_at_the_published_depths_stay_few():
    case = Case.read(random_model(SIZES["deep"], torch.float32, CPU), 3, checks.CONTEXT)
    with torch.inference_mode():
        counts = count_token(lambda mark: case.draw(2, mark), CPU)
    assert counts.ops.total() <= 4000
    assert counts.ops[HEAD] <= 1800


def test_revision_names_a_commit():
    assert report.revision() != "unknown"


@pytest.mark.parametrize("stored", ["int8", "int4"])
def test_a_quantised_folder_is_measured_as_what_it_holds(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], stored: str
):
    folder = convert(tiny, tmp_path / "ming", quantise=stored)
    words = ["bench", str(folder), "--device", "cpu", "--tokens", "1"]
    quick = [*words, "--quick", "--repeats", "1", "--no-baseline", "--json"]
    for refused in ([*quick, "--precision", "fp32"], [*words, "--precision-report"]):
        assert main(refused) == 1
        out, err = capsys.readouterr()
        assert f"{folder} holds {stored}" in err
        assert not out
    assert main([*quick, "--precision", stored]) == 0
    line = json.loads(capsys.readouterr().out)
    assert line["precision"] == stored
    assert line["errors"]["fp32"] is None, "the exact weights are not there to compare with"
