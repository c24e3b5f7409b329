"""4-bit and 8-bit integers: what is stored, how exact it is, and what takes its place."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import ming_core
from ming_core import CheckpointError, TorchOperations, formats
from ming_core.formats import FORMATS, FP16_SHRINK, INT4, INT8, Format, group_size
from ming_core.places import Place, put
from ming_core.quantisation import (
    QUANTISATIONS,
    QuantisedExpertLinear,
    QuantisedLeaf,
    QuantisedLinear,
    QuantisedOperations,
    quantised_leaves,
)

GOLDEN = Path(__file__).parents[1] / "golden" / "a"


def gaussian(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def floats_of(layer: QuantisedLeaf) -> Tensor:
    return layer.form.dequantised(layer.weight, layer.scale, torch.float32)


def test_two_levels_lie_in_a_byte_the_first_input_low():
    layer = QuantisedLinear(16, 1, form=INT4, bias=False)
    weight = torch.tensor([[-8.0, 7, 1, 0, -1, 2, 3, -3, 4, -4, 5, -5, 6, -6, -7, 0]])
    layer.store(weight, ())
    assert layer.scale.tolist() == [[1.0]]
    low, high = layer.weight[0] & 15, layer.weight[0] >> 4
    assert (low.int() - 8).tolist() == weight[0, 0::2].int().tolist()
    assert (high.int() - 8).tolist() == weight[0, 1::2].int().tolist()
    assert torch.equal(floats_of(layer), weight)


@pytest.mark.parametrize(
    ("inputs", "group"), [(2048, 64), (96, 32), (1408, 64), (48, 16), (16, 16)]
)
def test_a_group_is_the_largest_power_of_two_that_divides(inputs: int, group: int):
    layer = QuantisedLinear(inputs, 8, form=INT4)
    assert group_size(inputs) == group
    assert layer.weight.shape == (8, inputs // 2)
    assert layer.scale.shape == (8, inputs // group)
    assert (layer.weight.dtype, layer.scale.dtype) == (torch.uint8, torch.float16)


def test_a_4_bit_weight_is_off_by_half_a_level_at_most_but_at_the_far_end():
    weight = gaussian(32, 256)
    layer = QuantisedLinear(256, 32, form=INT4, bias=False)
    layer.store(weight, ())
    scale = layer.scale.float().abs().repeat_interleave(64, dim=1)
    off = (floats_of(layer) - weight).abs()
    assert (off <= scale * 1.01).all(), "level 8 is not there, so its weights take 7"
    assert ((off > scale * 0.501).sum() / off.numel()) < 0.01
    assert off.norm() / weight.norm() < 0.1


def test_levels_of_minus_8_are_worth_a_tenth_of_the_error():
    """Why the largest weight takes level -8, and the scale its sign."""
    weight = gaussian(64, 512)
    layer = QuantisedLinear(512, 64, form=INT4, bias=False)
    layer.store(weight, ())
    groups = weight.unflatten(-1, (-1, 64))
    scale = groups.abs().amax(dim=-1, keepdim=True) / 7
    symmetric = ((groups / scale).round() * scale).flatten(-2)
    assert (floats_of(layer) - weight).norm() < 0.92 * (symmetric - weight).norm()


@pytest.mark.parametrize("value", [524_200.0, 1e30, float("inf"), float("nan")])
@pytest.mark.parametrize("form", [INT4, INT8], ids=lambda form: form.name)
def test_weights_that_no_scale_stands_for_are_refused_by_name(form: Format, value: float):
    holder = nn.Sequential(QuantisedLinear(64, 4, form=form, bias=False))
    weight = gaussian(4, 64)
    weight[2, 7] = value
    place = Place("head", "0.weight", (), (4, 64))
    if form is INT8 and math.isfinite(value):
        put({"head": holder}, place, weight)  # its scale is kept in 32 bits
        assert floats_of(holder[0])[2, 7] == pytest.approx(value)
        return
    with pytest.raises(CheckpointError, match=rf"head.0.weight holds .*{form.name} has no scale"):
        put({"head": holder}, place, weight)


@pytest.mark.parametrize(("tiny", "other", "is_lost"), [(1e-7, 1e-7, True), (1e-7, 1.0, False)])
def test_weights_that_would_all_become_0_are_refused_where_that_matters(
    tiny: float, other: float, is_lost: bool
):
    weight = torch.cat([torch.full((2, 64), tiny), torch.full((2, 64), other)])
    layer = QuantisedLinear(64, 4, form=INT4, bias=False)
    if is_lost:
        with pytest.raises(CheckpointError, match="would all become 0"):
            layer.store(weight, ())
    else:
        layer.store(weight, ())
        assert (floats_of(layer)[2:] - other).abs().max() < 0.1


def test_4_bit_groups_of_zeros_stay_zero():
    layer = QuantisedLinear(128, 2, form=INT4, bias=False)
    weight = gaussian(2, 128)
    weight[0, 64:] = 0
    layer.store(weight, ())
    assert (floats_of(layer)[0, 64:] == 0).all()
    assert layer(torch.ones(1, 128)).isfinite().all()


@pytest.mark.parametrize("form", FORMATS.values())
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_product_is_that_of_the_stored_weight_and_the_bias_is_added(form: Format, dtype):
    layer = QuantisedLinear(128, 24, form=form)
    layer.store(0.05 * gaussian(24, 128), ())
    layer.bias.data.copy_(gaussian(24, seed=1))
    x = gaussian(5, 128, seed=2).to(dtype)
    expected = x.float() @ floats_of(layer).T + layer.bias
    error = (layer(x).float() - expected).norm() / expected.norm()
    assert layer(x).dtype == dtype
    assert error < {torch.float32: 1e-6, torch.bfloat16: 1e-2, torch.float16: 2e-3}[dtype]


@pytest.mark.parametrize("size", [1e-4, 1.0, 1e3])
def test_activations_of_any_size_keep_their_digits_in_fp16(size: float):
    layer = QuantisedLinear(512, 24, form=INT8, bias=False)
    layer.store(0.05 * gaussian(24, 512), ())
    x = (size * gaussian(5, 512, seed=2)).half()
    expected = x.float() @ floats_of(layer).T
    assert (layer(x).float() - expected).norm() < 2e-3 * expected.norm()


def test_levels_shrunk_for_fp16_are_exact():
    levels = torch.arange(-127, 128, dtype=torch.float32)
    shrunk = levels.half() / FP16_SHRINK
    assert torch.equal(shrunk.float() * FP16_SHRINK, levels)


@pytest.mark.parametrize("form", FORMATS.values())
def test_experts_stored_in_stretches_are_projected_one_or_several_at_a_time(form: Format):
    weights = gaussian(3, 8, 64)
    layer = QuantisedExpertLinear(3, 64, 8, form=form)
    for expert in range(3):
        layer.store(weights[expert, :4], (expert, slice(0, 4)))
        layer.store(weights[expert, 4:], (expert, slice(4, None)))
    x = gaussian(2, 64, seed=1)
    each = [x @ floats_of(layer)[expert].T for expert in range(3)]
    for expert in range(3):
        torch.testing.assert_close(layer(x, expert), each[expert], rtol=1e-5, atol=1e-5)
    several = layer(x.expand(2, -1, -1), torch.tensor([2, 0]))
    torch.testing.assert_close(several, torch.stack((each[2], each[0])), rtol=1e-5, atol=1e-5)


def test_what_is_too_odd_for_4_bits_gets_8():
    operations = QuantisedOperations(TorchOperations, "int4")
    layers = [operations.HeadLinear(n, 8) for n in (40, 48)]
    layers += [operations.ExpertLinear(2, n, 8) for n in (40, 48)]
    assert [layer.form for layer in layers] == [INT8, INT4] * 2
    assert [layer.too_odd for layer in layers] == [True, False] * 2
    with pytest.raises(ValueError, match="40 inputs"):
        QuantisedLinear(40, 8, form=INT4)


def test_loading_says_how_many_matrices_4_bits_do_not_fit(caplog, monkeypatch):
    monkeypatch.setattr(formats, "SMALLEST_GROUP", 64)
    with caplog.at_level("INFO", logger="ming"):
        ming_core.load_model(GOLDEN, quantise="int8")
        assert not caplog.messages
        model = ming_core.load_model(GOLDEN, quantise="int4")
    odd = [leaf for leaf in quantised_leaves([model.parts.language_model]) if leaf.too_odd]
    assert {leaf.form for leaf in odd} == {INT8}
    text = f"{len(odd)} of 26 large matrices have widths that 4 bits cannot take (32, 176)"
    assert [text in message for message in caplog.messages] == [True]


def kinds_of(model: ming_core.MingModel) -> dict[str, Format]:
    """Which format each kind of quantised layer has."""
    return {
        ".".join(part for part in name.split(".") if not part.isdecimal()): layer.form
        for name, layer in model.parts.language_model.named_modules()
        if isinstance(layer, QuantisedLeaf)
    }


@pytest.mark.parametrize("quantise", QUANTISATIONS)
def test_each_part_has_the_format_its_name_promises(quantise: str):
    kinds = kinds_of(ming_core.load_model(GOLDEN, quantise=quantise))
    formats = QUANTISATIONS[quantise]
    assert kinds["transformer.layers.attention.dense"] is FORMATS[formats.dense]
    assert kinds["transformer.layers.mlp.gate_up"] is FORMATS[formats.experts]
    assert kinds["velocity.res_blocks.mlp.w12"] is FORMATS[formats.head]


@pytest.mark.parametrize("quantise", QUANTISATIONS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_formats_outlive_the_cast_to_the_compute_dtype(quantise: str, dtype: torch.dtype):
    model = ming_core.load_model(GOLDEN, quantise=quantise, dtype=dtype)
    assert model.quantisation == quantise
    for layer in model.parts.language_model.modules():
        if isinstance(layer, QuantisedLeaf):
            assert layer.weight.dtype == layer.form.weight_dtype
            assert layer.scale.dtype == layer.form.scale_dtype
            assert not layer.weight.requires_grad


@pytest.mark.parametrize(("quantise", "limit"), [("int8", 0.1), ("int4", 0.4)])
def test_the_first_latent_is_near_the_exact_one(quantise: str, limit: float):
    exact, near = (
        ming_core.generate(model, "a cat", seeds=[1])[0].latents.values[0, 0]
        for model in (ming_core.load_model(GOLDEN), ming_core.load_model(GOLDEN, quantise=quantise))
    )
    assert 0 < float((exact - near).norm() / exact.norm()) < limit


def test_moving_a_layer_keeps_its_bytes():
    layer = nn.ModuleList(QuantisedLinear(64, 4, form=form) for form in (INT4, INT8)).to("meta")
    assert [one.weight.dtype for one in layer] == [torch.uint8, torch.int8]
    assert {one.scale.device.type for one in layer} == {"meta"}
