"""What a kernel reads of a layer: weights as they are stored, and what turns them into numbers."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

MAX_ROWS = 32  # of one call
SMALL_TILE = MAX_ROWS // 2  # the rows of a matrix instruction
Format = tuple[torch.dtype, int]  # of stored weights; and how many inputs share a scale, or 0


def tile_rows(rows: int) -> int:
    """Return the rows of the smallest matrix instruction, or of two, that take so many."""
    return SMALL_TILE if rows <= SMALL_TILE else MAX_ROWS


@dataclass(frozen=True, slots=True)
class Packed:
    """Weights (..., out, in) as they are stored; the type of `weight` says how.

    floating  the weights themselves, no scale
    int8      integers, scale fp32 (..., out)
    uint8     (..., out, in / 2), input 2j in the low half of byte j and 2j + 1 in the high, each
              plus 8; scale fp16 (..., out, in / G) of groups of G inputs
    """

    weight: Tensor
    scale: Tensor | None = None
    bias: Tensor | None = None

    @classmethod
    def of(cls, layer: nn.Module) -> "Packed":
        """Read a layer whose weights are where they are needed."""
        stored = (getattr(layer, name, None) for name in ("weight", "scale", "bias"))
        return cls(*stored)  # pyright: ignore[reportArgumentType]

    @property
    def tensors(self) -> list[Tensor]:
        """Return what there is to read."""
        return [t for t in (self.weight, self.scale, self.bias) if t is not None]

    @property
    def num_inputs(self) -> int:
        """Return the size of what is multiplied."""
        return self.weight.shape[-1] * (2 if self.weight.dtype == torch.uint8 else 1)

    @property
    def group(self) -> int:
        """Return how many inputs of a channel share a scale, where not all do; 0 elsewhere."""
        if self.weight.dtype != torch.uint8 or self.scale is None:
            return 0
        return self.num_inputs // self.scale.shape[-1]

    @property
    def format(self) -> Format:
        """Return what a kernel has to be made for."""
        return self.weight.dtype, self.group

    def numbers(self) -> Tensor:
        """Return the weights in fp32: (..., out, in)."""
        if self.scale is None:
            return self.weight.float()
        if self.weight.dtype == torch.int8:
            return self.weight.float() * self.scale[..., None]
        halves = torch.stack((self.weight & 15, self.weight >> 4), dim=-1).flatten(-2)
        groups = (halves.float() - 8).unflatten(-1, (-1, self.group))
        return (groups * self.scale.float()[..., None]).flatten(-2)


@dataclass(frozen=True, slots=True)
class Norm:
    """The weight and bias of a LayerNorm, and what keeps its division finite."""

    weight: Tensor
    bias: Tensor
    eps: float
