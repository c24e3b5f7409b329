"""The decoder of the deep-compression autoencoder: latents -> pixels (LITE_UNI 8 and 19, 11).

The encoder's tensors are read by nothing: no picture is ever encoded. Parameters bear their
published names, without the leading `decoder.`. Features lie as (B, H, W, C).
"""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..operations import Leaf, Operations
from ..progress import Callback, no_callback
from .diffusion_config import COLOURS, AutoencoderConfig, StageConfig
from .layers import GatedConvolution, convolved, linear_attention

NORM_EPS = 1e-5
GATED_RATIO = 4


class ChannelNorm(Leaf):
    """RMSNorm over channels, with a bias: (..., C) -> (..., C)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels))
        self.bias = nn.Parameter(torch.empty(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., C) to (..., C)."""
        # A norm and two passes: `F.rms_norm` takes five on a CPU, and knows no bias.
        lengths = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
        inverse = (lengths.square() / x.shape[-1] + NORM_EPS).rsqrt()
        normed = (x * inverse).to(x.dtype)
        return torch.addcmul(self.fetch(self.bias, x), normed, self.fetch(self.weight, x))


class ResidualBlock(nn.Module):
    """`x + norm(conv2(activation(conv1(x))))`."""

    def __init__(self, stage: StageConfig, operations: Operations) -> None:
        super().__init__()
        channels = stage.channels
        self.activation = (
            nn.ReLU(inplace=True) if stage.activation == "relu" else nn.SiLU(inplace=True)
        )
        self.conv1 = operations.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = operations.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = operations.leaf(ChannelNorm)(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, H, W, C) to (B, H, W, C)."""
        hidden = self.activation(convolved(self.conv1, x))
        return self.norm(convolved(self.conv2, hidden)).add_(x)


class Neighbourhood(nn.Module):
    """Queries, keys and values of the pixels around each: depthwise, then mixed within a group."""

    def __init__(self, channels: int, groups: int, side: int, operations: Operations) -> None:
        super().__init__()
        conv = operations.Conv2d
        self.proj_in = conv(
            channels, channels, side, padding=side // 2, groups=channels, bias=False
        )
        self.proj_out = conv(channels, channels, 1, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, H, W, C) to (B, H, W, C)."""
        return convolved(self.proj_out, convolved(self.proj_in, x))


class MultiscaleAttention(nn.Module):
    """Linear attention with a ReLU kernel, among single pixels and among neighbourhoods."""

    def __init__(self, stage: StageConfig, head_size: int, operations: Operations) -> None:
        super().__init__()
        channels, heads = stage.channels, stage.channels // head_size
        inner = heads * head_size
        self.head_size = head_size
        self.to_q = operations.Linear(channels, inner, bias=False)
        self.to_k = operations.Linear(channels, inner, bias=False)
        self.to_v = operations.Linear(channels, inner, bias=False)
        self.to_qkv_multiscale = nn.ModuleList(
            Neighbourhood(3 * inner, 3 * heads, side, operations) for side in stage.kernels
        )
        self.to_out = operations.Linear((1 + len(stage.kernels)) * inner, channels, bias=False)
        self.norm_out = operations.leaf(ChannelNorm)(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, H, W, C) to (B, H, W, C)."""
        batch, height, width, _ = x.shape
        single = torch.cat((self.to_q(x), self.to_k(x), self.to_v(x)), dim=-1)
        every = [single, *(scale(single) for scale in self.to_qkv_multiscale)]
        # The channels are cut into heads of q, k, v in a row, though they were joined as all q,
        # all k, all v: so it is published.
        heads = torch.cat(every, dim=-1).flatten(1, 2).unflatten(-1, (-1, 3 * self.head_size))
        out = linear_attention(*heads.chunk(3, dim=-1)).to(x.dtype)
        return self.norm_out(self.to_out(out.reshape(batch, height, width, -1))).add_(x)


class NormedGatedConvolution(GatedConvolution):
    """`x + norm(gated convolution of x)`."""

    def __init__(self, channels: int, operations: Operations) -> None:
        super().__init__(channels, GATED_RATIO * channels, operations.Linear, operations)
        self.norm = operations.leaf(ChannelNorm)(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, H, W, C) to (B, H, W, C)."""
        return self.norm(super().forward(x)).add_(x)


