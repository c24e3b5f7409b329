"""Bytes, operations and routing: the counts agree with sums done another way."""

import re
from collections import Counter
from pathlib import Path

import pytest
import torch
from torch import nn

from ming_bench import checks
from ming_bench.case import Case
from ming_bench.clock import HEAD, LANGUAGE, REST, SEMANTIC, TOKEN, unmarked
from ming_bench.counters import count_token, routed, watched_routers
from ming_bench.random_model import SIZES, random_model
from ming_bench.traffic import bytes_per_token
from ming_core import ExpertLinear, MingModel, TorchOperations
from ming_core.quantisation import operations_for
from ming_core.univision.memory import ROUTED, work_of
from ming_core.univision.model import Components

CPU = torch.device("cpu")
CONTEXT = 12


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
    with watched_routers(model) as chosen:
        case.draw(2, lambda name: marks.append(len(calls)) if name == TOKEN else None)
    for hook in hooks:
        hook.remove()
    for layer in calls[marks[0] : marks[1]]:
        size = sum(tensor.nbytes for tensor in (*layer.parameters(), *layer.buffers()))
        share = model.config.language.num_experts if isinstance(layer, ExpertLinear) else 1
        read["all"] += size // share
    layers_count = model.config.language.num_layers
    distinct = sum(len(e.unique()) for e in chosen[-layers_count:]) / layers_count
    counted = bytes_per_token(model, 3 * CONTEXT, model.config.flow.steps, distinct)
    assert counted.total() - counted["cache"] == read["all"]
    assert counted["cache"] == 3 * CONTEXT * model.kv_shape.bytes_per_token


def test_the_published_model_reads_what_the_page_on_performance_says():
    figures = SIZES["published"]
    parts = Components.build(figures, TorchOperations, torch.bfloat16)
    whole = MingModel("meta", figures, None, parts, torch.bfloat16, CPU)
    counted = bytes_per_token(whole, 3 * 200, 16, 10.0)
    assert round(counted.total() / 1e9, 1) == 36.8
    page = (Path(__file__).parents[2] / "docs" / "performance.md").read_text(encoding="utf-8")
    shown = dict(re.findall(r"^\| ([a-z ]+) \| (\d+\.\d) \|", page, flags=re.MULTILINE))
    kinds = ("head", "experts", "language_model", "semantic_decoder")
    assert list(shown.values()) == [f"{counted[kind] / 1e9:.1f}" for kind in kinds]


@pytest.mark.parametrize("size", ["mid", "published"])
def test_what_a_processor_is_said_to_multiply_is_what_a_token_reads(size: str):
    figures = SIZES[size]
    parts = Components.build(figures, TorchOperations, torch.bfloat16)
    whole = MingModel("meta", figures, None, parts, torch.bfloat16, CPU)
    distinct = ROUTED * figures.language.top_k
    counted = bytes_per_token(whole, 0, figures.flow.steps, distinct).total() / 2
    work = work_of(parts, figures)
    assert work.weights["bf16"] / figures.language.num_image_tokens == pytest.approx(counted, 0.01)
    few = Components.build(figures, operations_for(TorchOperations, "int4"), torch.bfloat16)
    kept = work_of(few, figures).weights
    assert sum(kept.values()) == pytest.approx(sum(work.weights.values()))


def test_fewer_solver_steps_read_less(model: MingModel):
    sixteen, eight = (bytes_per_token(model, 3 * CONTEXT, s, 4.0) for s in (16, 8))
    assert sixteen["head"] > eight["head"] > sixteen["head"] / 2
    assert sixteen["experts"] == eight["experts"]


@torch.inference_mode()
def test_operations_are_counted_by_part(case: Case):
    ours = count_token(lambda mark: case.draw(2, mark), CPU)
    theirs = count_token(lambda mark: case.draw_baseline(2, mark), CPU)
    for counts in (ours, theirs):
        assert set(counts["ops_per_token"]) == {"total", HEAD, SEMANTIC, LANGUAGE, REST}
        assert counts["syncs_per_token"] is None, "a CPU waits for nobody"
    assert ours["ops_per_token"][HEAD] < theirs["ops_per_token"][HEAD]


@torch.inference_mode()
def test_uniform_routing_spreads_rows_and_repeats(model: MingModel, case: Case):
    def distinct(routing: str) -> list[int]:
        with routed(model, routing), watched_routers(model) as chosen:
            case.draw(8, unmarked)
        return [len(experts.unique()) for experts in chosen]

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


def test_operations_at_the_published_depths_stay_few():
    case = Case.read(random_model(SIZES["deep"], torch.float32, CPU), 3, checks.CONTEXT)
    with torch.inference_mode():
        ops = count_token(lambda mark: case.draw(2, mark), CPU)["ops_per_token"]
    assert ops["total"] <= 4000
    assert ops[HEAD] <= 1800
