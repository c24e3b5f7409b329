"""The SANA transformer: the velocity of a latent from noise towards data (LITE_UNI section 8).

Knows nothing about schedules, guidance or where conditions come from. Parameters bear their
published names, but for `.table`, which the published names lack.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..operations import Leaf, Operations
from ..progress import Callback, no_callback
from .diffusion_config import DiffusionConfig
from .layers import GatedConvolution, linear_attention

TIME_FEATURES = 256
CAPTION_NORM_EPS = 1e-5
FINAL_NORM_EPS = 1e-6

Memory = tuple[Tensor, Tensor]  # keys and values of one condition in one block: (1, heads, T, d)


class Table(Leaf):
    """Trained shifts, scales and gates (rows, D), to which the time's own are added."""

    def __init__(self, rows: int, width: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.empty(rows, width))

    def forward(self, time: Tensor) -> Sequence[Tensor]:
        """Add (rows, D), or (D,) to every row, and return the rows."""
        return (self.fetch(self.table, time) + time).unbind(0)


class TwoLayers(nn.Module):
    """`linear_2(activation(linear_1(x)))`: (..., in) -> (..., D)."""

    def __init__(
        self,
        in_size: int,
        width: int,
        activation: Callable[[Tensor], Tensor],
        operations: Operations,
    ) -> None:
        super().__init__()
        self.linear_1 = operations.Linear(in_size, width)
        self.linear_2 = operations.Linear(width, width)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., in) to (..., D)."""
        return self.linear_2(self.activation(self.linear_1(x)))


class TimeEmbedding(nn.Module):
    """Sinusoids of the timestep, cosines first, an MLP, and six modulations made of that."""

    def __init__(self, width: int, operations: Operations) -> None:
        super().__init__()
        mlp = TwoLayers(TIME_FEATURES, width, F.silu, operations)
        self.emb = nn.ModuleDict({"timestep_embedder": mlp})
        self.linear = operations.Linear(width, 6 * width)

    def forward(self, timesteps: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Embed timesteps (S,): the blocks' modulations (S, 6, D), and the embedding (S, D)."""
        half = TIME_FEATURES // 2
        exponents = torch.arange(half, device=timesteps.device, dtype=torch.float32) / half
        angles = timesteps.float()[:, None] * torch.exp(-math.log(10000.0) * exponents)
        features = torch.cat((angles.cos(), angles.sin()), dim=-1)
        embedding = self.emb["timestep_embedder"](features.to(dtype))
        return self.linear(F.silu(embedding)).unflatten(-1, (6, -1)), embedding


class LinearAttention(nn.Module):
    """Attention whose kernel is ReLU: its cost grows with the tokens, not with their square."""

    def __init__(self, config: DiffusionConfig, operations: Operations) -> None:
        super().__init__()
        width, bias = config.width, config.has_attention_bias
        self.num_heads = config.num_heads
        self.to_q = operations.LargeLinear(width, width, bias=bias)
        self.to_k = operations.LargeLinear(width, width, bias=bias)
        self.to_v = operations.LargeLinear(width, width, bias=bias)
        self.to_out = nn.Sequential(operations.LargeLinear(width, width))

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (R, N, D) to (R, N, D)."""
        heads = (self.num_heads, -1)
        q, k, v = (to(x).unflatten(-1, heads) for to in (self.to_q, self.to_k, self.to_v))
        return self.to_out(linear_attention(q, k, v).flatten(2).to(x.dtype))


class CrossAttention(nn.Module):
    """Attention of a latent's tokens to the tokens of a condition."""

    def __init__(self, config: DiffusionConfig, operations: Operations) -> None:
        super().__init__()
        width = config.width
        self.num_heads = config.num_cross_heads
        inner = config.num_cross_heads * config.cross_head_size
        self.to_q = operations.LargeLinear(width, inner)
        self.to_k = operations.LargeLinear(width, inner)
        self.to_v = operations.LargeLinear(width, inner)
        self.to_out = nn.Sequential(operations.LargeLinear(inner, width))

    def read(self, caption: Tensor) -> Memory:
        """Project a caption (1, T, D) to keys and values, which no step changes."""
        return self._heads(self.to_k(caption)), self._heads(self.to_v(caption))

    def forward(self, x: Tensor, memories: Sequence[Memory]) -> Tensor:
        """Map tokens (R, N, D) to (R, N, D), a memory for each row; one row looks at them all."""
        rows = x.expand(len(memories), -1, -1).split(1)
        return torch.cat([self._attend(row, *m) for row, m in zip(rows, memories, strict=True)])

    def _attend(self, x: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        if keys.shape[-2] == 1:  # all attention goes to the only token, whatever is asked
            return self.to_out(values.transpose(1, 2).flatten(2)).expand_as(x)
        out = F.scaled_dot_product_attention(self._heads(self.to_q(x)), keys, values)
        return self.to_out(out.transpose(1, 2).flatten(2))

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)


