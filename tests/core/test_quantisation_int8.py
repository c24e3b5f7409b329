"""8-bit weights: how exact they are, what they weigh, and what they leave alone."""

from pathlib import Path

import pytest
import torch

import ming_core
from ming_core.formats import INT8
from ming_core.operations import ExpertLinear
from ming_core.quantisation import QuantisedExpertLinear, QuantisedLeaf, QuantisedLinear

GOLDEN = Path(__file__).parents[1] / "golden" / "a"


@pytest.fixture(scope="module")
def quantised() -> ming_core.MingModel:
    return ming_core.load_model(GOLDEN, quantise="int8")


@pytest.fixture(scope="module")
def exact() -> ming_core.MingModel:
    return ming_core.load_model(GOLDEN)


def test_a_stored_weight_is_off_by_half_a_level_at_most():
    weight = torch.randn(24, 40, generator=torch.Generator().manual_seed(0))
    layer = QuantisedLinear(40, 24, form=INT8, bias=False)
    layer.store(weight, ())
    off = (layer.weight.float() * layer.scale[:, None] - weight).abs()
    assert (off <= layer.scale[:, None] / 2 + 1e-7).all()
    assert layer.weight.abs().amax(dim=1).eq(127).all()


def test_the_product_is_that_of_the_stored_weight_and_the_bias_is_added():
    generator = torch.Generator().manual_seed(1)
    layer = QuantisedLinear(40, 24, form=INT8)
    layer.store(torch.randn(24, 40, generator=generator), ())
    layer.bias.data.normal_(generator=generator)
    x = torch.randn(5, 40, generator=generator)
    weight = layer.weight.float() * layer.scale[:, None]
    torch.testing.assert_close(layer(x), x @ weight.T + layer.bias, rtol=1e-5, atol=1e-5)


def test_experts_stored_in_stretches_give_each_their_own_product():
    generator = torch.Generator().manual_seed(2)
    weights = torch.randn(3, 8, 16, generator=generator)
    layer = QuantisedExpertLinear(3, 16, 8, form=INT8)
    for expert in range(3):
        layer.store(weights[expert, :4], (expert, slice(0, 4)))
        layer.store(weights[expert, 4:], (expert, slice(4, None)))
    x = torch.randn(2, 16, generator=generator)
    for expert in range(3):
        off = (layer(x, expert) - x @ weights[expert].T).norm() / (x @ weights[expert].T).norm()
        assert off < 0.02


def test_a_channel_of_zeros_stays_zero():
    layer = QuantisedLinear(4, 2, form=INT8, bias=False)
    layer.store(torch.tensor([[0.0] * 4, [1.0] * 4]), ())
    assert layer(torch.ones(1, 4)).tolist()[0] == [0.0, pytest.approx(4.0)]


def test_only_large_matrices_of_the_language_model_and_head_are_quantised(quantised):
    names = {
        name
        for component, module in quantised.components.items()
        for name, layer in module.named_modules(prefix=component)
        if isinstance(layer, QuantisedLeaf)
    }
    kinds = {".".join(p for p in n.split(".") if not p.isdecimal()) for n in names}
    assert kinds == {
        "language_model.transformer.layers.attention.query_key_value",
        "language_model.transformer.layers.attention.dense",
        "language_model.transformer.layers.mlp.gate_up",
        "language_model.transformer.layers.mlp.down",
        "language_model.transformer.layers.mlp.shared_experts.gate_proj",
        "language_model.transformer.layers.mlp.shared_experts.up_proj",
        "language_model.transformer.layers.mlp.shared_experts.down_proj",
        "language_model.velocity.modulation",
        "language_model.velocity.res_blocks.mlp.w12",
        "language_model.velocity.res_blocks.mlp.w3",
    }


def test_scales_stay_fp32_when_the_model_computes_in_bf16():
    model = ming_core.load_model(GOLDEN, quantise="int8", dtype=torch.bfloat16)
    layers = [m for m in model.parts.language_model.modules() if isinstance(m, QuantisedLeaf)]
    assert layers
    assert {layer.scale.dtype for layer in layers} == {torch.float32}


def test_the_first_latent_is_near_the_exact_one(exact, quantised):
    first = [
        ming_core.generate(model, "a cat", seeds=[1])[0].latents.values[0, 0]
        for model in (exact, quantised)
    ]
    error = float((first[0] - first[1]).norm() / first[0].norm())
    assert 0 < error < 0.1


def test_a_context_moves_between_precisions(exact, quantised):
    assert exact.identity == quantised.identity
    context = ming_core.generate(exact, "a cat", seeds=[1])[0].context
    edited = ming_core.edit(quantised, "make it red", seed=2, context=context)
    assert len(edited.context.turns) == 2


def test_experts_are_a_quarter_of_their_fp32_size(exact, quantised):
    def size(model, kind):
        layers = model.parts.language_model.modules()
        return sum(m.weight.nbytes for m in layers if isinstance(m, kind))

    assert 4 * size(quantised, QuantisedExpertLinear) == size(exact, ExpertLinear)


def test_large_activations_stay_finite_in_fp16():
    """The sums of integers would leave fp16's range long before the scaled result does."""
    generator = torch.Generator().manual_seed(3)
    weight = 0.02 * torch.randn(64, 512, generator=generator)
    layer = QuantisedLinear(512, 64, form=INT8, bias=False)
    layer.store(weight, ())
    x = torch.zeros(1, 512)
    x[0, 7] = 2000.0
    exact = x @ weight.T
    ours = layer(x.half()).float()
    assert ours.isfinite().all()
    assert (ours - exact).norm() / exact.norm() < 0.03
