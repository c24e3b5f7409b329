"""Models with random weights of any size, made where they compute: no checkpoint file needed."""

from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from ming_core import MingModel, TorchOperations
from ming_core.config import FlowConfig, LanguageModelConfig, MingConfig, MingTokConfig
from ming_core.config import VisionStageConfig as Stage
from ming_core.model import Components
from ming_core.text_tokenizer import TextTokenizer

from ..tiny.tokenizer import write_tokenizer

# The head's residual branches are kept small: a random head is chaotic otherwise, and rounding
# would grow to the size of the latents within one token.
CONTRACTION = 0.4


def language_config(hidden: int, layers: int, experts: int, width: int) -> LanguageModelConfig:
    """Return the published language model's figures, scaled to other sizes."""
    return LanguageModelConfig(
        vocab_size=1024,
        hidden_size=hidden,
        num_layers=layers,
        num_heads=16,
        num_kv_heads=4,
        head_size=max(8, hidden // 16),
        rms_norm_eps=1e-5,
        rope_theta=600000.0,
        num_experts=experts,
        num_shared_experts=2,
        top_k=6,
        expert_size=width,
        norm_topk_prob=True,
        multi_gate=True,
        norm_head=False,
        num_image_tokens=256,
    )


def config(
    language: LanguageModelConfig, flow: FlowConfig, semantic: tuple[int, int]
) -> MingConfig:
    """Return a whole config around a language model, a head, and a semantic decoder's size."""
    width, depth = semantic
    mingtok = MingTokConfig(
        image_size=512,
        latent_size=32,
        encoder=Stage(64, 1, 32, is_swiglu=True),
        semantic=Stage(width, depth, 32, is_swiglu=True),
        pixel=Stage(64, 1, 16, is_swiglu=False),
        mean=1.46817409,
        scale=8.09449291,
    )
    return MingConfig(language, flow, mingtok, connector_depth=2)


def middle() -> MingConfig:
    """Return a size that one CPU thread can time."""
    head = FlowConfig(width=768, depth=12, steps=16, mlp_ratio=4)
    return config(language_config(512, 8, 32, 352), head, semantic=(512, 12))


def deep() -> MingConfig:
    """Return the published depths at tiny widths, to count operations."""
    head = FlowConfig(width=64, depth=12, steps=16, mlp_ratio=4)
    return config(language_config(128, 28, 64, 32), head, semantic=(64, 24))


def random_model(
    figures: MingConfig, dtype: torch.dtype, device: torch.device, seed: int = 0
) -> MingModel:
    """Fill a model of these figures with seeded random weights on its device."""
    parts = Components.build(figures, TorchOperations, dtype)
    generator = torch.Generator(device).manual_seed(seed)
    for name, module in parts.named().items():
        module.to_empty(device=device).requires_grad_(requires_grad=False)
        for path, parameter in module.named_parameters():
            fill(f"{name}.{path}", parameter, generator)
    with TemporaryDirectory() as folder:
        write_tokenizer(Path(folder))
        tokenizer = TextTokenizer.load(Path(folder))
    return MingModel("random", figures, tokenizer, parts, dtype, device)


def fill(path: str, parameter: torch.Tensor, generator: torch.Generator) -> None:
    """Give one parameter weights of a sensible scale."""
    if parameter.dim() < 2:
        parameter.fill_(1.0 if path.endswith("weight") else 0.0)
        return
    scale = parameter.shape[-1] ** -0.5
    if ".velocity." in path:
        scale *= CONTRACTION
    if path.endswith("word_embeddings.weight"):
        scale = 1.0
    parameter.normal_(0.0, scale, generator=generator)
