"""Layers that several boxes of the model share; knows nothing about any one of them."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# An fp32 product on a CPU reads its weights several times for these, once for one row more
# (docs/decisions/0016).
SLOW_ROWS = range(7, 16)


def swiglu_hidden_size(width: int, ratio: int = 4) -> int:
    """Hidden width of a SwiGLU MLP: two thirds of ratio * width, rounded up to 8s."""
    return (int(ratio * width * 2 / 3) + 7) // 8 * 8


class SwiGLU(nn.Module):
    """MLP `w3(silu(a) * b)` with a, b the halves of `w12(x)`: (..., D) -> (..., D)."""

    def __init__(self, width: int, linear: Callable[[int, int], nn.Module], ratio: int = 4) -> None:
        super().__init__()
        hidden = swiglu_hidden_size(width, ratio)
        self.w12 = linear(width, 2 * hidden)
        self.w3 = linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., D) to (..., D)."""
        rows = x.shape[:-1].numel()
        if (
            SLOW_ROWS.start <= rows < SLOW_ROWS.stop
            and x.device.type == "cpu"
            and x.dtype == torch.float32
        ):
            padded = F.pad(x.reshape(rows, -1), (0, 0, 0, SLOW_ROWS.stop - rows))
            return self._run(padded)[:rows].view_as(x)
        return self._run(x)

    def _run(self, x: Tensor) -> Tensor:
        gate, value = self.w12(x).chunk(2, dim=-1)
        return self.w3(F.silu(gate) * value)


class PlainMLP(nn.Module):
    """MLP `fc2(gelu(fc1(x)))` with the exact GELU: (..., D) -> (..., D)."""

    def __init__(self, width: int, linear: Callable[[int, int], nn.Module]) -> None:
        super().__init__()
        self.fc1 = linear(width, 4 * width)
        self.fc2 = linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., D) to (..., D)."""
        return self.fc2(F.gelu(self.fc1(x)))


class Rotation:
    """Rotary embedding by given angles (B, T, head_size / 2), half-split convention, in fp32."""

    def __init__(self, angles: Tensor) -> None:
        angles = angles[:, None].float()
        self.cos = angles.cos().repeat(1, 1, 1, 2)
        self.sin = torch.cat((-angles.sin(), angles.sin()), dim=-1)

    def __call__(self, x: Tensor) -> Tensor:
        """Rotate (B, heads, T, head_size) by the angles of their places."""
        wide = x.float()
        first, second = wide.chunk(2, dim=-1)
        swapped = torch.cat((second, first), dim=-1)
        return torch.addcmul(wide * self.cos, swapped, self.sin).to(x.dtype)


class Rotary(Rotation):
    """Rotary embedding over the full head width, by positions (B, T)."""

    def __init__(self, head_size: int, theta: float, positions: Tensor) -> None:
        exponents = torch.arange(0, head_size, 2, device=positions.device).float() / head_size
        super().__init__(positions.float()[..., None] * theta**-exponents)


def grouped_mask(visible: Tensor, groups: int) -> Tensor:
    """Turn what each query sees, (B, T, L), into the mask of `grouped_attention`, once per step.

    visible  booleans, or numbers that are added to the scores
    """
    return visible[:, None].repeat(1, 1, groups, 1)


def grouped_attention(q: Tensor, k: Tensor, v: Tensor, visible: Tensor | None) -> Tensor:
    """Attend with H query heads over K key/value heads, each serving H / K query heads in a row.

    q (B, H, T, d), k and v (B, K, L, d), visible (B, 1, H / K * T, L) from `grouped_mask`
    returns (B, T, H * d)

    The query group is folded into the query length, so that no key or value is repeated.
    """
    batch, heads, queries, width = q.shape
    q = q.reshape(batch, k.shape[1], heads // k.shape[1] * queries, width)
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=visible)
    return out.reshape(batch, heads, queries, width).transpose(1, 2).flatten(2)
