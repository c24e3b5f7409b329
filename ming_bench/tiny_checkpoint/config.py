"""Sizes of the tiny random checkpoint and the two config.json files that state them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HIDDEN, LAYERS, HEADS, KV_HEADS, HEAD_DIM = 64, 2, 4, 2, 16
EXPERTS, TOP_K, SHARED_EXPERTS, EXPERT_WIDTH = 8, 2, 1, 32
FLOW_WIDTH, FLOW_DEPTH, FLOW_MULTIPLIER = 64, 2, 4
LATENT = 32
ENCODER_WIDTH, SEMANTIC_WIDTH, PIXEL_WIDTH, VISION_DEPTH = 64, 128, 128, 2
IMAGE_SIZE, PATCH, PIXEL_PATCH = 96, 16, 8
VOCABULARY = 480  # a few rows more than the tokenizer has entries, as published

MINGTOK_CONFIG = {
    "architectures": ["MingTok"],
    "model_type": "mingtok",
    "low_level_encoder": {
        "img_size": IMAGE_SIZE,
        "patch_size": PATCH,
        "depth": VISION_DEPTH,
        "embed_dim": ENCODER_WIDTH,
        "ffn_layer": "swiglufused",
        "out_dim": LATENT,
    },
    "semantic_decoder": {
        "in_dim": LATENT,
        "patch_size": PATCH,
        "embed_dim": SEMANTIC_WIDTH,
        "decoder_depth": VISION_DEPTH,
        "ffn_layer": "swiglufused",
    },
    "pixel_decoder": {
        "patch_size": PIXEL_PATCH,
        "decoder_depth": VISION_DEPTH,
        "embed_dim": PIXEL_WIDTH,
    },
    "scaling_factor": 0.75,
    "mean": 0.125,
}


def univision_config(token_ids: Mapping[str, int]) -> dict[str, Any]:
    """Return config.json of the big folder; `token_ids` gives the ids of the control tokens."""
    return {
        "architectures": ["BailingMMNativeForConditionalGeneration"],
        "model_type": "bailingmm",
        "mlp_depth": 2,
        "llm_config": {
            "model_type": "bailing_moe",
            "vocab_size": VOCABULARY,
            "hidden_size": HIDDEN,
            "num_hidden_layers": LAYERS,
            "num_attention_heads": HEADS,
            "num_key_value_heads": KV_HEADS,
            "head_dim": HEAD_DIM,
            "hidden_act": "silu",
            "use_qkv_bias": False,
            "use_bias": False,
            "rms_norm_eps": 1e-05,
            "norm_head": False,
            "norm_softmax": False,
            "tie_word_embeddings": False,
            "max_position_embeddings": 4096,
            "rope_theta": 600000,
            "rope_scaling": None,
            "pad_token_id": token_ids["<|endoftext|>"],
            "eos_token_id": token_ids["<|endoftext|>"],
            "num_experts": EXPERTS,
            "num_shared_experts": SHARED_EXPERTS,
            "num_experts_per_tok": TOP_K,
            "num_image_tokens_for_gen": (IMAGE_SIZE // PATCH) ** 2,
            "norm_topk_prob": True,
            "moe_intermediate_size": EXPERT_WIDTH,
            "first_k_dense_replace": 0,
            "multi_gate": True,
            "image_patch_token": token_ids["<imagePatch>"],
            "image_start_token": token_ids["<image>"],
        },
        "vishead_diffloss_config": {
            "diffloss_w": FLOW_WIDTH,
            "diffloss_d": FLOW_DEPTH,
            "num_sampling_steps": "16",
            "gen_method": f"flow_matching_swiglu-{FLOW_MULTIPLIER}",
            "vis_head_arch": "linear2-norm",
        },
        "torch_dtype": "bfloat16",
    }
