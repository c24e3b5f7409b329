"""The floor under a visual token: the bytes it must read, and how fast this device reads.

Bytes are counted from the model's real tensors. Activations and the semantic decoder's cache, which
are small, are left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor, nn

from ming_core import MingModel, TorchOperations
from ming_core.univision.language_model.transformer import Layer
from ming_core.univision.model import Components

from .clock import Clock, timed

MOST_BYTES = 2 << 30  # read at once to find the bandwidth
CPU_BYTES = 256 << 20  # more than any cache holds
TRIES = 10  # the fastest counts: a floor is what the device can do when nothing else is in the way


@dataclass(frozen=True)
class Load:
    """What a step of the token loop works on."""

    rows: int  # branches times pictures
    context: int  # cached tokens each row sees
    evaluations: int  # of the velocity per token
    distinct_experts: float  # per layer


def bytes_per_token(model: MingModel, load: Load) -> Counter[str]:
    """Count what a visual token (of all pictures side by side) must read once, by kind."""
    language = model.parts.language_model
    velocity = language.velocity
    counted: Counter[str] = Counter()
    for layer in language.transformer.layers:
        assert isinstance(layer, Layer)  # noqa: S101  for the type checker
        moe = layer.mlp
        experts = size([moe.gate_up, moe.down])
        counted["experts"] += round(experts * load.distinct_experts / moe.num_experts)
        counted["language_model"] += size(
            [layer.input_layernorm, layer.attention, layer.post_attention_layernorm]
        )
        counted["language_model"] += size([moe.text_router, moe.shared_experts])
    counted["language_model"] += size([language.transformer.norm])
    every_step = size([velocity.input_proj, velocity.res_blocks, velocity.final_linear])
    once = size([language.condition_head, velocity.cond_embed, velocity.modulation])
    counted["head"] = every_step * load.evaluations + once
    counted["semantic_decoder"] = size([model.parts.semantic_decoder])
    counted["connector"] = size([language.connector])
    counted["cache"] = load.rows * load.context * model.kv_shape.bytes_per_token
    return counted


def size(modules: Iterable[nn.Module]) -> int:
    """Add up the bytes of parameters and buffers."""
    return sum(tensor.nbytes for module in modules for tensor in tensors_of(module))


def tensors_of(module: nn.Module) -> Iterable[Tensor]:
    """Return parameters and buffers."""
    return chain(module.parameters(), module.buffers())


def component_sizes(model: MingModel) -> dict[str, dict[str, object]]:
    """Return parameters and bytes of every component, the latter by number format."""
    sizes: dict[str, dict[str, object]] = {}
    # Counted as published: 4-bit weights share bytes, and scales are no parameters of the model.
    plain = Components.build(model.config, TorchOperations, model.dtype).named()
    for name, module in model.components.items():
        held: Counter[str] = Counter()
        for tensor in tensors_of(module):
            held[str(tensor.dtype).removeprefix("torch.")] += tensor.nbytes
        parameters = sum(parameter.numel() for parameter in plain[name].parameters())
        sizes[name] = {"parameters": parameters, "bytes": dict(held)}
    return sizes


@dataclass(frozen=True)
class Bandwidth:
    """Measured bytes per second: of reading, and of copying, where reads and writes both count."""

    read: float
    copy: float

    @classmethod
    def measure(cls, device: torch.device, clock: Clock, num_bytes: int | None = None) -> Bandwidth:
        """Sum up and copy a buffer larger than any cache, or of `num_bytes`."""
        length = (num_bytes or _buffer_bytes(device)) // 4
        source = torch.ones(length, device=device)
        target = torch.empty_like(source)
        reading = min(timed(clock, lambda: source.sum(), repeats=TRIES))
        copying = min(timed(clock, lambda: target.copy_(source), repeats=TRIES))
        return cls(source.nbytes / reading, 2 * source.nbytes / copying)


def _buffer_bytes(device: torch.device) -> int:
    if device.type != "cuda":
        return CPU_BYTES
    free, _ = torch.cuda.mem_get_info(device)
    return min(MOST_BYTES, free // 4)
