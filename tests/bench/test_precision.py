"""The precision report: every matrix in one part, nothing left rounded, and bits that count."""

import pytest
import torch

from ming_bench.precision import PARTS, Cost, costs, matrices, rounded, rounding, run
from ming_bench.random_model import SIZES, random_model
from ming_cli.__main__ import main
from ming_core import MingModel
from ming_core.formats import INT8
from ming_core.quantisation import QUANTISATIONS, QuantisedLinear


@pytest.fixture(scope="module")
def model() -> MingModel:
    return random_model(SIZES["quick"], torch.float32, torch.device("cpu"))


@pytest.fixture(scope="module")
def found(model: MingModel) -> dict[tuple[str, str], Cost]:
    return {(cost.name, cost.form): cost for cost in costs(model, tokens=2)}


def test_every_matrix_of_drawing_belongs_to_one_part(model: MingModel):
    owned = [id(weight) for part in PARTS for weight in matrices(model, part)]
    assert len(owned) == len(set(owned))
    drawing = (model.parts.language_model, model.parts.semantic_decoder)
    every = {id(p): n for root in drawing for n, p in root.named_parameters() if p.dim() > 1}
    left = {every[key] for key in every.keys() - set(owned)}
    assert left == {"transformer.word_embeddings.weight", "transformer.lm_head.weight"}


def test_weights_are_exact_again_afterwards(model: MingModel):
    before = [weight.clone() for part in PARTS for weight in matrices(model, part)]
    with rounding(model, dict.fromkeys(PARTS, "int4")):
        changed = [weight for part in PARTS for weight in matrices(model, part)]
        assert not any(torch.equal(*pair) for pair in zip(before, changed, strict=True))
    after = [weight for part in PARTS for weight in matrices(model, part)]
    assert all(torch.equal(*pair) for pair in zip(before, after, strict=True))


def test_rounded_weights_are_those_a_layer_computes_with():
    weight = torch.randn(8, 64, generator=torch.Generator().manual_seed(0))
    layer = QuantisedLinear(64, 8, form=INT8, bias=False)
    layer.store(weight, ())
    assert torch.allclose(torch.eye(64) @ rounded(weight, "int8").T, layer(torch.eye(64)))
    assert torch.equal(rounded(weight[:, :40], "int4"), rounded(weight[:, :40], "int8"))


def test_nothing_rounded_costs_nothing(model: MingModel):
    exact = run(model, 2)
    again = run(model, 2, exact.latents)
    assert again.latent_error(exact) == 0
    assert again.agreement(exact) == 1


def test_fewer_bits_cost_more(found: dict[tuple[str, str], Cost]):
    for part in PARTS:
        errors = [found[part, form].latent_error for form in ("int8", "int4")]
        assert 0 < errors[0] <= errors[1], part
    whole = [found["together", name].latent_error for name in ("int8", "int4-experts")]
    assert 0 < whole[0] < whole[1]
    assert all(0 < cost.agreement <= 1 for cost in found.values())


def test_the_command_prints_a_line_per_part(capsys: pytest.CaptureFixture[str]):
    words = ["bench", "--size", "quick", "--device", "cpu", "--precision-report", "--tokens", "1"]
    assert main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "random weights, quick" in lines[0]
    for name in (*PARTS, *QUANTISATIONS):
        twice = name in QUANTISATIONS  # rounded alone, and as this device runs them
        assert sum(line.startswith(f"| {name} |") for line in lines) == 1 + twice
    assert {line.count("|") for line in lines if line.startswith("| attention")} == {6}
    assert {line.count("|") for line in lines if line.startswith("| int4")} == {4}