class Block(nn.Module):
    """Linear attention, cross-attention without norm or gate, gated convolution."""

    def __init__(self, config: DiffusionConfig, operations: Operations) -> None:
        super().__init__()
        norm, width = operations.LayerNorm, config.width
        affine = config.has_affine_norm
        self.scale_shift_table = operations.leaf(Table)(6, width)
        self.norm1 = nn.LayerNorm(width, eps=config.norm_eps, elementwise_affine=False)
        self.attn1 = LinearAttention(config, operations)
        self.norm2 = norm(width, eps=config.norm_eps, elementwise_affine=affine)
        self.attn2 = CrossAttention(config, operations)
        self.ff = GatedConvolution(width, config.hidden_size, operations.LargeLinear, operations)

    def forward(
        self, x: Tensor, time: Tensor, memories: Sequence[Memory], grid: tuple[int, int]
    ) -> Tensor:
        """Map tokens (R, N, D) at one time (6, D) to (R, N, D)."""
        shift1, scale1, gate1, shift2, scale2, gate2 = self.scale_shift_table(time)
        attended = self.attn1(torch.addcmul(shift1, self.norm1(x), 1 + scale1))
        x = torch.addcmul(x, gate1, attended)
        x = x + self.attn2(x, memories)
        modulated = torch.addcmul(shift2, self.norm2(x), 1 + scale2)
        return torch.addcmul(x, gate2, self.ff(modulated.unflatten(1, grid)).flatten(1, 2))


@dataclass(frozen=True, slots=True)
class Moments:
    """What the network makes of the timesteps of a schedule, once for all steps.

    blocks (S, 6, D), final (S, D)
    """

    blocks: Tensor
    final: Tensor

    def at(self, step: int) -> tuple[Tensor, Tensor]:
        """Return those of one step: (6, D), (D,)."""
        return self.blocks[step], self.final[step]


class DiffusionTransformer(nn.Module):
    """The velocity v = noise - picture of a latent; a row for each condition it is seen under."""

    def __init__(self, config: DiffusionConfig, operations: Operations) -> None:
        super().__init__()
        width = config.width
        self.timestep_scale = config.timestep_scale
        self.patch_embed = nn.ModuleDict({"proj": operations.Conv2d(config.channels, width, 1)})
        self.time_embed = TimeEmbedding(width, operations)
        gelu = nn.GELU(approximate="tanh")
        self.caption_projection = TwoLayers(config.caption_channels, width, gelu, operations)
        self.caption_norm = operations.RMSNorm(width, eps=CAPTION_NORM_EPS)
        self.transformer_blocks = nn.ModuleList(
            Block(config, operations) for _ in range(config.num_layers)
        )
        self.scale_shift_table = operations.leaf(Table)(2, width)
        self.norm_out = nn.LayerNorm(width, eps=FINAL_NORM_EPS, elementwise_affine=False)
        self.proj_out = operations.Linear(width, config.channels)

    @property
    def blocks(self) -> Sequence[Block]:
        """The blocks, by their class."""
        return cast("Sequence[Block]", self.transformer_blocks)

    def read(self, condition: Tensor) -> list[Memory]:
        """Project a condition (T, caption channels) for every block; the same for all steps.

        A token repeated T times is as good as one: give it once.
        """
        caption = self.caption_norm(self.caption_projection(condition[None]))
        return [block.attn2.read(caption) for block in self.blocks]

    def moments(self, timesteps: Tensor, dtype: torch.dtype) -> Moments:
        """Embed the timesteps (S,) of a schedule, 1000 being noise and 0 a picture."""
        return Moments(*self.time_embed(timesteps * self.timestep_scale, dtype))

    def forward(
        self,
        latent: Tensor,
        moment: tuple[Tensor, Tensor],
        memories: Sequence[Sequence[Memory]],
        callback: Callback = no_callback,
    ) -> Tensor:
        """Predict the fp32 velocities (R, C, h, w) of one latent (C, h, w) at one moment.

        memories  of R conditions, each as `read` returns them
        """
        grid = (latent.shape[-2], latent.shape[-1])
        time, embedding = moment
        # One row until the first condition is looked at; the layers want channels side by side.
        x = self.patch_embed["proj"](latent[None].to(time.dtype)).flatten(2).mT.contiguous()
        for index, block in enumerate(self.blocks):
            callback()
            x = block(x, time, [memory[index] for memory in memories], grid)
        shift, scale = self.scale_shift_table(embedding)
        out = self.proj_out(torch.addcmul(shift, self.norm_out(x), 1 + scale))
        return out.float().mT.unflatten(-1, grid)
