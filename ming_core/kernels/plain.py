"""What the kernels compute, written plainly in torch and fp32: what they are compared with."""

from torch import Tensor
from torch.nn import functional as F

from .packed import Norm, Packed


def add_experts(
    total: Tensor, tokens: Tensor, weights: Tensor, chosen: Tensor, gate_up: Packed, down: Packed
) -> Tensor:
    """Add to `total` (T, H) fp32 the experts `chosen` (T, k) of tokens (T, H) times `weights`."""
    first, second = gate_up.numbers(), down.numbers()
    for row, experts in enumerate(chosen.tolist()):
        for weight, expert in zip(weights[row], experts, strict=True):
            gate, up = F.linear(tokens[row].float(), first[expert]).chunk(2)
            hidden = (F.silu(gate) * up).to(tokens.dtype).float()
            total[row] += weight * F.linear(hidden, second[expert])
    return total


def block(x: Tensor, modulation: Tensor, norm: Norm, w12: Packed, w3: Packed) -> Tensor:
    """Run a residual block of the flow head: returns (R, W).

    x is (R, W), or (N, W) where row r of R starts from x[r % N]; modulation (R, 3 W) lies as the
    velocity network's `modulate` says.
    """
    x = x.repeat(len(modulation) // len(x), 1)
    shift, scale, gate = modulation.float().chunk(3, dim=-1)
    normed = F.layer_norm(x.float(), x.shape[-1:], norm.weight.float(), norm.bias.float(), norm.eps)
    asked = (normed * scale + shift).to(x.dtype).float()
    first, second = F.linear(asked, w12.numbers(), _wide(w12.bias)).chunk(2, dim=-1)
    hidden = (F.silu(first) * second).to(x.dtype).float()
    return (x + gate * F.linear(hidden, w3.numbers(), _wide(w3.bias))).to(x.dtype)


def _wide(bias: Tensor | None) -> Tensor | None:
    return None if bias is None else bias.float()
