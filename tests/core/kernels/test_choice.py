"""Where a fused kernel runs and where the layers' own code does, with the plain twins for kernels.

A CPU stands in for the accelerator: it is told that kernels may run there.
"""

import logging
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from ming_core import MingModel
from ming_core.formats import INT4, INT8
from ming_core.kernels import choice, plain
from ming_core.kernels.packed import Norm, Packed
from ming_core.operations import TorchOperations
from ming_core.quantisation import (
    QuantisedExpertLinear,
    QuantisedLeaf,
    QuantisedLinear,
)
from ming_core.univision.flow.head import ResBlock
from ming_core.univision.language_model.experts import MixtureOfExperts


class Kernels(SimpleNamespace):
    """Plain twins that count how often they are called."""

    def __init__(self, **replaced) -> None:
        super().__init__(calls=[])
        for name in ("add_experts", "block"):
            twin = replaced.get(name, getattr(plain, name))
            setattr(
                self, name, lambda *a, name=name, twin=twin: self.calls.append(name) or twin(*a)
            )


@pytest.fixture
def offer(monkeypatch: pytest.MonkeyPatch):
    """Let the CPU pass for a device with these kernels."""

    def offered(kernels: Kernels) -> Kernels:
        monkeypatch.setattr(choice, "_verdicts", {})
        monkeypatch.setattr(choice, "_kernels", lambda: kernels)
        monkeypatch.setattr(choice, "_is_where_kernels_run", lambda x: True)
        return kernels

    return offered


@pytest.fixture(scope="module")
def moe(model: MingModel) -> MixtureOfExperts:
    return model.parts.language_model.transformer.layers[0].mlp


@pytest.fixture(scope="module")
def block(model: MingModel) -> ResBlock:
    return model.parts.language_model.velocity.res_blocks[0]


def read(block: ResBlock) -> tuple[Norm, Packed, Packed]:
    norm = Norm(block.in_ln.weight, block.in_ln.bias, block.in_ln.eps)
    return norm, Packed.of(block.mlp.w12), Packed.of(block.mlp.w3)


def block_inputs(*rows: int) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return torch.randn(*rows[1:], 64), torch.randn(*rows, 200)[..., :192]


@pytest.mark.parametrize("rows", [1, 2, 3, 6, 16, 24])
@torch.inference_mode()
def test_the_twin_of_the_experts_is_the_layer(moe: MixtureOfExperts, rows: int, offer):
    x = torch.randn(rows, 1, 64, generator=torch.Generator().manual_seed(rows))
    expected = moe(x, None)
    kernels = offer(Kernels())
    assert torch.allclose(moe(x, None), expected, rtol=1e-5, atol=1e-5)
    assert kernels.calls == ["add_experts", "add_experts"]  # once to see whether it is right


@pytest.mark.parametrize("rows", [(1, 1), (3, 1), (3, 2), (3, 5), (5,)])
@torch.inference_mode()
def test_the_twin_of_a_block_is_the_layer(block: ResBlock, rows: tuple[int, ...], offer):
    x, modulation = block_inputs(*rows)
    expected = block(x, modulation)
    kernels = offer(Kernels())
    ours = block(x, modulation)
    assert ours.shape == expected.shape
    assert torch.allclose(ours, expected, rtol=1e-5, atol=1e-5)
    assert kernels.calls == ["block", "block"]
    assert torch.allclose(block(ours, modulation), block(expected, modulation), atol=1e-4)
    assert kernels.calls == ["block"] * 4


@pytest.mark.parametrize(
    ("layer", "form", "off"),
    [
        (QuantisedLinear(64, 20, form=INT8), (torch.int8, 0), 0.03),
        (QuantisedExpertLinear(3, 64, 20, form=INT8), (torch.int8, 0), 0.03),
        (QuantisedLinear(64, 20, form=INT4), (torch.uint8, 64), 0.6),
        (QuantisedExpertLinear(3, 96, 20, form=INT4), (torch.uint8, 32), 0.6),
    ],
)
def test_quantised_layers_are_read_as_they_are_stored(layer: QuantisedLeaf, form, off: float):
    torch.manual_seed(0)
    weight = torch.randn(layer.shape)
    layer.store(weight, ())
    packed = Packed.of(layer)
    assert packed.format == form
    assert packed.num_inputs == layer.shape[-1]
    numbers = packed.numbers()
    assert torch.equal(numbers, layer.form.dequantised(layer.weight, layer.scale, torch.float32))
    assert (numbers - weight).abs().max() < off


def test_4_bit_weights_hold_even_inputs_in_the_low_half():
    packed = Packed(torch.tensor([[0x9F, 0x08]], dtype=torch.uint8), torch.tensor([[2.0]]))
    assert packed.numbers().tolist() == [[14.0, 2.0, 0.0, -16.0]]
    assert packed.format == (torch.uint8, 4)


@torch.inference_mode()
def test_a_kernel_that_is_off_is_left_out_and_named_once(block: ResBlock, offer, caplog):
    x, modulation = block_inputs(3, 1)
    expected = block(x, modulation)
    kernels = offer(Kernels(block=lambda *inputs: plain.block(*inputs) * 1.001))
    with caplog.at_level(logging.WARNING, "ming"):
        assert torch.equal(block(x, modulation), expected)
        assert torch.equal(block(x, modulation), expected)
    assert kernels.calls == ["block"]
    (record,) = caplog.records
    assert "block is off by 1" in record.getMessage()


