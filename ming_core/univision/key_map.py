"""Checkpoint tensor names -> places in the built model: the one table of names (SPEC 2 and 3)."""

import re
from collections.abc import Iterator

import torch

from ..places import Components, Place, layer_of, unquantised_shape
from ..quantisation import Index
from .config import MingConfig

# Read by nothing: the published model never routes by it.
IGNORED = re.compile(r"model\.model\.layers\.\d+\.mlp\.audio_gate\.weight")

# Our name of a parameter -> its name in the checkpoint; the first pattern that matches is used.
RENAMES: tuple[tuple[str, str], ...] = (
    (r"low_level_encoder\.patch_embed\.(.+)", r"vision.low_level_encoder.patch_embed.proj.\1"),
    (r"(low_level_encoder|semantic_decoder)\.blocks\.(.+)", r"vision.\1.blocks.0.\2"),
    (r"pixel_decoder\.blocks\.(.+)", r"vision.pixel_decoder.blocks.0.\1"),
    (r"pixel_decoder\.sem_to_pix\.(.+)", r"vision.sem_to_pix.\1"),
    (r"(low_level_encoder|semantic_decoder|pixel_decoder)\.(.+)", r"vision.\1.\2"),
    (r"language_model\.transformer\.lm_head\.(.+)", r"model.lm_head.\1"),
    (
        r"language_model\.transformer\.(layers\.\d+\.mlp)\.text_router\.(.+)",
        r"model.model.\1.gate.\2",
    ),
    (
        r"language_model\.transformer\.(layers\.\d+\.mlp)\.image_router\.(.+)",
        r"model.model.\1.image_gate.\2",
    ),
    (r"language_model\.transformer\.(.+)", r"model.model.\1"),
    (r"language_model\.condition_head\.linear\.(.+)", r"model.vis_head.0.\1"),
    (r"language_model\.condition_head\.norm\.(.+)", r"model.vis_head.1.\1"),
    (
        r"language_model\.velocity\.time_embed\.first\.(.+)",
        r"model.diffloss.net.time_embed.mlp.0.\1",
    ),
    (
        r"language_model\.velocity\.time_embed\.second\.(.+)",
        r"model.diffloss.net.time_embed.mlp.2.\1",
    ),
    (r"language_model\.velocity\.final_linear\.(.+)", r"model.diffloss.net.final_layer.linear.\1"),
    (r"language_model\.velocity\.(.+)", r"model.diffloss.net.\1"),
)


def expected_tensors(config: MingConfig, components: Components) -> dict[str, Place]:
    """Return every tensor a checkpoint must hold, by its name there, and where it goes."""
    places: dict[str, Place] = {}
    for component, module in components.items():
        for parameter, tensor in module.named_parameters():
            layer, own = layer_of(components, Place(component, parameter, (), ()))
            whole = torch.empty(unquantised_shape(layer, own, tensor), device="meta")
            for name, index in _sources(f"{component}.{parameter}", config):
                shape = tuple(whole[index].shape)
                places[name] = Place(component, parameter, index, shape)
    return places


def _sources(path: str, config: MingConfig) -> Iterator[tuple[str, Index]]:
    """Yield the checkpoint tensors one parameter is made of."""
    if ".mlp.gate_up." in path or ".mlp.down." in path:
        yield from _expert_sources(path, config)
    elif path.startswith("language_model.velocity.modulation."):
        yield from _modulation_sources(path.rpartition(".")[2], config)
    elif path.startswith("language_model.connector."):
        number, kind = path.split(".")[-2:]
        yield f"linear_proj.{2 * int(number)}.{kind}", ()
    else:
        yield _renamed(path), ()


def _renamed(path: str) -> str:
    for pattern, replacement in RENAMES:
        match = re.fullmatch(pattern, path)
        if match:
            return match.expand(replacement)
    raise KeyError(f"no checkpoint name is known for the parameter {path}")


def _expert_sources(path: str, config: MingConfig) -> Iterator[tuple[str, Index]]:
    """Experts lie stacked, the gate and up projections of each above one another."""
    layer = re.findall(r"layers\.(\d+)", path)[0]
    size = config.language.expert_size
    stretches = {"down_proj": slice(None)}
    if ".gate_up." in path:
        stretches = {"gate_proj": slice(0, size), "up_proj": slice(size, None)}
    for expert in range(config.language.num_experts):
        for name, stretch in stretches.items():
            yield (
                f"model.model.layers.{layer}.mlp.experts.{expert}.{name}.weight",
                (expert, stretch),
            )


def _modulation_sources(kind: str, config: MingConfig) -> Iterator[tuple[str, Index]]:
    """The modulations of all blocks and of the final layer lie in one matrix, in that order."""
    size = 3 * config.flow.width
    prefix = "model.diffloss.net."
    for block in range(config.flow.depth):
        stretch = slice(block * size, (block + 1) * size)
        yield f"{prefix}res_blocks.{block}.adaLN_modulation.1.{kind}", (stretch,)
    last = slice(config.flow.depth * size, None)
    yield f"{prefix}final_layer.adaLN_modulation.1.{kind}", (last,)
