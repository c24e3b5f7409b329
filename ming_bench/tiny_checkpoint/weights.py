"""Random weights of the tiny checkpoint, under the published tensor names.

Knows nothing about files: it draws numpy arrays from one seeded stream.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from .config import (
    ENCODER_WIDTH,
    EXPERT_WIDTH,
    EXPERTS,
    FLOW_DEPTH,
    FLOW_MULTIPLIER,
    FLOW_WIDTH,
    HEAD_DIM,
    HEADS,
    HIDDEN,
    IMAGE_SIZE,
    KV_HEADS,
    LATENT,
    LAYERS,
    PATCH,
    PIXEL_PATCH,
    PIXEL_WIDTH,
    SEMANTIC_WIDTH,
    SHARED_EXPERTS,
    VISION_DEPTH,
    VOCABULARY,
)
from .tokenizer import is_readable


@dataclass
class Drawing:
    """Named random tensors, drawn one after another from one frozen stream of numbers."""

    stream: np.random.RandomState
    tensors: dict[str, np.ndarray] = field(default_factory=dict)

    def normal(self, name: str, *shape: int, std: float = 1.0) -> np.ndarray:
        self.tensors[name] = self.stream.standard_normal(shape) * std
        return self.tensors[name]

    def linear(
        self, name: str, size_in: int, size_out: int, *, bias: bool = True, gain: float = 1.0
    ) -> None:
        """Draw a layer whose outputs have about `gain` times the size of its inputs."""
        self.normal(f"{name}.weight", size_out, size_in, std=gain / math.sqrt(size_in))
        if bias:
            self.normal(f"{name}.bias", size_out, std=0.1 * gain)

    def norm(self, name: str, width: int, *, bias: bool = True) -> None:
        self.normal(f"{name}.weight", width, std=0.1)
        self.tensors[f"{name}.weight"] += 1.0
        if bias:
            self.normal(f"{name}.bias", width, std=0.05)

    def swiglu(self, name: str, width: int, inner: int) -> None:
        self.linear(f"{name}.w12", width, 2 * inner)
        self.linear(f"{name}.w3", inner, width)


def swiglu_size(width: int, multiplier: int = 4) -> int:
    """Inner width of a SwiGLU that has the parameters of a plain MLP."""
    return 8 * math.ceil(int(multiplier * width * 2 / 3) / 8)


def draw_vision_blocks(draw: Drawing, name: str, width: int, *, swiglu: bool) -> None:
    for index in range(VISION_DEPTH):
        block = f"{name}.blocks.0.{index}"
        draw.norm(f"{block}.norm1", width)
        draw.linear(f"{block}.attn.qkv", width, 3 * width)
        draw.linear(f"{block}.attn.proj", width, width)
        draw.norm(f"{block}.norm2", width)
        if swiglu:
            draw.swiglu(f"{block}.mlp", width, swiglu_size(width))
        else:
            draw.linear(f"{block}.mlp.fc1", width, 4 * width)
            draw.linear(f"{block}.mlp.fc2", 4 * width, width)


def draw_encoder(draw: Drawing) -> None:
    name = "low_level_encoder"
    num_values = 3 * PATCH * PATCH
    # Pixels of one patch are alike, so their sum is larger than that of independent values.
    draw.normal(
        f"{name}.patch_embed.proj.weight", ENCODER_WIDTH, 3, PATCH, PATCH, std=2 / num_values**0.5
    )
    draw.normal(f"{name}.patch_embed.proj.bias", ENCODER_WIDTH, std=0.1)
    draw.normal(f"{name}.cls_token", 1, 1, ENCODER_WIDTH, std=0.5)
    num_positions = (IMAGE_SIZE // PATCH) ** 2 + 1
    draw.normal(f"{name}.pos_embed", 1, num_positions, ENCODER_WIDTH, std=0.5)
    draw_vision_blocks(draw, name, ENCODER_WIDTH, swiglu=True)
    draw.norm(f"{name}.out_norm", ENCODER_WIDTH)
    draw.linear(f"{name}.out_proj", ENCODER_WIDTH, LATENT)


def draw_semantic_decoder(draw: Drawing) -> None:
    draw.linear("semantic_decoder.in_proj", LATENT, SEMANTIC_WIDTH)
    draw_vision_blocks(draw, "semantic_decoder", SEMANTIC_WIDTH, swiglu=True)
    draw.norm("semantic_decoder.norm", SEMANTIC_WIDTH)


def draw_pixel_decoder(draw: Drawing) -> None:
    unfold = (PATCH // PIXEL_PATCH) ** 2
    draw.linear("sem_to_pix", SEMANTIC_WIDTH, unfold * PIXEL_WIDTH)
    draw_vision_blocks(draw, "pixel_decoder", PIXEL_WIDTH, swiglu=False)
    draw.norm("pixel_decoder.norm", PIXEL_WIDTH)
    draw.linear("pixel_decoder.head", PIXEL_WIDTH, 3 * PIXEL_PATCH**2, gain=0.3)
    # Slow waves instead of grain: patches become soft colour fields, clearly not flat grey.
    waves = smooth_waves(PIXEL_PATCH)
    mixing = draw.stream.standard_normal((waves.shape[1], 3, PIXEL_WIDTH)) / PIXEL_WIDTH**0.5
    head = np.einsum("pw,wcd->pcd", waves, 0.22 * mixing)
    draw.tensors["pixel_decoder.head.weight"] = head.reshape(-1, PIXEL_WIDTH)


def smooth_waves(side: int) -> np.ndarray:
    """Return the (side*side, 4) lowest cosine patterns of a square patch."""
    across = np.cos(np.pi * (np.arange(side) + 0.5)[:, None] / side * np.arange(2))
    return np.einsum("iu,jv->ijuv", across, across).reshape(side * side, 4)


def draw_mlp(draw: Drawing, name: str, inner: int) -> None:
    draw.linear(f"{name}.gate_proj", HIDDEN, inner, bias=False)
    draw.linear(f"{name}.up_proj", HIDDEN, inner, bias=False)
    draw.linear(f"{name}.down_proj", inner, HIDDEN, bias=False)


def draw_language_model(draw: Drawing, token_ids: Mapping[str, int]) -> None:
    draw.normal("model.model.word_embeddings.weight", VOCABULARY, HIDDEN)
    for index in range(LAYERS):
        layer = f"model.model.layers.{index}"
        draw.norm(f"{layer}.input_layernorm", HIDDEN, bias=False)
        packed = (HEADS + 2 * KV_HEADS) * HEAD_DIM
        draw.linear(f"{layer}.attention.query_key_value", HIDDEN, packed, bias=False)
        draw.linear(f"{layer}.attention.dense", HEADS * HEAD_DIM, HIDDEN, bias=False)
        draw.norm(f"{layer}.post_attention_layernorm", HIDDEN, bias=False)
        for router in ("gate", "image_gate", "audio_gate"):
            draw.linear(f"{layer}.mlp.{router}", HIDDEN, EXPERTS, bias=False)
        for expert in range(EXPERTS):
            draw_mlp(draw, f"{layer}.mlp.experts.{expert}", EXPERT_WIDTH)
        draw_mlp(draw, f"{layer}.mlp.shared_experts", SHARED_EXPERTS * EXPERT_WIDTH)
    draw.norm("model.model.norm", HIDDEN, bias=False)
    rows = draw.normal("model.lm_head.weight", VOCABULARY, HIDDEN, std=2 / HIDDEN**0.5)
    # Only readable tokens, the end of the text and the start of a picture are ever likely.
    readable = {index for token, index in token_ids.items() if is_readable(token)}
    readable |= {token_ids["<|endoftext|>"], token_ids["<image>"]}
    rows[[index for index in range(VOCABULARY) if index not in readable]] = 0.0
    rows[token_ids["<|endoftext|>"]] *= 1.3


def draw_flow_head(draw: Drawing) -> None:
    draw.linear("model.vis_head.0", HIDDEN, FLOW_WIDTH)
    draw.norm("model.vis_head.1", FLOW_WIDTH)
    net = "model.diffloss.net"
    draw.linear(f"{net}.input_proj", LATENT, FLOW_WIDTH)
    draw.linear(f"{net}.cond_embed", FLOW_WIDTH, FLOW_WIDTH)
    draw.linear(f"{net}.time_embed.mlp.0", 256, FLOW_WIDTH)
    draw.linear(f"{net}.time_embed.mlp.2", FLOW_WIDTH, FLOW_WIDTH)
    for index in range(FLOW_DEPTH):
        block = f"{net}.res_blocks.{index}"
        draw.norm(f"{block}.in_ln", FLOW_WIDTH)
        draw.linear(f"{block}.adaLN_modulation.1", FLOW_WIDTH, 3 * FLOW_WIDTH, gain=0.3)
        draw.swiglu(f"{block}.mlp", FLOW_WIDTH, swiglu_size(FLOW_WIDTH, FLOW_MULTIPLIER))
    draw.linear(f"{net}.final_layer.adaLN_modulation.1", FLOW_WIDTH, 2 * FLOW_WIDTH)
    draw.linear(f"{net}.final_layer.linear", FLOW_WIDTH, LATENT, gain=0.2)
    # Point back along the input: the flow then shrinks its noise instead of blowing it up, and
    # rounding differences do not grow from one visual token to the next.
    inward = draw.tensors[f"{net}.input_proj.weight"].T
    draw.tensors[f"{net}.final_layer.linear.weight"] -= 0.25 * inward


def draw_connector(draw: Drawing) -> None:
    draw.linear("linear_proj.0", SEMANTIC_WIDTH, HIDDEN)
    draw.linear("linear_proj.2", HIDDEN, HIDDEN)
