"""Where a stored tensor goes in a built model, whether it fits there, and how it is put there.

Knows nothing about any family's names: its key map says those.
"""

import re
from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from .errors import CheckpointError
from .foreign_text import plain
from .quantisation import Index, QuantisedLeaf
from .tensor_files import StoredTensor

Components = Mapping[str, nn.Module]  # the parts of a model that a host may move, by name
FLOATS = ("F32", "BF16", "F16")
STORED_NAMES = {
    torch.float32: "F32",
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.int8: "I8",
    torch.uint8: "U8",
}
DTYPES = {name: dtype for dtype, name in STORED_NAMES.items()}
NOTHING = re.compile(r"(?!)")
SHOWN_PROBLEMS = 200


@dataclass(frozen=True, slots=True)
class Place:
    """Where a checkpoint tensor goes: a part of a parameter of a component."""

    component: str
    parameter: str
    index: Index
    shape: tuple[int, ...]
    dtypes: tuple[str, ...] = FLOATS


class Expected(Protocol):
    """What a tensor has to be like."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtypes(self) -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True)
class Likeness:
    """What a tensor that has no place in a model has to be like."""

    shape: tuple[int, ...]
    dtypes: tuple[str, ...] = FLOATS


def compare(
    stored: Mapping[str, StoredTensor],
    expected: Mapping[str, Expected],
    ignored: re.Pattern[str] = NOTHING,
    source: str = "config.json",
) -> list[str]:
    """List every missing, unexpected, wrongly shaped or unreadable tensor but those ignored.

    source  what implies the shapes that are expected
    """
    problems = [f"missing: {n} {tensor.shape}" for n, tensor in expected.items() if n not in stored]
    for name, tensor in stored.items():
        if name not in expected:
            if not ignored.fullmatch(name):
                problems.append(f"unexpected: {plain(name)} {plain(tensor.shape)}")
        elif tensor.shape != expected[name].shape:
            seen, shape = plain(tensor.shape), expected[name].shape
            problems.append(f"wrong shape: {name} is {seen}, {source} implies {shape}")
        elif tensor.dtype not in expected[name].dtypes:
            problems.append(
                f"unsupported dtype: {name} is {tensor.dtype}; supported: {expected[name].dtypes}"
            )
    return problems


def component_tensors(components: Components, stored: Container[str]) -> dict[str, Place]:
    """Return every tensor of a converted checkpoint, which is named as our own parameters.

    stored  the names in the files: where a weight's scale is among them, its levels are too;
            elsewhere both come from quantising
    """
    places: dict[str, Place] = {}
    for component, module in components.items():
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
    return components[place.component].get_submodule(path), name


def put(components: Components, place: Place, tensor: Tensor) -> None:
    """Copy a checkpoint tensor to its place, quantised where the layer there is."""
    layer, name = layer_of(components, place)
    quantised = layer if isinstance(layer, QuantisedLeaf) and name == "weight" else None
    for own in (name, "scale") if quantised is not None else (name,):
        if getattr(layer, own).is_meta:
            replace_tensor(layer, own, torch.empty_like(getattr(layer, own), device="cpu"))
    if quantised is not None and tensor.dtype != quantised.form.weight_dtype:
        try:
            quantised.store(tensor, place.index)
        except CheckpointError as error:
            raise CheckpointError(f"{place.component}.{place.parameter} {error}") from error
    else:
        getattr(layer, name).data[place.index].copy_(tensor)


def fits(components: Components, place: Place, stored: StoredTensor) -> bool:
    """Whether a tensor is what its layer holds, as it lies in the file."""
    layer, name = layer_of(components, place)
    return STORED_NAMES.get(getattr(layer, name).dtype) == stored.dtype and place.index == ()


def adopt(components: Components, place: Place, tensor: Tensor) -> None:
    """Make a tensor that fits the layer's own without a copy."""
    layer, name = layer_of(components, place)
    replace_tensor(layer, name, tensor)


def use_stored_dtype(components: Components, place: Place, stored: StoredTensor) -> None:
    """Give a float parameter without memory the format its tensor has in the file."""
    layer, name = layer_of(components, place)
    tensor, dtype = getattr(layer, name), DTYPES[stored.dtype]
    is_quantised = isinstance(layer, QuantisedLeaf) and name == "weight"
    if not is_quantised and tensor.dtype != dtype:
        replace_tensor(layer, name, torch.empty_like(tensor, dtype=dtype))


def replace_tensor(layer: nn.Module, name: str, tensor: Tensor) -> None:
    """Replace a parameter or buffer of a layer."""
    if name in dict(layer.named_parameters(recurse=False)):
        tensor = nn.Parameter(tensor, requires_grad=False)
    setattr(layer, name, tensor)


def first_of(problems: list[str]) -> list[str]:
    """Shorten a list of problems to what a dialog can show; `ming inspect` lists them all."""
    if len(problems) <= SHOWN_PROBLEMS:
        return problems
    rest = len(problems) - SHOWN_PROBLEMS
    return [*problems[:SHOWN_PROBLEMS], f"... and {rest} more; `ming inspect` lists them all"]
