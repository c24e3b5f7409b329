"""How much memory a piece of work takes with this family, and what it needs on the device."""

from collections import defaultdict
from collections.abc import Callable
from math import prod
from typing import Any

import torch
from torch import nn

from ..fitting import FLOATS, Need, Work, num_bytes
from ..kv_cache import BUCKET
from ..operations import Experts, TorchOperations
from ..quantisation import QUANTISATIONS, QuantisedLeaf
from ..stages import Stage
from .config import MingConfig
from .context import LatentContext
from .language_model.experts import BATCH_BYTES
from .model import PAINTER, STEADY, Components, MingModel
from .tokenizer import ConversationTokenizer
from .values import Features, Latents

ANSWER_TOKENS = 512  # of text, where a machine is measured
PROMPT_TOKENS = 512  # of a long prompt; what it really has is known only once it is read
# Of drawing in three branches: distinct experts for each one that a row chooses; operations.
ROUTED = 1.7
CALLS_PER_LAYER, CALLS_PER_BLOCK = 46, 7.6
BYTES_PER_ACTIVATION = 16  # four fp32 values alive at once per hidden unit of an MLP


def turn_stage(
    model: MingModel,
    context: LatentContext | None = None,
    features: Features | None = None,
    *,
    images: int = 0,
    max_tokens: int = 0,
    steps: int | None = None,
    prompts: int = 1,
) -> Stage:
    """Return what a turn needs: language model, semantic decoder, and the painter of what it draws.

    The arguments are those of `working_memory`.
    """
    working = working_memory(model, context, features, images, max_tokens, steps, prompts)
    return Stage(STEADY, working, (PAINTER,) if images else ())


def encoding_stage(model: MingModel, images: int) -> Stage:
    """Return what encoding so many images of the larger size needs."""
    side = model.understand_size // model.config.mingtok.semantic.patch_size
    return Stage(("low_level_encoder",), vision_memory(model, images, side * side))


def expanding_stage(model: MingModel, latents: Latents) -> Stage:
    """Return what expanding latents needs."""
    tokens = latents.values.shape[1]
    return Stage(("semantic_decoder",), vision_memory(model, len(latents), tokens))


def painting_stage(model: MingModel, features: Features) -> Stage:
    """Return what painting features needs."""
    tokens = features.values.shape[1]
    return Stage((PAINTER,), vision_memory(model, len(features), tokens))


def marking_stage(model: MingModel) -> Stage:
    """Return what marking a picture needs: it is painted, encoded twice over, and expanded."""
    encoding = encoding_stage(model, 2)
    return Stage((*encoding.first, "semantic_decoder", PAINTER), encoding.working)


def working_memory(
    model: MingModel,
    context: LatentContext | None,
    features: Features | None,
    images: int,
    max_tokens: int = 0,
    steps: int | None = None,
    prompts: int = 1,
) -> int:
    """Estimate bytes a turn needs beyond the weights: caches, activations, a preview.

    images  drawn side by side, of all prompts; max_tokens  of text; steps  of the flow (the
    model's own). Counts three branches for every picture.
    """
    config = model.config
    given = 0 if features is None else len(features) * features.values.shape[1]
    read = PROMPT_TOKENS + given + (0 if context is None else _tokens_of(context))
    drawn = config.language.num_image_tokens
    batch = 3 * images
    tokens = read * (prompts + batch) + (drawn + BUCKET) * batch
    # A cache that grows while text is written holds its old and its new room for a moment.
    cache = model.kv_shape.bytes_per_token * (tokens + 2 * max_tokens)
    activations = BYTES_PER_ACTIVATION * 4 * config.language.hidden_size * read
    return (
        cache
        + activations
        + token_memory(model, batch, steps or config.flow.steps)
        + semantic_memory(model, images)
        + vision_memory(model, min(images, 1), drawn)
    )


def _tokens_of(context: LatentContext) -> int:
    """Return what a turn reads of a context: its tokens, and the picture carried over."""
    carried = context.carried
    return context.num_tokens + (0 if carried is None else carried.features.values.shape[1])


