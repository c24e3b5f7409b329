"""The Qwen2 decoder: a causal language model with three-axis positions, or a plain encoder.

One class serves the language model and the connector (sections 6 and 7). It is told the angles
of its rotary embedding and what each token sees; it knows nothing about prompts or pictures.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..config_section import Section
from ..errors import ConfigError
from ..kv_cache import KVShape, WorkingCache
from ..layers import Rotation, grouped_attention
from ..operations import Operations
from ..progress import Callback, no_callback

RopePrecision = Literal["fp32", "reference"]
ROPE_PRECISIONS: tuple[RopePrecision, ...] = ("fp32", "reference")
# Rotary frequencies that turn with time, row and column, fastest first.
AXES = (16, 24, 24)
Linear = Callable[..., Any]  # a layer class: inputs, outputs, bias


@dataclass(frozen=True, slots=True)
class QwenConfig:
    """Figures of a Qwen2 decoder."""

    vocab_size: int
    hidden_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_size: int
    mlp_size: int
    rope_theta: float
    rms_norm_eps: float
    is_tied: bool
    max_tokens: int

    @classmethod
    def read(cls, section: Section) -> "QwenConfig":
        """Read a Qwen2 config.json, refusing what the engine does not implement."""
        section.only("model_type", supported="qwen2")
        section.only("hidden_act", supported="silu")
        section.only("use_sliding_window", supported=False)
        hidden_size = section.integer("hidden_size")
        num_heads = section.integer("num_attention_heads")
        config = cls(
            vocab_size=section.integer("vocab_size"),
            hidden_size=hidden_size,
            num_layers=section.integer("num_hidden_layers"),
            num_heads=num_heads,
            num_kv_heads=section.integer("num_key_value_heads", default=num_heads),
            head_size=section.integer("head_dim", default=max(1, hidden_size // num_heads)),
            mlp_size=section.integer("intermediate_size"),
            rope_theta=section.number("rope_theta", default=10000.0),
            rms_norm_eps=section.number("rms_norm_eps", default=1e-6),
            is_tied=section.boolean("tie_word_embeddings", default=False),
            max_tokens=section.integer("max_position_embeddings", default=32768),
        )
        if config.num_heads % config.num_kv_heads or config.head_size % 2:
            raise ConfigError(
                f"config.json: {section.name} has {config.num_heads} heads of {config.head_size} "
                f"for {config.num_kv_heads} key/value heads; expected a multiple, of even width."
            )
        return config

    def check_axes(self) -> None:
        """Refuse a head that three-axis positions do not fill."""
        if self.head_size != 2 * sum(AXES):
            raise ConfigError(
                f"config.json: the language model's heads are {self.head_size} wide; its "
                f"three-axis positions ({AXES}) are made for {2 * sum(AXES)}."
            )


def inverse_frequencies(head_size: int, theta: float, precision: RopePrecision) -> Tensor:
    """Return the angle per position of every rotary frequency (head_size / 2), on the CPU.

    "reference" rounds them to bf16, as casting the published module tree does.
    """
    frequencies = 1.0 / theta ** (torch.arange(0, head_size, 2).float() / head_size)
    return frequencies.bfloat16().float() if precision == "reference" else frequencies


def plain_rotation(
    config: QwenConfig, tokens: int, precision: RopePrecision, device: torch.device
) -> Rotation:
    """Return the rotation of tokens in a row, counted from 0."""
    frequencies = inverse_frequencies(config.head_size, config.rope_theta, precision)
    return Rotation((torch.arange(tokens)[:, None] * frequencies)[None].to(device))


def three_axis_rotation(
    config: QwenConfig, positions: Tensor, precision: RopePrecision, device: torch.device
) -> Rotation:
    """Return the rotation of tokens at positions (3, T): of time, row and column."""
    frequencies = inverse_frequencies(config.head_size, config.rope_theta, precision)
    angles = positions[..., None].cpu() * frequencies
    parts = angles.split(AXES, dim=-1)
    turned = torch.cat([part[axis] for axis, part in enumerate(parts)], dim=-1)
    return Rotation(turned[None].to(device))


class GatedMLP(nn.Module):
    """MLP `down(silu(gate(x)) * up(x))`: (..., D) -> (..., D)."""

    def __init__(self, width: int, hidden: int, linear: Linear, *, bias: bool) -> None:
        super().__init__()
        self.gate_proj = linear(width, hidden, bias=bias)
        self.up_proj = linear(width, hidden, bias=bias)
        self.down_proj = linear(hidden, width, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., D) to (..., D)."""
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Attention(nn.Module):
    """Grouped-query self-attention, over a cache if there is one."""

    def __init__(self, config: QwenConfig, linear: Linear) -> None:
        super().__init__()
        self.head_size = config.head_size
        size, kv_size = (n * config.head_size for n in (config.num_heads, config.num_kv_heads))
        self.q_proj = linear(config.hidden_size, size)
        self.k_proj = linear(config.hidden_size, kv_size)
        self.v_proj = linear(config.hidden_size, kv_size)
        self.o_proj = linear(size, config.hidden_size, bias=False)

    def forward(
        self,
        x: Tensor,
        rotation: Rotation,
        visible: Tensor | None,
        cache: WorkingCache | None,
        layer: int,
    ) -> Tensor:
        """Map (B, T, H) to (B, T, H), writing the new keys and values into `cache`."""
        q, k, v = (
            projection(x).unflatten(-1, (-1, self.head_size)).transpose(1, 2)
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        q, k = rotation(q), rotation(k)
        if cache is not None:
            k, v = cache.write(layer, k, v)
        return self.o_proj(grouped_attention(q, k, v, visible))


class Layer(nn.Module):
    """One pre-norm block."""

    def __init__(self, config: QwenConfig, operations: Operations, linear: Linear) -> None:
        super().__init__()
        size, eps = config.hidden_size, config.rms_norm_eps
        self.input_layernorm = operations.RMSNorm(size, eps=eps)
        self.self_attn = Attention(config, operations.LargeLinear)
        self.post_attention_layernorm = operations.RMSNorm(size, eps=eps)
        self.mlp = GatedMLP(size, config.mlp_size, linear, bias=False)

    def forward(
        self,
        x: Tensor,
        rotation: Rotation,
        visible: Tensor | None,
        cache: WorkingCache | None,
        layer: int,
    ) -> Tensor:
        """Map (B, T, H) to (B, T, H)."""
        x = x + self.self_attn(self.input_layernorm(x), rotation, visible, cache, layer)
        return x + self.mlp(self.post_attention_layernorm(x))


class Decoder(nn.Module):
    """The layers and the final norm; embeddings in, hidden states out."""

    def __init__(self, config: QwenConfig, operations: Operations, linear: Linear) -> None:
        """Build the layers; `linear` makes the matrices of their MLPs, most of the weights."""
        super().__init__()
        self.config = config
        self.layers = nn.ModuleList(
            Layer(config, operations, linear) for _ in range(config.num_layers)
        )
        self.norm = operations.RMSNorm(config.hidden_size, eps=config.rms_norm_eps)

    def kv_shape(self, dtype: torch.dtype, device: torch.device) -> KVShape:
        """Return what a cache for this decoder holds."""
        config = self.config
        return KVShape(config.num_layers, config.num_kv_heads, config.head_size, dtype, device)

    def forward(
        self,
        x: Tensor,
        rotation: Rotation,
        visible: Tensor | None = None,
        cache: WorkingCache | None = None,
        callback: Callback = no_callback,
    ) -> Tensor:
        """Read embeddings (B, T, H) after what `cache` holds; return final-normed states.

        visible  from `grouped_mask`; None sees everything, later tokens included
        """
        for index, layer in enumerate(self.layers):
            callback()
            x = layer(x, rotation, visible, cache, index)
        if cache is not None:
            cache.advance(x.shape[1])
        return self.norm(x)
