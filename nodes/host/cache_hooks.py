"""What the host's caches ask the values on edges for, by names of the host's own."""

from typing import Protocol

from torch import Tensor

from ...ming_core import Features, LatentContext, Latents, lite_uni


class Holder(Protocol):
    """A value that holds tensors."""

    def tensors(self) -> list[Tensor]:
        """Return the tensors held."""
        ...


def ram_usage(value: Holder) -> int:
    """Return the bytes of main memory a value holds."""
    return sum(tensor.nbytes for tensor in value.tensors())


def cache_tensors(value: Holder) -> list[Tensor]:
    """Return the tensors a value holds; newer hosts count them themselves."""
    return value.tensors()


def install() -> None:
    """Give the engine's values the two methods; the engine itself knows no host."""
    for kind in (LatentContext, Latents, Features, lite_uni.Condition, lite_uni.Dialogue):
        kind.get_ram_usage = ram_usage  # pyright: ignore[reportAttributeAccessIssue]
        kind._comfy_cache_tensors = cache_tensors  # pyright: ignore[reportAttributeAccessIssue]
