"""4-bit integers and 8-bit floats: what is stored, how exact it is, and what takes its place."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import ming_core
from ming_core import TorchOperations
from ming_core.quantisation import (
    FP16_SHRINK,
    QUANTISATIONS,
    Fp8ExpertLinear,
    Fp8Linear,
    Int4ExpertLinear,
    Int4Linear,
    Int8ExpertLinear,
    Int8Linear,
    QuantisedLeaf,
    QuantisedOperations,
    check_format,
    group_size,
)

GOLDEN = Path(__file__).parents[1] / "golden" / "a"


def gaussian(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def floats_of(layer: QuantisedLeaf) -> Tensor:
    return layer.dequantised(layer.weight, layer.scale, torch.float32)


def test_two_levels_lie_in_a_byte_the_first_input_low():
    layer = Int4Linear(16, 1, bias=False)
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
    layer = Int4Linear(inputs, 8)
    assert group_size(inputs) == group
    assert layer.weight.shape == (8, inputs // 2)
    assert layer.scale.shape == (8, inputs // group)
    assert (layer.weight.dtype, layer.scale.dtype) == (torch.uint8, torch.float16)


def test_a_4_bit_weight_is_off_by_half_a_level_at_most_but_at_the_far_end():
    weight = gaussian(32, 256)
    layer = Int4Linear(256, 32, bias=False)
    layer.store(weight, ())
    scale = layer.scale.float().abs().repeat_interleave(64, dim=1)
    off = (floats_of(layer) - weight).abs()
    assert (off <= scale * 1.01).all(), "level 8 is not there, so its weights take 7"
    assert ((off > scale * 0.501).sum() / off.numel()) < 0.01
    assert off.norm() / weight.norm() < 0.1


def test_levels_of_minus_8_are_worth_a_tenth_of_the_error():
    """Why the largest weight takes level -8, and the scale its sign."""
    weight = gaussian(64, 512)
    layer = Int4Linear(512, 64, bias=False)
    layer.store(weight, ())
    groups = weight.unflatten(-1, (-1, 64))
    scale = groups.abs().amax(dim=-1, keepdim=True) / 7
    symmetric = ((groups / scale).round() * scale).flatten(-2)
    assert (floats_of(layer) - weight).norm() < 0.92 * (symmetric - weight).norm()


def test_4_bit_groups_of_zeros_stay_zero():
    layer = Int4Linear(128, 2, bias=False)
    weight = gaussian(2, 128)
    weight[0, 64:] = 0
    layer.store(weight, ())
    assert (floats_of(layer)[0, 64:] == 0).all()
    assert layer(torch.ones(1, 128)).isfinite().all()


def test_8_bit_floats_keep_3_bits_of_mantissa_however_small():
    weight = gaussian(16, 64) * torch.logspace(0, -2, 64)
    layer = Fp8Linear(64, 16, bias=False)
    layer.store(weight, ())
    assert layer.weight.float().abs().amax(dim=1).eq(448).all()
    off = (floats_of(layer) - weight).abs() / weight.abs()
    assert off[weight.abs() > 0.01].max() < 1 / 16 + 1e-4


@pytest.mark.parametrize("kind", [Int4Linear, Fp8Linear])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_product_is_that_of_the_stored_weight_and_the_bias_is_added(kind, dtype):
    layer = kind(128, 24)
    layer.store(0.05 * gaussian(24, 128), ())
    layer.bias.data.copy_(gaussian(24, seed=1))
    x = gaussian(5, 128, seed=2).to(dtype)
    expected = x.float() @ floats_of(layer).T + layer.bias
    error = (layer(x).float() - expected).norm() / expected.norm()
    assert layer(x).dtype == dtype
    assert error < {torch.float32: 1e-6, torch.bfloat16: 1e-2, torch.float16: 2e-3}[dtype]


@pytest.mark.parametrize("kind", [Int8Linear, Fp8Linear])
@pytest.mark.parametrize("size", [1e-4, 1.0, 1e3])
def test_activations_of_any_size_keep_their_digits_in_fp16(kind, size: float):
    layer = kind(512, 24, bias=False)
    layer.store(0.05 * gaussian(24, 512), ())
    x = (size * gaussian(5, 512, seed=2)).half()
    expected = x.float() @ floats_of(layer).T
    assert (layer(x).float() - expected).norm() < 2e-3 * expected.norm()


@pytest.mark.parametrize("kind", [Int8Linear, Fp8Linear])
def test_levels_shrunk_for_fp16_are_exact(kind):
    top = int(kind.top)
    integers = torch.arange(-top, top + 1, dtype=torch.float32)
    every_byte = torch.arange(256, dtype=torch.uint8).view(torch.float8_e4m3fn)
    levels = every_byte[every_byte.float().isfinite()] if kind is Fp8Linear else integers
    shrunk = levels.half() / FP16_SHRINK
    assert torch.equal(shrunk.float() * FP16_SHRINK, levels.float())


@pytest.mark.parametrize("kind", [Int8ExpertLinear, Int4ExpertLinear, Fp8ExpertLinear])
def test_experts_stored_in_stretches_are_projected_one_or_several_at_a_time(kind):
    weights = gaussian(3, 8, 64)
    layer = kind(3, 64, 8)
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
    assert type(operations.HeadLinear(40, 8)) is Int8Linear
    assert type(operations.HeadLinear(48, 8)) is Int4Linear
    assert type(operations.ExpertLinear(2, 40, 8)) is Int8ExpertLinear
    with pytest.raises(ValueError, match="40 inputs"):
        Int4Linear(40, 8)


def kinds_of(model: ming_core.MingModel) -> dict[str, str]:
    """Which class each kind of quantised layer has."""
    return {
        ".".join(part for part in name.split(".") if not part.isdecimal()): type(layer).__name__
        for name, layer in model.parts.language_model.named_modules()
        if isinstance(layer, QuantisedLeaf)
    }


@pytest.mark.parametrize("quantise", QUANTISATIONS)
def test_each_part_has_the_format_its_name_promises(quantise: str):
    kinds = kinds_of(ming_core.load_model(GOLDEN, quantise=quantise))
    formats = QUANTISATIONS[quantise]

    def title(form: str) -> str:
        return form.capitalize()

    assert kinds["transformer.layers.attention.dense"] == title(formats.dense) + "Linear"
    assert kinds["transformer.layers.mlp.gate_up"] == title(formats.experts) + "ExpertLinear"
    assert kinds["velocity.res_blocks.mlp.w12"] == title(formats.head) + "Linear"


@pytest.mark.parametrize("quantise", QUANTISATIONS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_formats_outlive_the_cast_to_the_compute_dtype(quantise: str, dtype: torch.dtype):
    model = ming_core.load_model(GOLDEN, quantise=quantise, dtype=dtype)
    assert model.quantisation == quantise
    for layer in model.parts.language_model.modules():
        if isinstance(layer, QuantisedLeaf):
            assert layer.weight.dtype == layer.weight_dtype
            assert layer.scale.dtype == layer.scale_dtype
            assert not layer.weight.requires_grad


@pytest.mark.parametrize(("quantise", "limit"), [("int8", 0.1), ("fp8", 0.3), ("int4", 0.4)])
def test_the_first_latent_is_near_the_exact_one(quantise: str, limit: float):
    exact, near = (
        ming_core.generate(model, "a cat", seeds=[1])[0].latents.values[0, 0]
        for model in (ming_core.load_model(GOLDEN), ming_core.load_model(GOLDEN, quantise=quantise))
    )
    assert 0 < float((exact - near).norm() / exact.norm()) < limit


def test_a_device_without_8_bit_floats_is_refused_in_words(monkeypatch):
    cpu = torch.device("cpu")
    check_format("fp8", cpu)

    def lacking(*_: object, **__: object) -> Tensor:
        raise TypeError("no float8 here")

    monkeypatch.setattr(torch, "zeros", lacking)
    check_format("int8", cpu)
    with pytest.raises(ming_core.CheckpointError, match=r"8-bit floats.*Choose int8"):
        check_format("fp8", cpu)


def test_moving_a_layer_keeps_its_bytes():
    layer = nn.ModuleList([Int4Linear(64, 4), Fp8Linear(64, 4)]).to("meta")
    assert [one.weight.dtype for one in layer] == [torch.uint8, torch.float8_e4m3fn]
    assert {one.scale.device.type for one in layer} == {"meta"}
