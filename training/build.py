"""Fresh models: the engine's own components with initial weights, in fp32, ready to learn."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from ming_core import CheckpointError, load_model
from ming_core.operations import ExpertLinear, TorchOperations
from ming_core.univision.config import MingConfig
from ming_core.univision.folders import find_checkpoint
from ming_core.univision.model import Components

from .experts import make_balanced
from .new_words import grown_rows
from .tokenizer import vocabulary_of
from .wider import widened, width

SMALL = 0.02
LAYERS = {"language_model": "transformer.layers.", "pixel_decoder": "blocks."}  # that may be added
WORDS = ("word_embeddings.weight", "lm_head.weight")  # have a row for every word
OUTPUTS = ("dense", "down_proj", "down", "attn.proj", "mlp.w3", "mlp.fc2")  # write to the residual


def fresh_components(config: MingConfig, seed: int) -> Components:
    """Build the components of a config with random weights."""
    components = Components.build(config, TorchOperations, torch.float32)
    generator = torch.Generator().manual_seed(seed)
    for name, module in components.named().items():
        module.to_empty(device="cpu").train()
        for path, layer in module.named_modules():
            _initialise(f"{name}.{path}", layer, generator)
    velocity = components.language_model.velocity
    for silent in (velocity.modulation, velocity.final_linear):
        nn.init.zeros_(silent.weight)
    make_balanced(components.language_model.transformer)
    return components


def begin_with(components: Components, folder: Path, vocabulary: dict[str, int]) -> bool:
    """Take the weights of a checkpoint; return whether the language model is wider than it.

    Layers that it lacks follow copies of themselves, silently.

    The model's vocabulary may hold more words than the checkpoint's (`new_words.py`).

    A layer that is new has the weights of the one before it and writes nothing yet, so that a
    deeper model begins as good as the one it grew from (Net2Net, Chen et al. 2016). So does a wider
    language model (`wider.py`).

    Raises CheckpointError where the checkpoint is wider or deeper, or of another kind.
    """
    known = load_model(folder).parts
    before = vocabulary_of(find_checkpoint(folder).univision)
    for name, module in components.named().items():
        weights = known.named()[name].state_dict()
        if name in LAYERS:
            weights = _grown(weights, LAYERS[name], module.get_submodule(LAYERS[name][:-1]))
        for path in [path for path in weights if path.endswith(WORDS) and vocabulary != before]:
            size = module.get_parameter(path).shape[0]
            weights[path] = grown_rows(weights[path], before, vocabulary, size)
        if name == "language_model":
            weights = widened(weights, known.language_model, components.language_model)
        for path, own in module.state_dict().items():
            if path not in weights or weights[path].shape != own.shape:
                seen = tuple(weights[path].shape) if path in weights else "missing"
                raise CheckpointError(
                    f"{folder} does not fit this size: {name}.{path} is {seen}, expected "
                    f"{tuple(own.shape)}. Choose the --size it was trained with, or a deeper one."
                )
        module.load_state_dict(weights)
    for stage in (components.low_level_encoder, components.semantic_decoder):
        stage.mean, stage.scale = known.semantic_decoder.mean, known.semantic_decoder.scale
    return width(components.language_model) > width(known.language_model)


def _grown(weights: dict[str, Tensor], layers: str, own: nn.Module) -> dict[str, Tensor]:
    """Spread the weights of the layers whose names begin with `layers` over those in `own`."""
    before = len({name[len(layers) :].split(".")[0] for name in weights if name.startswith(layers)})
    now = len(list(own.children()))
    if now < before:
        raise CheckpointError(
            f"the checkpoint has {before} layers ({layers}), this size {now}. "
            "Choose a deeper --size."
        )
    result = {name: tensor for name, tensor in weights.items() if not name.startswith(layers)}
    for layer in range(now):
        origin = layer * before // now
        is_new = layer > 0 and (layer - 1) * before // now == origin
        prefix = f"{layers}{origin}."
        for path in [name.removeprefix(prefix) for name in weights if name.startswith(prefix)]:
            tensor = weights[prefix + path]
            part = path.removesuffix(".weight").removesuffix(".bias")
            is_silent = is_new and part.endswith(OUTPUTS)
            result[f"{layers}{layer}.{path}"] = torch.zeros_like(tensor) if is_silent else tensor
    return result


def _initialise(path: str, layer: nn.Module, generator: torch.Generator) -> None:
    """Give one layer its initial weights, drawn from `generator`."""
    weight = getattr(layer, "weight", None)
    if isinstance(layer, (nn.Linear, ExpertLinear, nn.Conv2d)) and weight is not None:
        std = (weight[0].numel() if weight.dim() != 3 else weight.shape[2]) ** -0.5
        if path.endswith(OUTPUTS):
            std *= 0.5
        if path.endswith(("lm_head", "_router")):
            std = SMALL
        nn.init.normal_(weight, std=std, generator=generator)
    elif isinstance(layer, nn.Embedding):
        nn.init.normal_(layer.weight, generator=generator)
    elif weight is not None:
        nn.init.ones_(weight)
    _initialise_others(layer, generator)


def _initialise_others(layer: nn.Module, generator: torch.Generator) -> None:
    """Give a layer's biases and learned tokens their initial values."""
    if isinstance(getattr(layer, "bias", None), nn.Parameter):
        nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    for name in ("cls_token", "pos_embed"):
        if isinstance(getattr(layer, name, None), nn.Parameter):
            nn.init.normal_(getattr(layer, name), std=0.5, generator=generator)


def compile_blocks(components: Components) -> None:
    """Compile the blocks in place; parameters and their names stay."""
    torch._dynamo.config.recompile_limit = 64  # grids, gradients and precisions differ
    language = components.language_model
    for module in (*language.transformer.layers, language.velocity):
        module.compile(dynamic=True)
    for name in ("low_level_encoder", "semantic_decoder", "pixel_decoder"):
        for block in getattr(components, name).blocks:
            block.compile()
