"""The two config.json files of the published layout, for models of any size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ming_core.univision.config import MingConfig
from ming_core.univision.tokenizer import EOS, IMAGE, IMAGE_PATCH

LATENT = 32
SWITCHED_OFF = ("use_qkv_bias", "use_bias", "norm_head", "norm_softmax", "tie_word_embeddings")


@dataclass(frozen=True)
class Sizes:
    """Widths, depths and counts; the defaults train in hours on two cores and take 8 MB in bf16."""

    hidden: int = 128
    layers: int = 4
    heads: int = 4
    kv_heads: int = 2
    head_size: int = 32
    experts: int = 4
    top_k: int = 2
    expert_width: int = 128
    flow_width: int = 128
    flow_depth: int = 3
    vision_width: int = 128
    vision_depth: int = 3
    pixel_depth: int = 3
    image_size: int = 96  # of MingTok's positions
    patch: int = 16
    pixel_patch: int = 8
    shared_experts: int = 1
    encoder: tuple[int, int] | None = None  # width and depth, if they are not the vision's
    pixel_width: int | None = None  # if it is not the vision's
    vocabulary: int | None = None  # if it is not the tokenizer's, rounded up
    rope_theta: int = 10000
    mean: float = 0.0  # of latents, which are normalised by it and the scale
    scale: float = 1.0


def ming_config(sizes: Sizes, ids: Mapping[str, int]) -> MingConfig:
    """Return the engine's own reading of the two files."""
    return MingConfig.read(*config_files(sizes, ids))


def config_files(sizes: Sizes, ids: Mapping[str, int]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return config.json of the big folder and of MingTok's, for a tokenizer's token -> id."""
    return _univision(sizes, ids), _mingtok(sizes)


def _mingtok(sizes: Sizes) -> dict[str, Any]:
    width, depth = sizes.encoder or (sizes.vision_width, sizes.vision_depth)
    return {
        "architectures": ["MingTok"],
        "model_type": "mingtok",
        "low_level_encoder": {
            "img_size": sizes.image_size,
            "patch_size": sizes.patch,
            "depth": depth,
            "embed_dim": width,
            "ffn_layer": "swiglufused",
            "out_dim": LATENT,
        },
        "semantic_decoder": {
            "in_dim": LATENT,
            "patch_size": sizes.patch,
            "embed_dim": sizes.vision_width,
            "ffn_layer": "swiglufused",
            "decoder_depth": sizes.vision_depth,
        },
        "pixel_decoder": {
            "patch_size": sizes.pixel_patch,
            "decoder_depth": sizes.pixel_depth,
            "embed_dim": sizes.pixel_width or sizes.vision_width,
        },
        "scaling_factor": sizes.scale,
        "mean": sizes.mean,
    }


def _univision(sizes: Sizes, ids: Mapping[str, int]) -> dict[str, Any]:
    return {
        "architectures": ["BailingMMNativeForConditionalGeneration"],
        "model_type": "bailingmm",
        "mlp_depth": 2,
        "llm_config": {
            "model_type": "bailing_moe",
            "vocab_size": sizes.vocabulary or 32 * -(-len(ids) // 32),
            "hidden_size": sizes.hidden,
            "num_hidden_layers": sizes.layers,
            "num_attention_heads": sizes.heads,
            "num_key_value_heads": sizes.kv_heads,
            "head_dim": sizes.head_size,
            "hidden_act": "silu",
            "rms_norm_eps": 1e-05,
            **dict.fromkeys(SWITCHED_OFF, False),
            "max_position_embeddings": 4096,
            "rope_theta": sizes.rope_theta,
            "rope_scaling": None,
            "pad_token_id": ids.get(EOS),
            "eos_token_id": ids.get(EOS),
            "num_experts": sizes.experts,
            "num_shared_experts": sizes.shared_experts,
            "num_experts_per_tok": sizes.top_k,
            "num_image_tokens_for_gen": (sizes.image_size // sizes.patch) ** 2,
            "norm_topk_prob": True,
            "moe_intermediate_size": sizes.expert_width,
            "first_k_dense_replace": 0,
            "multi_gate": True,
            "image_patch_token": ids.get(IMAGE_PATCH),
            "image_start_token": ids.get(IMAGE),
        },
        "vishead_diffloss_config": {
            "diffloss_w": sizes.flow_width,
            "diffloss_d": sizes.flow_depth,
            "num_sampling_steps": "16",
            "gen_method": "flow_matching_swiglu-4",
            "vis_head_arch": "linear2-norm",
        },
        "torch_dtype": "bfloat16",
    }
