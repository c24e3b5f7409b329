"""Sizes of the models we train, and the two config.json files that state them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ming_core.univision.config import MingConfig
from ming_core.univision.tokenizer import EOS, IMAGE, IMAGE_PATCH


@dataclass(frozen=True)
class Sizes:
    """Widths and depths; the defaults train in hours on two cores and take 8 MB in bf16."""

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
    image_size: int = 96
    patch: int = 16
    pixel_patch: int = 8


PRESETS = {
    "small": Sizes(),
    "deep": Sizes(layers=6, pixel_depth=6),
    "full": Sizes(
        hidden=192, heads=6, kv_heads=2, expert_width=192, flow_width=192, flow_depth=3, layers=5
    ),
}
LATENT_SIZE = 32


def mingtok_config(sizes: Sizes, mean: float, scale: float) -> dict[str, Any]:
    """Return config.json of the MingTok folder; latents are normalised by mean and scale."""
    common = {"embed_dim": sizes.vision_width, "ffn_layer": "swiglufused"}
    return {
        "architectures": ["MingTok"],
        "model_type": "mingtok",
        "low_level_encoder": {
            "img_size": sizes.image_size,
            "patch_size": sizes.patch,
            "depth": sizes.vision_depth,
            **common,
            "out_dim": LATENT_SIZE,
        },
        "semantic_decoder": {
            "in_dim": LATENT_SIZE,
            "patch_size": sizes.patch,
            **common,
            "decoder_depth": sizes.vision_depth,
        },
        "pixel_decoder": {
            "patch_size": sizes.pixel_patch,
            "decoder_depth": sizes.pixel_depth,
            "embed_dim": sizes.vision_width,
        },
        "scaling_factor": scale,
        "mean": mean,
    }


def univision_config(sizes: Sizes, vocabulary: dict[str, int]) -> dict[str, Any]:
    """Return config.json of the big folder for a tokenizer's vocabulary."""
    return {
        "architectures": ["BailingMMNativeForConditionalGeneration"],
        "model_type": "bailingmm",
        "mlp_depth": 2,
        "llm_config": {
            "model_type": "bailing_moe",
            "vocab_size": 32 * -(-len(vocabulary) // 32),
            "hidden_size": sizes.hidden,
            "num_hidden_layers": sizes.layers,
            "num_attention_heads": sizes.heads,
            "num_key_value_heads": sizes.kv_heads,
            "head_dim": sizes.head_size,
            "hidden_act": "silu",
            "use_qkv_bias": False,
            "use_bias": False,
            "rms_norm_eps": 1e-05,
            "norm_head": False,
            "norm_softmax": False,
            "tie_word_embeddings": False,
            "max_position_embeddings": 4096,
            "rope_theta": 10000,
            "rope_scaling": None,
            "pad_token_id": vocabulary[EOS],
            "eos_token_id": vocabulary[EOS],
            "num_experts": sizes.experts,
            "num_shared_experts": 1,
            "num_experts_per_tok": sizes.top_k,
            "num_image_tokens_for_gen": (sizes.image_size // sizes.patch) ** 2,
            "norm_topk_prob": True,
            "moe_intermediate_size": sizes.expert_width,
            "first_k_dense_replace": 0,
            "multi_gate": True,
            "image_patch_token": vocabulary[IMAGE_PATCH],
            "image_start_token": vocabulary[IMAGE],
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


def ming_config(
    sizes: Sizes, vocabulary: dict[str, int], mean: float = 0.0, scale: float = 1.0
) -> MingConfig:
    """Return the engine's own reading of the two files."""
    return MingConfig.read(univision_config(sizes, vocabulary), mingtok_config(sizes, mean, scale))
