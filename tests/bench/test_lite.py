"""The bench of Ming-Lite-Uni: both ways draw one picture; parts are whole and rounded alone."""

from dataclasses import replace

import pytest
import torch

from ming_bench.clock import clock_of
from ming_bench.lite import precision
from ming_bench.lite.picture import PROMPT, STAGES, pairs, published_picture, report
from ming_bench.lite.random_model import SIZES, random_model
from ming_cli.__main__ import main
from ming_core.lite_uni.generation import encode, sample
from ming_core.lite_uni.model import LiteUniModel
from ming_core.lite_uni.sampler import DiffusionSampling
from ming_core.pixels import to_image

CPU = torch.device("cpu")
TWO_STEPS = DiffusionSampling(steps=2)


@pytest.fixture(scope="module")
def model() -> LiteUniModel:
    return random_model(SIZES["quick"])


def test_random_weights_are_the_same_each_time(model):
    again = random_model(SIZES["quick"])
    for name, module in model.components.items():
        theirs = again.components[name].state_dict()
        assert all(torch.equal(t, theirs[key]) for key, t in module.state_dict().items())


@pytest.mark.parametrize("guidance", [5.0, 1.0])
def test_the_published_way_draws_the_same_picture(model, guidance):
    sampling = replace(TWO_STEPS, guidance=guidance)
    ours = sample(model, encode(model, PROMPT), seeds=[0], sampling=sampling)
    theirs = to_image(published_picture(model, sampling))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4)
    assert ours.std() > 0.01


def test_the_published_way_draws_a_picture_for_every_scale(model):
    calls: list[int] = []
    hook = model.parts.diffusion_transformer.register_forward_hook(lambda *_: calls.append(1))
    (pair,) = pairs(model, clock_of(CPU), TWO_STEPS, 1)
    hook.remove()
    assert len(calls) == 1 + 3 + 2 + 3 * 2  # one step each to warm up, then two
    assert set(pair.ours) == set(pair.theirs) == set(STAGES)
    assert all(seconds > 0 for seconds in (*pair.ours.values(), *pair.theirs.values()))
    assert pair.ratio == pytest.approx(sum(pair.theirs.values()) / sum(pair.ours.values()))
    assert "times as fast" in list(report([pair]))[-1]


def test_every_matrix_that_is_quantised_belongs_to_one_part(model):
    owned = [id(weight) for part in precision.PARTS for weight in precision.matrices(model, part)]
    assert len(owned) == len(set(owned))
    left = {
        f"{component}.{path}"
        for component, module in model.components.items()
        for path, parameter in module.named_parameters()
        if parameter.dim() > 1 and id(parameter) not in owned
    }
    assert not any(".layers." in path or ".attn" in path or ".conv" in path for path in left)
    tables = {path for path in left if path.endswith("table")}
    assert {path.split(".")[0] for path in left - tables} == {
        "connector",
        "language_model",
        "lm_head",
    }


def test_weights_are_exact_again_afterwards(model):
    before = {
        part: [w.clone() for w in precision.matrices(model, part)] for part in precision.PARTS
    }
    with precision.rounding(model, dict.fromkeys(precision.PARTS, "int4")):
        for part, weights in before.items():
            after = precision.matrices(model, part)
            assert not any(torch.equal(*pair) for pair in zip(weights, after, strict=True))
    for part, weights in before.items():
        after = precision.matrices(model, part)
        assert all(torch.equal(*pair) for pair in zip(weights, after, strict=True))


def test_fewer_bits_cost_more_and_only_what_follows(model):
    found = list(precision.costs(model, 1))
    costs = {(cost.name, cost.form): cost for cost in found}
    for part in precision.PARTS:
        int8, int4 = costs[part, "int8"], costs[part, "int4"]
        assert 0 < int8.picture < int4.picture
        assert (int8.condition == 0) is part.startswith(("transformer", "decoder"))
        assert (int8.velocity == 0) is part.startswith("decoder")
    together = {cost.form: cost for cost in found if cost.name == "together"}
    assert set(together) == set(precision.TOGETHER)
    lines = list(precision.report(found))
    assert len(lines) == 2 + len(precision.PARTS) + 3 + len(precision.TOGETHER)


def test_the_command_measures_the_second_family(capsys):
    words = [
        "bench",
        "--family",
        "Ming-Lite-Uni",
        "--size",
        "quick",
        "--steps",
        "1",
        "--repeats",
        "1",
    ]
    assert main(words) == 0
    told = capsys.readouterr().out
    assert all(stage in told for stage in (*STAGES, "a picture", "times as fast"))
    assert main([*words, "--precision-report"]) == 0
    assert "decoder of latents" in capsys.readouterr().out
