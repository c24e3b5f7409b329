"""Models with random weights of any size, made where they compute: no checkpoint file needed."""

import math
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

from ming_core import MingModel, TorchOperations
from ming_core.operations import Operations
from ming_core.places import Place, put
from ming_core.univision.config import FlowConfig, LanguageModelConfig, MingConfig, MingTokConfig
from ming_core.univision.config import VisionStageConfig as Stage
from ming_core.univision.model import Components
from ming_core.univision.tokenizer import ConversationTokenizer

from .tiny_checkpoint.tokenizer import write_tokenizer

# The head's residual branches are kept small: a random head is chaotic otherwise, and rounding
# would grow to the size of the latents within one token.
CONTRACTION = 0.4


def language_config(  # noqa: PLR0913  a row of figures
    hidden: int, layers: int, experts: int, width: int, vocabulary: int = 1024, top_k: int = 6
) -> LanguageModelConfig:
    """Return the published language model's figures, scaled to other sizes."""
    return LanguageModelConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        num_layers=layers,
        num_heads=16,
        num_kv_heads=4,
        head_size=max(8, hidden // 16),
        rms_norm_eps=1e-5,
        rope_theta=600000.0,
        num_experts=experts,
        num_shared_experts=2,
        top_k=top_k,
        expert_size=width,
        norm_topk_prob=True,
        multi_gate=True,
        norm_head=False,
        num_image_tokens=256,
    )


def config(
    language: LanguageModelConfig,
    flow: FlowConfig,
    semantic: tuple[int, int],
    encoder: tuple[int, int] = (64, 1),
    pixel: tuple[int, int] = (64, 1),
) -> MingConfig:
    """Return a whole config around a language model, a head, and MingTok's (width, depth)s."""
    mingtok = MingTokConfig(
        image_size=512,
        latent_size=32,
        encoder=Stage(*encoder, 32, is_swiglu=True),
        semantic=Stage(*semantic, 32, is_swiglu=True),
        pixel=Stage(*pixel, 16, is_swiglu=False),
        mean=1.46817409,
        scale=8.09449291,
    )
    return MingConfig(language, flow, mingtok, connector_depth=2)


def head(width: int, depth: int = 12) -> FlowConfig:
    """Return the published flow head's figures at another size."""
    return FlowConfig(width=width, depth=depth, steps=16, mlp_ratio=4)


# quick      to try the bench itself
# mid        a size that one CPU thread can time, with the published shares of head and language
# deep       the published depths at tiny widths, to count operations and the host's own time
# published  the published figures
SIZES = {
    "quick": config(language_config(64, 2, 8, 32, top_k=2), head(64, 2), semantic=(64, 2)),
    "mid": config(language_config(512, 8, 32, 352), head(768), semantic=(512, 12)),
    "deep": config(language_config(128, 28, 64, 32), head(64), semantic=(64, 24)),
    "published": config(
        language_config(2048, 28, 64, 1408, vocabulary=126464),
        head(3072),
        semantic=(1024, 24),
        encoder=(768, 12),
        pixel=(1024, 24),
    ),
}


def random_model(
    figures: MingConfig,
    dtype: torch.dtype,
    device: torch.device,
    operations: Operations = TorchOperations,
    seed: int = 0,
) -> MingModel:
    """Fill a model of these figures with seeded random weights, stretch by stretch on its device.

    The same seed gives the same weights in every precision: they are drawn in bf16, as published
    ones are, and stored as the layers store a checkpoint's.
    """
    parts = Components.build(figures, operations, dtype)
    for module in parts.named().values():
        module.to_empty(device=device).requires_grad_(requires_grad=False)
    generator = torch.Generator(device).manual_seed(seed)
    for place in stretches(figures):
        path = f"{place.component}.{place.parameter}"
        put(parts.named(), place, weights_of(path, place.shape, generator))
    with TemporaryDirectory() as folder:
        write_tokenizer(Path(folder))
        tokenizer = ConversationTokenizer.load(Path(folder))
    return MingModel("random", figures, tokenizer, parts, dtype, device)


def stretches(figures: MingConfig) -> Iterator[Place]:
    """Yield every parameter of the plain model, stacked experts one by one."""
    plain = Components.build(figures, TorchOperations, torch.float32)
    for component, module in plain.named().items():
        for path, parameter in module.named_parameters():
            if parameter.dim() == 3 and ".mlp." in path:
                for expert in range(len(parameter)):
                    yield Place(component, path, (expert,), tuple(parameter.shape[1:]))
            else:
                yield Place(component, path, (), tuple(parameter.shape))


def weights_of(path: str, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Draw weights that keep the size of what passes through them, in bf16."""
    device = generator.device
    if len(shape) < 2:
        return torch.full(shape, 1.0 if path.endswith("weight") else 0.0, device=device)
    scale = math.prod(shape[1:]) ** -0.5
    if ".velocity." in path:
        scale *= CONTRACTION
    if path.endswith("word_embeddings.weight"):
        scale = 1.0
    width = 3**0.5 * scale  # of a uniform distribution with this standard deviation
    weights = torch.empty(shape, dtype=torch.bfloat16, device=device)
    return weights.uniform_(-width, width, generator=generator)