def token_memory(model: MingModel, batch: int, steps: int) -> int:
    """Estimate bytes that drawing a token in a batch needs: all modulations, some experts."""
    language, flow = model.config.language, model.config.flow
    modulations = batch * steps * (3 * flow.depth + 2) * flow.width
    chosen = min(batch * language.top_k, language.num_experts)
    gathered = chosen * 3 * language.hidden_size * language.expert_size
    return modulations * model.dtype.itemsize + min(gathered * model.dtype.itemsize, BATCH_BYTES)


def semantic_memory(model: MingModel, images: int) -> int:
    """Return bytes that the semantic decoder's cache takes while so many pictures are drawn."""
    stage, tokens = model.config.mingtok.semantic, model.config.language.num_image_tokens
    return images * 2 * stage.depth * stage.width * tokens * model.dtype.itemsize


def vision_memory(model: MingModel, images: int, tokens: int) -> int:
    """Estimate bytes that encoding, expanding or painting pictures of so many tokens needs."""
    mingtok = model.config.mingtok
    fine = (mingtok.semantic.patch_size // mingtok.pixel.patch_size) ** 2
    widest = 4 * max(mingtok.encoder.width, mingtok.semantic.width, mingtok.pixel.width * fine)
    return BYTES_PER_ACTIVATION * widest * tokens * images


def need_of(
    build: Callable[..., Components],
    config: MingConfig,
    tokenizer: ConversationTokenizer,
    precision: str,
    floats: torch.dtype,
) -> Need:
    """Return what a checkpoint needs in a precision.

    build  makes its parts without memory; floats  is what quantised weights are computed with
    """
    dtype = FLOATS.get(precision, floats)
    options: dict[str, Any] = {"quantise": precision if precision in QUANTISATIONS else None}
    parts = build(dtype, TorchOperations, **options)
    named = parts.named()
    experts = (layer for layer in parts.language_model.modules() if isinstance(layer, Experts))
    model = MingModel("", config, tokenizer, parts, dtype)
    tokens, width = config.language.num_image_tokens, config.mingtok.semantic.width
    given = Features(torch.empty(1, tokens, width, device="meta"), config.language.image_grid)
    return Need(
        precision,
        weights=num_bytes(named.values()),
        drawing=num_bytes(named[name] for name in STEADY),
        waiting=num_bytes(experts),
        working=working_memory(model, None, given, 1, ANSWER_TOKENS),
        work=work_of(parts, config),
    )


def work_of(parts: Components, config: MingConfig) -> Work:
    """Count what drawing a picture in three branches asks of a processor."""
    language, flow = config.language, config.flow
    chosen = min(1.0, ROUTED * language.top_k / language.num_experts)
    weights: defaultdict[str, float] = defaultdict(float)

    def read(part: nn.Module, times: float) -> None:
        for layer in part.modules():
            form, count = weights_in(layer)
            weights[form] += count * times * (chosen if isinstance(layer, Experts) else 1)

    model = parts.language_model
    velocity = model.velocity
    for part in (model.transformer.layers, model.connector, model.condition_head):
        read(part, 1)
    read(parts.semantic_decoder, 1)
    for part in (velocity.cond_embed, velocity.modulation):
        read(part, 1)
    for part in (velocity.input_proj, velocity.res_blocks, velocity.final_linear):
        read(part, flow.steps)
    layers = language.num_layers + config.mingtok.semantic.depth
    calls = CALLS_PER_LAYER * layers + CALLS_PER_BLOCK * flow.depth * flow.steps
    tokens = language.num_image_tokens
    return Work({form: count * tokens for form, count in weights.items() if count}, calls * tokens)


def weights_in(layer: nn.Module) -> tuple[str, int]:
    """Return the format of a layer's own matrix, and how many weights it has."""
    if isinstance(layer, QuantisedLeaf):
        return layer.form.name, prod(layer.shape)
    weight = getattr(layer, "weight", None)
    if not isinstance(weight, torch.Tensor) or weight.dim() < 2:
        return "fp32", 0
    names = {dtype: name for name, dtype in FLOATS.items()}
    return names[weight.dtype], weight.numel()
