"""Few bits laid out for the processor's own products: the same numbers, guards, and fall-backs."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

import ming_core
from ming_bench.tiny_checkpoint.make import make_tiny
from ming_core import processor_formats
from ming_core.families import convert
from ming_core.formats import INT4, INT8, Format, group_size
from ming_core.kernels import processor
from ming_core.processor_formats import (
    ProcessorInt4,
    ProcessorInt8,
    lay_out_for_processor,
)
from ming_core.quantisation import QuantisedExpertLinear, QuantisedLinear, quantised_leaves
from ming_core.tensor_files import StoredTensor, TensorFiles

GOLDEN = Path(__file__).parents[1] / "golden" / "a"
MAPS = Path("/proc/self/maps")
SHAPES = [(64, 64), (100, 96), (3, 128), (128, 1408), (64, 40), (688, 344), (20, 48)]

needs_int8 = pytest.mark.skipif(not processor.has_int8(), reason="torch has no 8-bit product here")
needs_int4 = pytest.mark.skipif(processor.int4_block() is None, reason="no 4-bit product here")


def gaussian(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def filled(form: Format, out: int, inputs: int) -> QuantisedLinear:
    layer = QuantisedLinear(inputs, out, form=form)
    layer.store(gaussian(out, inputs) * inputs**-0.5, ())
    layer.bias.data.copy_(gaussian(out, seed=1))
    return layer


@pytest.fixture
def fresh_probes():
    """Let the products be probed anew, and again afterwards."""
    probes = (processor.has_int8, processor.int4_block)
    for probe in probes:
        probe.cache_clear()
    yield
    for probe in probes:
        probe.cache_clear()


@needs_int4
@needs_int8
@pytest.mark.parametrize("form", [INT8, INT4])
@pytest.mark.parametrize(("out", "inputs"), SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_layer_laid_out_computes_what_it_did_in_any_dtype_and_for_any_rows(
    form: Format, out: int, inputs: int, dtype: torch.dtype
):
    if group_size(inputs) is None:
        form = INT8
    layer = filled(form, out, inputs)
    xs = [gaussian(*rows, inputs, seed=2).to(dtype) for rows in ((1,), (2, 3), (17,), (130,))]
    before = [layer(x) for x in xs]
    assert lay_out_for_processor([layer]) == 1
    for x, expected in zip(xs, before, strict=True):
        ours = layer(x)
        assert (ours.dtype, ours.shape) == (dtype, expected.shape)
        assert (ours - expected).float().norm() < 1.5e-2 * expected.float().norm()


@needs_int8
@pytest.mark.parametrize("offset", [1, 8])
def test_weights_and_rows_may_lie_anywhere_before_they_are_laid_out(offset: int):
    """As the weights of a mapped file do; the product itself would crash."""

    def moved(tensor: Tensor) -> Tensor:
        room = tensor.new_empty(tensor.numel() + offset)
        return room[offset:].view(tensor.shape).copy_(tensor)

    layer = filled(INT8, 64, 96)
    x = gaussian(13, 96, seed=2).to(torch.bfloat16)
    expected = layer(x)
    layer.weight = nn.Parameter(moved(layer.weight.data), requires_grad=False)
    lay_out_for_processor([layer])
    assert (layer(moved(x)) - expected).float().norm() < 1.5e-2 * expected.float().norm()


def test_levels_that_fit_stay_where_they_lie():
    levels, scale = INT8.quantised(gaussian(8, 64))
    kept, same = ProcessorInt8().laid_out(levels, scale)
    assert kept.data_ptr() == levels.data_ptr() and same is scale
    wider, _ = ProcessorInt8().laid_out(levels[:, :40], scale)
    assert wider.shape == (8, 64) and not wider[:, 40:].any()


@needs_int4
def test_few_and_many_rows_give_the_same_products():
    layer = filled(INT4, 128, 256)
    lay_out_for_processor([layer])
    assert isinstance(layer.form, ProcessorInt4)
    x = gaussian(processor.INT4_ROWS + 1, 256, seed=3)
    several, alone = layer(x), torch.cat([layer(part) for part in x.split(16)])
    assert (several - alone).norm() < 1e-2 * alone.norm()


@needs_int4
def test_what_is_laid_out_can_be_read_back():
    layer = filled(INT4, 100, 96)
    weight = layer.form.dequantised(layer.weight.data, layer.scale, torch.float32)
    lay_out_for_processor([layer])
    again = layer.form.dequantised(layer.weight.data, layer.scale, torch.float32)
    assert (weight - again).abs().max() < 2**-8 * weight.abs().max()


@needs_int4
@pytest.mark.parametrize("shape", [(64, 96), (100, 64)])
def test_the_stated_shapes_are_those_laid_out(shape: tuple[int, int]):
    for form in (INT8, INT4):
        layer = filled(form, *shape)
        lay_out_for_processor([layer])
        stated = layer.form.stored_shapes(shape)
        assert (tuple(layer.weight.shape), tuple(layer.scale.shape)) == stated


@needs_int8
@needs_int4
def test_4_bits_in_groups_no_product_takes_are_widened():
    layer = filled(INT4, 24, 48)
    x = gaussian(3, 48, seed=2)
    before = layer(x)
    lay_out_for_processor([layer])
    assert isinstance(layer.form, ProcessorInt8)
    assert layer.weight.dtype == torch.int8
    assert (layer(x) - before).norm() < 1.5e-2 * before.norm()


@needs_int4
def test_an_expert_is_read_alone(monkeypatch):
    layer = QuantisedExpertLinear(4, 64, 128, form=INT4)
    weights = gaussian(4, 128, 64)
    for expert in range(4):
        layer.store(weights[expert], (expert,))
    x = gaussian(3, 64, seed=1)
    before = [layer(x, expert) for expert in range(4)]
    several = layer(x.expand(2, -1, -1), torch.tensor([2, 0]))
    lay_out_for_processor([layer])
    read: list[int] = []

    def product(rows: Tensor, packed: Tensor, *rest: object) -> Tensor:
        read.append(packed.data_ptr())
        return real(rows, packed, *rest)

    real = processor.int4_product
    monkeypatch.setattr(processor, "int4_product", product)
    for expert in range(4):
        assert (layer(x, expert) - before[expert]).norm() < 1e-2 * before[expert].norm()
    assert read == [layer.weight[expert].data_ptr() for expert in range(4)]
    ours = layer(x.expand(2, -1, -1), torch.tensor([2, 0]))
    assert (ours - several).norm() < 1e-2 * several.norm()


def test_what_the_products_cannot_take_never_reaches_them(monkeypatch):
    def never(*_: object) -> Tensor:
        raise AssertionError("called")

    monkeypatch.setattr(torch, "_weight_int8pack_mm", never, raising=False)
    monkeypatch.setattr(torch, "_weight_int4pack_mm_for_cpu", never, raising=False)
    stored = torch.zeros(8, 128, dtype=torch.int8)
    misplaced = stored.flatten()[8 : 8 + 128].view(2, 64)
    for rows, levels in (
        (40, stored[:, :40].contiguous()),
        (64, stored[:, ::2]),
        (96, stored),
        (64, misplaced),
    ):
        with pytest.raises(ValueError, match="lay them out"):
            processor.int8_product(gaussian(2, rows), levels)
    packed, scales = torch.zeros(64, 32, dtype=torch.uint8), torch.zeros(2, 64, 2)
    for rows, levels, groups in ((64, packed[:60], 2), (64, packed, 4), (96, packed, 2)):
        with pytest.raises(ValueError, match="4 bits are packed"):
            few = scales[:1].expand(groups, -1, -1)
            processor.int4_product(gaussian(2, rows), levels, few, 64)


@pytest.mark.usefixtures("fresh_probes")
@pytest.mark.parametrize("how", ["missing", "wrong", "failing"])
def test_where_the_products_are_of_no_use_layers_stay_as_they_are(how: str, monkeypatch):
    def broken(*inputs: Tensor) -> Tensor:
        if how == "failing":
            raise NotImplementedError("not for this processor")
        return torch.zeros(len(inputs[0]), 67)

    for name in ("_weight_int8pack_mm", "_weight_int4pack_mm_for_cpu"):
        monkeypatch.setattr(torch, name, broken, raising=False)
        if how == "missing":
            monkeypatch.delattr(torch, name)
    layers = [filled(INT8, 64, 64), filled(INT4, 64, 64)]
    assert lay_out_for_processor(layers) == 0
    assert [layer.form for layer in layers] == [INT8, INT4]
    assert layers[1](gaussian(2, 64)).isfinite().all()


@needs_int4
@pytest.mark.usefixtures("fresh_probes")
def test_a_processor_that_packs_otherwise_is_not_handed_our_layout(monkeypatch):
    """As those of ARM do with their own 4-bit product."""
    monkeypatch.setattr(
        torch,
        "_convert_weight_to_int4pack_for_cpu",
        lambda levels, _tiles: levels.flatten().to(torch.uint8)[: levels.numel() // 2],
    )
    layer = filled(INT4, 64, 64)
    assert processor.int4_block() is None
    assert lay_out_for_processor([layer]) == 0 and layer.form is INT4


@needs_int4
def test_a_device_is_refused_what_is_laid_out_for_the_processor():
    model = nn.ModuleList([filled(INT4, 64, 64)])
    elsewhere = SimpleNamespace(device=torch.device("cuda"))
    model[0]._apply(lambda tensor: tensor)  # as it is stored, it may go anywhere
    lay_out_for_processor([model])
    model.to("cpu")
    with pytest.raises(ming_core.MingError, match="Load it again for that device"):
        model[0]._apply(lambda _: elsewhere)


def test_laying_out_twice_changes_nothing():
    layer = filled(INT4, 64, 64)
    lay_out_for_processor([layer])
    assert lay_out_for_processor([layer]) == 0


@needs_int4
@pytest.mark.parametrize("quantise", ["int8", "int4"])
def test_a_model_loaded_for_the_processor_draws_nearly_the_same(quantise: str, tmp_path: Path):
    published = ming_core.load_model(GOLDEN, quantise=quantise)
    folder = convert(GOLDEN, tmp_path / "ming", quantise=quantise)
    drawn = [
        ming_core.generate(model, "a cat", seeds=[1])[0].latents.values[0, 0]
        for model in (
            published,
            ming_core.load_model(GOLDEN, quantise=quantise, on_processor=True),
            ming_core.load_model(folder, on_processor=True),
        )
    ]
    assert torch.equal(drawn[1], drawn[2])
    assert 0 < (drawn[0] - drawn[1]).norm() < 0.1 * drawn[0].norm()
    leaves = quantised_leaves(published.components.values())
    assert all(leaf.form in (INT4, INT8) for leaf in leaves)
    loaded = ming_core.load_model(folder, on_processor=True)
    forms = {type(leaf.form) for leaf in quantised_leaves(loaded.components.values())}
    assert forms <= {processor_formats.ProcessorInt8, processor_formats.ProcessorInt4}


@needs_int4
@needs_int8
@pytest.mark.skipif(not MAPS.exists(), reason="only Linux tells what is mapped")
def test_what_is_laid_out_anew_holds_no_mapped_file(tmp_path: Path):
    model = ming_core.load_model(
        convert(GOLDEN, tmp_path / "ming", quantise="int4"), on_processor=True
    )
    own = [line.split()[0] for line in MAPS.read_text().splitlines() if str(tmp_path) in line]
    ranges = [[int(end, 16) for end in line.split("-")] for line in own]

    def is_mapped(tensor: Tensor) -> bool:
        return any(start <= tensor.data_ptr() < end for start, end in ranges)

    leaves = quantised_leaves(model.parts.named().values())
    packed = [leaf for leaf in leaves if isinstance(leaf.form, ProcessorInt4)]
    assert packed and not any(is_mapped(leaf.weight) or is_mapped(leaf.scale) for leaf in packed)
    left = [leaf for leaf in leaves if not isinstance(leaf.form, ProcessorInt4)]
    assert any(is_mapped(leaf.weight) for leaf in left), "8 bits stay where they lie"


@needs_int4
@needs_int8
def test_of_a_converted_file_stays_only_what_is_not_laid_out_anew(tmp_path: Path, monkeypatch):
    folder, read, stays = convert(GOLDEN, tmp_path / "ming", quantise="int4"), TensorFiles.read, []

    def noted(files: TensorFiles, stored: StoredTensor, **how: bool) -> Tensor:
        stays.append((stored.dtype, how.get("stays", False)))
        return read(files, stored, **how)

    monkeypatch.setattr(TensorFiles, "read", noted)
    ming_core.load_model(folder, on_processor=True)
    assert {("I8", True), ("U8", False)} <= set(stays)
    assert ("U8", True) not in stays, "4 bits are laid out anew: their pages would stay beside them"


def test_beside_few_bits_the_pixel_decoder_stays_in_16_bits_and_paints_the_same(tmp_path: Path):
    folder = make_tiny(tmp_path / "tiny")
    exact, kept, floats = (
        ming_core.load_model(folder, quantise=quantise, on_processor=on_processor)
        for quantise, on_processor in (("int8", False), ("int8", True), (None, True))
    )
    dtypes = [{p.dtype for p in m.parts.pixel_decoder.parameters()} for m in (exact, kept, floats)]
    assert dtypes == [{torch.float32}, {torch.bfloat16}, {torch.float32}]
    features = ming_core.Features(gaussian(1, 4, exact.config.mingtok.semantic.width), (2, 2))
    painted = [ming_core.decode_pixels(model, features) for model in (exact, kept)]
    assert torch.equal(*painted)
    assert {p.dtype for p in kept.parts.pixel_decoder.parameters()} == {torch.bfloat16}
