"""Layers that the diffusion transformer and the decoder of its latents are both made of."""

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional as F

from ..operations import Operations

DENOMINATOR_EPS = 1e-15


def linear_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attend with the kernel relu(q) . relu(k): its cost grows with the tokens, not their square.

    q, k, v (B, N, heads, d); returns (B, N, heads, d) fp32, as all of it is computed
    """
    q, k, v = (x.float().transpose(1, 2) for x in (F.relu(q), F.relu(k), v))
    denominators = q @ k.sum(dim=2)[..., None] + DENOMINATOR_EPS
    return (q @ (k.mT @ v) / denominators).transpose(1, 2)


def convolved(convolution: nn.Module, x: Tensor) -> Tensor:
    """Apply a convolution of (B, C, H, W) to features (B, H, W, C)."""
    return convolution(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


class GatedConvolution(nn.Module):
    """Widen, look at the eight neighbours, gate, narrow: `point(a * silu(g))`.

    a and g are the halves of `depth(silu(inverted(x)))`. Two of the three are published as
    convolutions of 1 x 1, which are matrices; `linear` makes them.
    """

    def __init__(
        self, width: int, hidden: int, linear: Callable[..., nn.Module], operations: Operations
    ) -> None:
        super().__init__()
        wide = 2 * hidden
        self.conv_inverted = linear(width, wide)
        self.conv_depth = operations.Conv2d(wide, wide, 3, padding=1, groups=wide)
        self.conv_point = linear(hidden, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, H, W, C) to (B, H, W, C)."""
        # In place where a layer has just made the tensor: fresh memory is slow on a CPU.
        wide = F.silu(self.conv_inverted(x), inplace=True)
        value, gate = convolved(self.conv_depth, wide).chunk(2, dim=-1)
        return self.conv_point(value * F.silu(gate))
