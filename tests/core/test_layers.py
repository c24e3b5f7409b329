"""Shared layers against the plainest formula for each."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ming_core.layers import Rotary, SwiGLU, grouped_attention, grouped_mask, swiglu_hidden_size


@pytest.mark.parametrize(
    ("width", "ratio", "hidden"),
    [(768, 4, 2048), (1024, 4, 2736), (64, 4, 176), (96, 4, 256), (3072, 4, 8192), (64, 1, 48)],
)
def test_swiglu_width_is_two_thirds_rounded_up_to_eights(width: int, ratio: int, hidden: int):
    assert swiglu_hidden_size(width, ratio) == hidden


@pytest.mark.parametrize(
    ("shape", "rows"),
    [((3, 1), 3), ((6,), 6), ((7,), 16), ((3, 4), 16), ((2, 1, 5), 16), ((15,), 16), ((4, 4), 16)],
)
@torch.inference_mode()
def test_rows_that_a_cpu_is_slow_with_are_filled_up(shape: tuple[int, ...], rows: int, watch):
    torch.manual_seed(0)
    mlp = SwiGLU(24, nn.Linear)
    x = torch.randn(*shape, 24)
    gate, value = F.linear(x, mlp.w12.weight, mlp.w12.bias).chunk(2, dim=-1)
    calls = watch(mlp.w12)
    ours = mlp(x)
    assert ours.shape == x.shape
    assert torch.allclose(ours, mlp.w3(F.silu(gate) * value), atol=1e-6)
    (((asked,), _),) = calls
    assert asked.shape[:-1].numel() == rows


def test_16_bit_rows_are_not_filled_up(watch):
    mlp = SwiGLU(24, nn.Linear).bfloat16()
    calls = watch(mlp.w12)
    mlp(torch.randn(12, 24).bfloat16())
    (((asked,), _),) = calls
    assert len(asked) == 12


def naive_attention(q: Tensor, k: Tensor, v: Tensor, visible: Tensor | None) -> Tensor:
    groups = q.shape[1] // k.shape[1]
    heads = []
    for head in range(q.shape[1]):
        keys, values = k[:, head // groups], v[:, head // groups]
        scores = q[:, head] @ keys.transpose(1, 2) / math.sqrt(q.shape[-1])
        if visible is not None:
            scores = scores.masked_fill(~visible, float("-inf"))
        heads.append(scores.softmax(-1) @ values)
    return torch.cat(heads, dim=-1)


@pytest.mark.parametrize("kv_heads", [1, 2, 3, 6])
@pytest.mark.parametrize("is_masked", [False, True])
def test_grouped_attention_is_attention_head_by_head(kv_heads: int, is_masked: bool):
    torch.manual_seed(0)
    q, k, v = (
        torch.randn(2, 6, 3, 8),
        torch.randn(2, kv_heads, 5, 8),
        torch.randn(2, kv_heads, 5, 8),
    )
    visible = None
    if is_masked:
        visible = torch.rand(2, 3, 5) > 0.5
        visible[..., 0] = True
    mask = None if visible is None else grouped_mask(visible, 6 // kv_heads)
    ours = grouped_attention(q, k, v, mask)
    assert torch.allclose(ours, naive_attention(q, k, v, visible), atol=1e-6)


@pytest.mark.parametrize("theta", [10000.0, 600000.0])
def test_rotary_turns_pairs_half_a_head_apart(theta: float):
    torch.manual_seed(0)
    positions = torch.tensor([[0, 1, 7], [3, 5, 1000]])
    x = torch.randn(2, 4, 3, 16)
    ours = Rotary(16, theta, positions)(x)
    pairs = torch.complex(x[..., :8].double(), x[..., 8:].double())
    angles = positions[:, None, :, None].double() * theta ** (-torch.arange(8).double() / 8)
    turned = pairs * torch.polar(torch.ones_like(angles), angles)
    expected = torch.cat((turned.real, turned.imag), dim=-1).float()
    assert torch.allclose(ours, expected, atol=3e-4)
    assert torch.equal(ours[0, :, 0], x[0, :, 0])  # position 0 stays


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_rotary_angles_are_fp32_even_for_16_bit_heads(dtype: torch.dtype):
    position = torch.tensor([[4097]])  # no bf16 figure: rounded it would be 4096
    x = torch.randn(1, 1, 1, 8, generator=torch.Generator().manual_seed(0)).to(dtype)
    rotary = Rotary(8, 600000.0, position)
    assert rotary.cos.dtype == rotary.sin.dtype == torch.float32
    exact = 4097 * 600000.0 ** (-torch.arange(4).double() / 4)
    assert torch.allclose(rotary.cos.flatten()[:4].double(), exact.cos(), atol=1e-3)
    ours = rotary(x)
    assert ours.dtype == dtype
    assert torch.equal(ours, rotary(x.float()).to(dtype))


def test_scores_depend_on_the_distance_of_positions_alone():
    torch.manual_seed(0)
    q, k = torch.randn(1, 1, 1, 32), torch.randn(1, 1, 1, 32)

    def score(q_at: int, k_at: int) -> float:
        at = [Rotary(32, 600000.0, torch.tensor([[p]])) for p in (q_at, k_at)]
        return float((at[0](q) * at[1](k)).sum())

    assert score(9, 4) == pytest.approx(score(105, 100), abs=1e-4)
    assert abs(score(9, 4) - score(9, 5)) > 1e-2
