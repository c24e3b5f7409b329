"""The flow head's networks: hidden state -> condition, and the velocity field (SPEC section 4).

Knows nothing about solvers or guidance: `sampler.py` integrates what this file predicts.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ... import kernels
from ...layers import SwiGLU
from ...operations import Operations
from ..config import FlowConfig

NORM_EPS = 1e-6
TIME_FEATURES = 256
TIME_SCALE = 1000.0


class ConditionHead(nn.Module):
    """`vis_head`: final-normed hidden states (..., H) -> conditions (..., W)."""

    def __init__(self, hidden_size: int, config: FlowConfig, operations: Operations) -> None:
        super().__init__()
        self.linear = operations.Linear(hidden_size, config.width)
        self.norm = operations.LayerNorm(config.width, eps=NORM_EPS)

    def forward(self, hidden: Tensor) -> Tensor:
        """Map (..., H) to (..., W)."""
        return self.norm(self.linear(hidden))


class TimeEmbedding(nn.Module):
    """Sinusoidal features of 1000 t, cosines first, then a two-layer MLP."""

    def __init__(self, width: int, operations: Operations) -> None:
        super().__init__()
        self.first = operations.Linear(TIME_FEATURES, width)
        self.second = operations.Linear(width, width)

    def forward(self, t: Tensor, dtype: torch.dtype) -> Tensor:
        """Embed times (S,), where 1 is noise and 0 is data, as (S, W)."""
        half = TIME_FEATURES // 2
        exponents = torch.arange(half, device=t.device, dtype=torch.float32) / half
        angles = TIME_SCALE * t.float()[:, None] * torch.exp(-math.log(10000.0) * exponents)
        features = torch.cat((angles.cos(), angles.sin()), dim=-1)
        return self.second(F.silu(self.first(features.to(dtype))))


class ResBlock(nn.Module):
    """`x + gate * mlp(in_ln(x) * (1 + scale) + shift)`."""

    def __init__(self, config: FlowConfig, operations: Operations) -> None:
        super().__init__()
        self.in_ln = operations.LayerNorm(config.width, eps=NORM_EPS)
        self.mlp = SwiGLU(config.width, operations.HeadLinear, ratio=config.mlp_ratio)

    def forward(self, x: Tensor, modulation: Tensor) -> Tensor:
        """Map (..., W) to (..., W); modulation (..., 3 W) lies as `modulate` says."""
        fused = kernels.block(x, modulation, self.in_ln, self.mlp.w12, self.mlp.w3)
        if fused is not None:
            return fused
        shift, scale, gate = modulation.chunk(3, dim=-1)
        return torch.addcmul(x, gate, self.mlp(torch.addcmul(shift, self.in_ln(x), scale)))


class VelocityNetwork(nn.Module):
    """The velocity from noise towards data, v(x, t, z), of one latent.

    Everything that does not depend on x is a modulation: it is known before the integration
    starts, so the modulations of all blocks come from one matrix (`modulation`) and can be
    computed for all steps of a token at once.
    """

    def __init__(self, latent_size: int, config: FlowConfig, operations: Operations) -> None:
        super().__init__()
        width = config.width
        self.block_sizes = (*[3 * width] * config.depth, 2 * width)
        self.input_proj = operations.Linear(latent_size, width)
        self.time_embed = TimeEmbedding(width, operations)
        self.cond_embed = operations.Linear(width, width)
        self.modulation = operations.LargeLinear(width, sum(self.block_sizes))
        self.res_blocks = nn.ModuleList(ResBlock(config, operations) for _ in range(config.depth))
        self.final_norm = nn.LayerNorm(width, eps=NORM_EPS, elementwise_affine=False)
        self.final_linear = operations.Linear(width, latent_size)

    def modulations(self, time_embeddings: Tensor, z: Tensor) -> Tensor:
        """Modulate for all times (S, W) and conditions (..., W): returns (S, ..., M)."""
        times = time_embeddings.view(-1, *[1] * (z.dim() - 1), time_embeddings.shape[-1])
        return self.modulate(times + self.cond_embed(z))

    def modulate(self, embedding: Tensor) -> Tensor:
        """Map sums of time and condition (..., W) to modulations (..., M).

        Here alone is said how they lie: each block's part is shift, 1 + scale, gate; the final
        layer's has no gate. Blocks, kernels and their plain twins read them so.
        """
        out = self.modulation(F.silu(embedding))
        width = embedding.shape[-1]
        blocks = out[..., : -self.block_sizes[-1]].unflatten(-1, (-1, 3, width))
        blocks[..., 1, :] += 1
        out[..., -width:] += 1
        return out

    def forward(self, x: Tensor, modulation: Tensor) -> Tensor:
        """Predict the fp32 velocity (..., C) of latents x under modulations (..., M).

        x is one for all or one for each of the modulations: its shape broadcasts against theirs.
        """
        *blocks, final = modulation.split(self.block_sizes, dim=-1)
        h = self.input_proj(x.to(modulation.dtype))
        for block, block_modulation in zip(self.res_blocks, blocks, strict=True):
            h = block(h, block_modulation)
        shift, scale = final.chunk(2, dim=-1)
        return self.final_linear(torch.addcmul(shift, self.final_norm(h), scale)).float()
