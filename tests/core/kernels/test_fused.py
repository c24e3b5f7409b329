"""The Triton kernels against their plain twins."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from ming_core.kernels import plain
from ming_core.kernels.packed import Norm, Packed
from ming_core.kernels.probe import TOLERANCE, Case, error_of, pack

DENSE = (torch.float32, 0)
FORMATS = {"dense": DENSE, "int8": (torch.int8, 0), "int4": (torch.uint8, 32)}
EXPERTS, TOP_K = 5, 2
# No multiple of a block, but for 4 bits, whose inputs come in groups.
WIDTH, SIZE = {"dense": 70, "int8": 70, "int4": 64}, {"dense": 45, "int8": 45, "int4": 96}
ROUTINGS = ("all different", "all the same", "mixed")


@pytest.fixture(autouse=True)
def poisoned(monkeypatch: pytest.MonkeyPatch):
    """Fill what is allocated with NaN, so that nothing unwritten passes."""
    new_empty = Tensor.new_empty

    def poison(tensor: Tensor, *size, **options) -> Tensor:
        made = new_empty(tensor, *size, **options)
        return made.fill_(torch.nan if made.is_floating_point() else 77)

    monkeypatch.setattr(Tensor, "new_empty", poison)


class Experts:
    """Tokens, routing and weights of one layer."""

    def __init__(self, device, stored, rows, routing="mixed", dtype=torch.float32):
        generator = torch.Generator().manual_seed(rows)
        width, size = WIDTH[stored], SIZE[stored]
        kind, group = FORMATS[stored]
        case = Case("add_experts", device, dtype, ())
        form = (dtype if stored == "dense" else kind, group)

        def draw(*shape):
            return torch.randn(shape, generator=generator)

        self.gate_up = pack(draw(EXPERTS, 2 * size, width), form, case)
        self.down = pack(draw(EXPERTS, width, size), form, case)
        self.tokens = draw(rows, width).to(device, dtype)
        self.weights = draw(rows, TOP_K).softmax(-1).to(device)
        first = torch.arange(rows) * TOP_K % EXPERTS if routing == "all different" else None
        if routing == "mixed":
            first = torch.randint(EXPERTS, (rows,), generator=generator)
        if first is None:
            first = torch.full((rows,), 3)
        self.chosen = torch.stack((first, (first + 1) % EXPERTS), dim=-1).to(device)
        self.total = draw(rows, width).to(device)

    def run(self, module) -> Tensor:
        parts = (self.tokens, self.weights, self.chosen, self.gate_up, self.down)
        return module.add_experts(self.total.clone(), *parts)


def assert_near(ours: Tensor, expected: Tensor, dtype: torch.dtype) -> None:
    assert ours.dtype == expected.dtype
    assert ours.isfinite().all()
    off = (ours.double() - expected.double()).norm() / expected.double().norm()
    assert off <= (1e-6 if dtype == torch.float32 else TOLERANCE[dtype])


@pytest.mark.parametrize("rows", [1, 2, 3, 6, 16, 24])
@pytest.mark.parametrize("stored", FORMATS)
def test_experts_are_the_plain_ones(fused, device, stored: str, rows: int):
    experts = Experts(device, stored, rows)
    assert_near(experts.run(fused), experts.run(plain), torch.float32)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("stored", FORMATS)
def test_experts_of_16_bit_inputs(fused, device, stored: str, dtype: torch.dtype):
    experts = Experts(device, stored, 3, dtype=dtype)
    assert_near(experts.run(fused), experts.run(plain), dtype)


@pytest.mark.parametrize("routing", ROUTINGS)
@pytest.mark.parametrize("rows", [1, 3, 32])
def test_any_routing_is_listed_completely(fused, device, routing: str, rows: int):
    experts = Experts(device, "dense", rows, routing)
    assert_near(experts.run(fused), experts.run(plain), torch.float32)


def test_equal_weights_count_each(fused, device):
    experts = Experts(device, "dense", 3)
    experts.weights = torch.full_like(experts.weights, 0.5)
    assert_near(experts.run(fused), experts.run(plain), torch.float32)


def test_two_runs_give_the_same_bits(fused, device):
    experts = Experts(device, "int8", 6)
    assert torch.equal(experts.run(fused), experts.run(fused))


def test_a_token_that_is_no_number_stays_alone(fused, device):
    experts = Experts(device, "dense", 3)
    experts.tokens[1] = torch.nan
    rows = experts.run(fused).isnan().all(dim=1)
    assert rows.tolist() == [False, True, False]
    assert experts.run(fused)[[0, 2]].isfinite().all()


def test_an_expert_spoils_no_token_it_was_not_meant_for(fused, device):
    experts = Experts(device, "dense", 3)
    experts.chosen = torch.tensor([[0, 1], [1, 2], [0, 2]], device=device)
    experts.down.weight[2] = torch.inf
    assert experts.run(fused)[0].isfinite().all()
    assert not experts.run(fused)[1:].isfinite().any()


class Block:
    """A residual block of the flow head, and its rows."""

    def __init__(self, device, stored, rows, pictures=1, dtype=torch.float32):
        generator = torch.Generator().manual_seed(rows)
        width, size = WIDTH[stored], SIZE[stored]
        kind, group = FORMATS[stored]
        case = Case("block", device, dtype, ())
        form = (dtype if stored == "dense" else kind, group)

        def draw(*shape):
            return torch.randn(shape, generator=generator)

        def biased(packed: Packed) -> Packed:
            return replace(packed, bias=draw(packed.weight.shape[0]).to(device, dtype))

        self.w12 = biased(pack(draw(2 * size, width), form, case))
        self.w3 = biased(pack(draw(width, size), form, case))
        self.norm = Norm(draw(width).to(device, dtype), draw(width).to(device, dtype), 1e-6)
        self.x = (3 * draw(pictures, width) + 1).to(device, dtype)
        # One block's part of the modulations of all blocks.
        self.modulation = draw(rows, 3 * width + 7).to(device, dtype)[:, 5:-2]

    def run(self, module) -> Tensor:
        return module.block(self.x, self.modulation, self.norm, self.w12, self.w3)


@pytest.mark.parametrize("rows", [1, 2, 3, 6, 16, 24])
@pytest.mark.parametrize("stored", FORMATS)
def test_a_block_is_the_plain_one(fused, device, stored: str, rows: int):
    block = Block(device, stored, rows)
    assert_near(block.run(fused), block.run(plain), torch.float32)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("stored", FORMATS)
def test_a_block_of_16_bit_inputs(fused, device, stored: str, dtype: torch.dtype):
    block = Block(device, stored, 3, dtype=dtype)
    assert_near(block.run(fused), block.run(plain), dtype)


@pytest.mark.parametrize("pictures", [1, 2, 6])
def test_rows_start_from_their_picture(fused, device, pictures: int):
    block = Block(device, "dense", 6, pictures)
    assert_near(block.run(fused), block.run(plain), torch.float32)


def test_a_block_without_biases(fused, device):
    block = Block(device, "dense", 3)
    block.w12, block.w3 = replace(block.w12, bias=None), replace(block.w3, bias=None)
    assert_near(block.run(fused), block.run(plain), torch.float32)


@pytest.mark.parametrize("kernel", ["add_experts", "block"])
@pytest.mark.parametrize("stored", FORMATS)
@pytest.mark.parametrize("tile", [16, 32])
def test_the_first_use_finds_nothing_wrong(fused, device, kernel: str, stored: str, tile: int):
    case = Case(kernel, device, torch.float32, (FORMATS[stored], FORMATS[stored]), tile)
    assert error_of(fused, case) < 1e-6


@pytest.mark.parametrize("kernel", ["add_experts", "block"])
def test_the_first_use_finds_a_wrong_kernel(fused, device, kernel: str, monkeypatch):
    case = Case(kernel, device, torch.float32, (DENSE, DENSE))
    monkeypatch.setattr(fused, kernel, lambda x, *others: x * 1.01 + 0.01)
    assert not error_of(fused, case) <= TOLERANCE[torch.float32]
