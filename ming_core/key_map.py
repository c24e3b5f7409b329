"""Checkpoint tensor names -> places in the built model: the one table of names (SPEC 2 and 3)."""

import re
from collections.abc import Container, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .config import MingConfig
from .model import Components
from .quantisation import Index, QuantisedLeaf

# Read by nothing: the published model never routes by it.
IGNORED = re.compile(r"model\.model\.layers\.\d+\.mlp\.audio_gate\.weight")

FLOATS = ("F32", "BF16", "F16")
STORED_NAMES = {
    torch.float32: "F32",
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.float8_e4m3fn: "F8_E4M3",
}

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


@dataclass(frozen=True, slots=True)
class Place:
    """Where a checkpoint tensor goes: a part of a parameter of a component."""

    component: str
    parameter: str
    index: Index
    shape: tuple[int, ...]
    dtypes: tuple[str, ...] = FLOATS


def expected_tensors(config: MingConfig, components: Components) -> dict[str, Place]:
    """Return every tensor a checkpoint must hold, by its name there, and where it goes."""
    places: dict[str, Place] = {}
    for component, module in components.named().items():
        for parameter, tensor in module.named_parameters():
            layer, own = layer_of(components, Place(component, parameter, (), ()))
            whole = torch.empty(unquantised_shape(layer, own, tensor), device="meta")
            for name, index in _sources(f"{component}.{parameter}", config):
                shape = tuple(whole[index].shape)
                places[name] = Place(component, parameter, index, shape)
    return places


def component_tensors(components: Components, stored: Container[str]) -> dict[str, Place]:
    """Return every tensor of a converted checkpoint, which is named as our own parameters.

    stored  the names in the files: where a weight's scale is among them, its levels are too;
            elsewhere both come from quantising (earlier versions left some matrices as floats)
    """
    places: dict[str, Place] = {}
    for component, module in components.named().items():
        for path, tensor in module.state_dict(keep_vars=True).items():
            layer, own = layer_of(components, Place(component, path, (), ()))
            is_quantised = isinstance(layer, QuantisedLeaf) and own in ("weight", "scale")
            if is_quantised and f"{component}.{path.removesuffix(own)}scale" in stored:
                dtypes = (STORED_NAMES[tensor.dtype],)
                place = Place(component, path, (), tuple(tensor.shape), dtypes)
            elif is_quantised and own == "scale":
                continue
            else:
                place = Place(component, path, (), unquantised_shape(layer, own, tensor))
            places[f"{component}.{path}"] = place
    return places


def unquantised_shape(layer: nn.Module, name: str, tensor: Tensor) -> tuple[int, ...]:
    """Return the shape of the floats that a tensor of a layer holds or stands for."""
    if isinstance(layer, QuantisedLeaf) and name == "weight":
        return layer.shape
    return tuple(tensor.shape)


def layer_of(components: Components, place: Place) -> tuple[nn.Module, str]:
    """Return the layer that owns a place's parameter, and the parameter's name in it."""
    path, _, name = place.parameter.rpartition(".")
    return components.named()[place.component].get_submodule(path), name


def put(components: Components, place: Place, tensor: Tensor) -> None:
    """Copy a checkpoint tensor to its place, quantised where the layer there is."""
    layer, name = layer_of(components, place)
    quantised = layer if isinstance(layer, QuantisedLeaf) and name == "weight" else None
    for own in (name, "scale") if quantised is not None else (name,):
        if getattr(layer, own).is_meta:
            replace_tensor(layer, own, torch.empty_like(getattr(layer, own), device="cpu"))
    if quantised is not None and tensor.dtype != quantised.weight_dtype:
        quantised.store(tensor, place.index)
    else:
        getattr(layer, name).data[place.index].copy_(tensor)


def adopt(components: Components, place: Place, tensor: Tensor) -> bool:
    """Make a tensor the layer's own without a copy, if it is what the layer holds."""
    layer, name = layer_of(components, place)
    fits = getattr(layer, name).dtype == tensor.dtype and place.index == ()
    if fits:
        replace_tensor(layer, name, tensor)
    return fits


def replace_tensor(layer: nn.Module, name: str, tensor: Tensor) -> None:
    """Replace a parameter or buffer of a layer."""
    if name in dict(layer.named_parameters(recurse=False)):
        tensor = nn.Parameter(tensor, requires_grad=False)
    setattr(layer, name, tensor)


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