class AttentiveBlock(nn.Module):
    """Attention, then a gated convolution."""

    def __init__(self, stage: StageConfig, head_size: int, operations: Operations) -> None:
        super().__init__()
        self.attn = MultiscaleAttention(stage, head_size, operations)
        self.conv_out = NormedGatedConvolution(stage.channels, operations)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, H, W, C) to (B, H, W, C)."""
        return self.conv_out(self.attn(x))


def spread(x: Tensor) -> Tensor:
    """Turn every four channels in a row into four pixels: (B, H, W, 4 C) -> (B, 2 H, 2 W, C)."""
    apart = x.unflatten(-1, (-1, 2, 2)).permute(0, 1, 4, 2, 5, 3)
    return apart.flatten(3, 4).flatten(1, 2)


class Upsampling(nn.Module):
    """Twice the resolution; the shortcut spreads channels over the four new pixels."""

    def __init__(
        self, in_channels: int, channels: int, *, is_interpolating: bool, operations: Operations
    ) -> None:
        super().__init__()
        self.repeats = 4 * channels // in_channels
        self.is_interpolating = is_interpolating
        made = channels if is_interpolating else 4 * channels
        self.conv = operations.Conv2d(in_channels, made, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, H, W, C) to (B, 2 H, 2 W, C')."""
        if self.is_interpolating:
            larger = F.interpolate(x.permute(0, 3, 1, 2), scale_factor=2.0)
            made = self.conv(larger).permute(0, 2, 3, 1)
        else:
            made = spread(convolved(self.conv, x))
        return made.add_(spread(x.repeat_interleave(self.repeats, dim=-1)))


class LatentDecoder(nn.Module):
    """Latents (B, C, h, w) -> raw pixels (B, 3, H, W), nominally in [-1, 1]."""

    def __init__(self, config: AutoencoderConfig, operations: Operations) -> None:
        super().__init__()
        coarsest, finest = config.stages[-1], config.stages[0]
        self.scaling_factor = config.scaling_factor
        self.repeats = coarsest.channels // config.latent_channels
        self.conv_in = operations.Conv2d(config.latent_channels, coarsest.channels, 3, padding=1)
        self.up_blocks = nn.ModuleList(
            _stage(config, index, operations) for index in range(len(config.stages))
        )
        self.norm_out = operations.leaf(ChannelNorm)(finest.channels)
        self.conv_out = operations.Conv2d(finest.channels, COLOURS, 3, padding=1)

    def forward(self, latents: Tensor, callback: Callback = no_callback) -> Tensor:
        """Decode latents as the diffusion model draws them."""
        latents = latents / self.scaling_factor
        x = self.conv_in(latents) + latents.repeat_interleave(self.repeats, dim=1)
        x = x.permute(0, 2, 3, 1).contiguous()
        for stage in reversed(self.up_blocks):
            for block in cast("nn.Sequential", stage):
                callback()
                x = block(x)
        return self.conv_out(F.relu(self.norm_out(x)).permute(0, 3, 1, 2)).contiguous()


def _stage(config: AutoencoderConfig, index: int, operations: Operations) -> nn.Sequential:
    stage = config.stages[index]
    layers: list[nn.Module] = []
    if index + 1 < len(config.stages):
        layers.append(
            Upsampling(
                config.stages[index + 1].channels,
                stage.channels,
                is_interpolating=config.is_interpolating,
                operations=operations,
            )
        )
    for _ in range(stage.num_blocks):
        layers.append(
            AttentiveBlock(stage, config.head_size, operations)
            if stage.is_attentive
            else ResidualBlock(stage, operations)
        )
    return nn.Sequential(*layers)
