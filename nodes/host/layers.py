"""The engine's layers as the host can stream and cast them."""

from collections.abc import Sequence
from functools import cache
from typing import Any, TypeVar, cast

import comfy.model_management
import comfy.ops
import torch
from torch import Tensor

from ...ming_core import ExpertLinear, Leaf

LeafT = TypeVar("LeafT", bound=Leaf)


class StreamedLeaf(Leaf):
    """A layer the host may leave off the device: only what a call asks for is copied.

    The host finds layers it may stream by `comfy_cast_weights` and reads `weight`, `bias` and
    the two function lists of them.
    """

    comfy_cast_weights = False
    weight_function: Sequence[Any] = ()
    bias_function: Sequence[Any] = ()

    def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401  those of the layer
        super().__init__(*args, **options)
        for name in ("weight", "bias"):  # the host asks every streamed layer for both
            if not hasattr(self, name):
                setattr(self, name, None)

    def bring(self, tensor: Tensor, device: torch.device) -> Tensor:
        """Return a tensor on a device; the tensor itself when it is there already."""
        mm = comfy.model_management
        return mm.cast_to(tensor, None, device, non_blocking=_is_async(device))


@cache
def streamed(kind: type[Leaf]) -> type[Leaf]:
    """Return a leaf class of the engine's as the host can stream it, of the same name."""
    return type(f"Host{kind.__name__}", (StreamedLeaf, kind), {"__doc__": kind.__doc__})


class HostLinear(comfy.ops.disable_weight_init.Linear):
    """A matrix whose weight is there from the start.

    Newer hosts make it only in `load_state_dict`, unless a class has a loader of its own.
    """

    def _load_from_state_dict(self, *args: Any) -> None:  # noqa: ANN401  as torch declares it
        torch.nn.Linear._load_from_state_dict(self, *args)

    def is_on(self, device: torch.device) -> bool:
        """Whether the weight may be read there as it is: the host may change it on its way."""
        changes = (getattr(self, f"{name}_function", ()) for name in ("weight", "bias"))
        return self.weight.device == device and not any(changes)


class HostOperations:
    """The engine's layers, as the host can stream and cast them."""

    Linear: Any = HostLinear
    LargeLinear = Linear
    HeadLinear = Linear
    Conv2d = comfy.ops.disable_weight_init.Conv2d
    LayerNorm = comfy.ops.disable_weight_init.LayerNorm
    RMSNorm = getattr(comfy.ops.disable_weight_init, "RMSNorm", torch.nn.RMSNorm)
    Embedding = comfy.ops.disable_weight_init.Embedding
    ExpertLinear = streamed(ExpertLinear)

    @staticmethod
    def leaf(kind: type[LeafT]) -> type[LeafT]:
        """Return a leaf class as the host can stream it."""
        return cast(type[LeafT], streamed(kind))


def _is_async(device: torch.device) -> bool:
    """Whether copies to the device may overlap with the host's work."""
    check = getattr(comfy.model_management, "device_supports_non_blocking", None)
    return bool(check and check(device))
