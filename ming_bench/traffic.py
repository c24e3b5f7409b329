"""The floor under a visual token: the bytes it must read, and how fast this device reads.

Bytes are counted from the model's real tensors. Activations and the semantic decoder's cache, which
are small, are left out.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import torch

from ming_core import MingModel
from ming_core.fitting import num_bytes
from ming_core.univision.language_model.transformer import Layer

from .clock import Clock, timed

MOST_BYTES = 2 << 30  # read at once to find the bandwidth
CPU_BYTES = 256 << 20  # more than any cache holds
TRIES = 10  # the fastest counts: a floor is what the device can do when nothing else is in the way


def bytes_per_token(
    model: MingModel, cached: int, evaluations: int, distinct_experts: float
) -> Counter[str]:
    """Count what a visual token (of all pictures side by side) must read once, by kind.

    cached            tokens in the cache that all branches of all pictures see together
    evaluations       of the velocity
    distinct_experts  per layer
    """
    language = model.parts.language_model
    velocity = language.velocity
    counted: Counter[str] = Counter()
    for layer in language.transformer.layers:
        assert isinstance(layer, Layer)  # noqa: S101  for the type checker
        moe = layer.mlp
        experts = num_bytes([moe.gate_up, moe.down])
        counted["experts"] += round(experts * distinct_experts / moe.num_experts)
        norms = [layer.input_layernorm, layer.post_attention_layernorm]
        others = [*norms, layer.attention, moe.text_router, moe.shared_experts]
        counted["language_model"] += num_bytes(others)
    counted["language_model"] += num_bytes([language.transformer.norm])
    every_step = num_bytes([velocity.input_proj, velocity.res_blocks, velocity.final_linear])
    once = num_bytes([language.condition_head, velocity.cond_embed, velocity.modulation])
    counted["head"] = every_step * evaluations + once
    counted["semantic_decoder"] = num_bytes([model.parts.semantic_decoder])
    counted["connector"] = num_bytes([language.connector])
    counted["cache"] = cached * model.kv_shape.bytes_per_token
    return counted


@dataclass(frozen=True)
class Bandwidth:
    """Measured bytes per second: of reading, and of copying, where reads and writes both count."""

    read: float
    copy: float

    @classmethod
    def measure(cls, device: torch.device, clock: Clock) -> Bandwidth:
        """Sum up and copy a buffer larger than any cache."""
        length = CPU_BYTES
        if device.type == "cuda":
            length = min(MOST_BYTES, torch.cuda.mem_get_info(device)[0] // 4)
        source = torch.ones(length // 4, device=device)
        target = torch.empty_like(source)
        reading = min(timed(clock, lambda: source.sum(), repeats=TRIES))
        copying = min(timed(clock, lambda: target.copy_(source), repeats=TRIES))
        return cls(source.nbytes / reading, 2 * source.nbytes / copying)