@torch.inference_mode()
def test_each_tile_of_rows_is_compared_with_its_twin(block: ResBlock, offer):
    def wrong_when_large(*inputs):
        return plain.block(*inputs) * (1.001 if len(inputs[1]) > 16 else 1)

    kernels = offer(Kernels(block=wrong_when_large))
    for rows, calls in ((3, 2), (16, 3), (24, 4), (17, 4), (2, 5)):
        x, modulation = block_inputs(rows, 1)
        expected = plain.block(x, modulation.flatten(0, 1), *read(block)).view(rows, 1, -1)
        assert torch.allclose(block(x, modulation), expected, rtol=1e-5, atol=1e-5)
        assert len(kernels.calls) == calls
    assert {case.tile: fits for case, fits in choice.verdicts().items()} == {16: True, 32: False}


@torch.inference_mode()
def test_a_kernel_that_gives_no_numbers_is_left_out(block: ResBlock, offer):
    x, modulation = block_inputs(3, 1)
    expected = block(x, modulation)
    offer(Kernels(block=lambda *inputs: plain.block(*inputs) * torch.nan))
    assert torch.equal(block(x, modulation), expected)


@torch.inference_mode()
def test_a_kernel_that_fails_is_left_out_and_named_once(moe: MixtureOfExperts, offer, caplog):
    def fail(*inputs):
        raise RuntimeError("no compiler\nand a long story")

    x = torch.randn(3, 1, 64)
    expected = moe(x, None)
    offer(Kernels(add_experts=fail))
    with caplog.at_level(logging.WARNING, "ming"):
        assert torch.equal(moe(x, None), expected)
        assert torch.equal(moe(x, None), expected)
    (record,) = caplog.records
    assert "(no compiler)" in record.getMessage()


def test_out_of_memory_is_the_hosts_to_know(block: ResBlock, offer):
    def fail(*inputs):
        raise torch.OutOfMemoryError("full")

    offer(Kernels(block=fail))
    with pytest.raises(torch.OutOfMemoryError):
        block(*block_inputs(3, 1))


@torch.inference_mode()
def test_many_rows_and_a_block_left_elsewhere_are_not_for_kernels(block: ResBlock, offer):
    kernels = offer(Kernels())
    block(*block_inputs(33, 1))
    assert not kernels.calls
    elsewhere = nn.Linear(64, 8).to("meta")
    assert choice.block(*block_inputs(3, 1), block.in_ln, elsewhere, block.mlp.w3) is None
    assert not kernels.calls


def test_a_layer_may_say_that_it_cannot_be_read(block: ResBlock, offer):
    class Patched(nn.Linear):
        def is_on(self, device):
            return False

    offer(Kernels())
    inputs = (*block_inputs(3, 1), block.in_ln)
    assert choice.block(*inputs, block.mlp.w12, block.mlp.w3) is not None
    assert choice.block(*inputs, Patched(64, 344), block.mlp.w3) is None


@pytest.mark.parametrize("stored", [torch.float8_e4m3fn, torch.float16, torch.float64])
def test_other_formats_are_not_for_kernels(block: ResBlock, offer, stored: torch.dtype):
    kernels = offer(Kernels())
    other = nn.Linear(64, 344).to(stored)
    assert choice.block(*block_inputs(3, 1), block.in_ln, other, block.mlp.w3) is None
    assert not kernels.calls


def test_a_cpu_runs_no_kernels(block: ResBlock, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(choice, "_kernels", lambda: pytest.fail("not asked on a CPU"))
    block(*block_inputs(3, 1))


def test_kernels_run_on_the_present_device_also_before_torch_knew_accelerators(monkeypatch):
    monkeypatch.delattr(torch, "accelerator", raising=False)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    monkeypatch.setattr(choice, "_kernels", Kernels)
    places = [SimpleNamespace(is_cuda=True, device=torch.device("cuda", i)) for i in range(2)]
    assert [choice._is_where_kernels_run(x) for x in places] == [False, True]


@pytest.mark.parametrize(("value", "found"), [("off", True), ("OFF", True), ("", False)])
def test_kernels_are_off_when_switched_off_or_without_triton(value: str, found: bool, monkeypatch):
    monkeypatch.setenv(choice.SWITCH, value)
    monkeypatch.setattr(choice, "find_spec", lambda name: object() if found else None)
    monkeypatch.setattr(choice, "import_module", lambda *names: pytest.fail("imported"))
    assert choice._kernels.__wrapped__() is None


def test_a_broken_triton_is_named_and_left_out(monkeypatch: pytest.MonkeyPatch, caplog):
    def fail(*names):
        raise OSError("a library is missing")

    monkeypatch.delenv(choice.SWITCH, raising=False)
    monkeypatch.setattr(choice, "find_spec", lambda name: object())
    monkeypatch.setattr(choice, "import_module", fail)
    with caplog.at_level(logging.WARNING, "ming"):
        assert choice._kernels.__wrapped__() is None
    assert "a library is missing" in caplog.text


def test_experts_of_the_default_namespace_can_be_read():
    layer = TorchOperations.ExpertLinear(2, 64, 8)
    assert choice._read(torch.empty(1), layer) is not None
    assert choice._read(torch.empty(1, device="meta"), layer) is None
