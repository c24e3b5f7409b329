"""How a matrix is kept in few bits: the levels, their scales, and products with them.

Knows nothing about layers: every method takes tensors that lie where they are needed.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor

from .errors import CheckpointError

FP16_SHRINK = 512.0  # a power of two, by which levels stay exact in fp16
GROUP, SMALLEST_GROUP = 64, 16

Shape = tuple[int, ...]


class Format(ABC):
    """A way to keep weights (..., out, in), as levels and scales."""

    name: str
    weight_dtype: torch.dtype
    scale_dtype: torch.dtype
    is_for_processors = False  # whether only a processor reads this layout

    @abstractmethod
    def stored_shapes(self, shape: Shape) -> tuple[Shape, Shape]:
        """Return the shapes of levels and scales; raises ValueError for weights too odd for it."""

    @abstractmethod
    def quantised(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Return fp32 weights (..., out, in) as stored: levels and scales."""

    @abstractmethod
    def dequantised(self, levels: Tensor, scale: Tensor, dtype: torch.dtype) -> Tensor:
        """Return stored weights as floats (..., out, in)."""

    @abstractmethod
    def product(self, x: Tensor, levels: Tensor, scale: Tensor) -> Tensor:
        """Multiply (..., in) by stored weights (..., out, in): (..., out)."""


class Int8(Format):
    """Integers from -127 to 127 with one fp32 scale per output channel, scale (..., out).

    A channel's largest weight takes the top level. The levels are exact in any compute dtype, so a
    product with them is scaled afterwards.
    """

    name = "int8"
    weight_dtype = torch.int8
    scale_dtype = torch.float32

    def stored_shapes(self, shape: Shape) -> tuple[Shape, Shape]:
        """Return the shapes of levels and scales: every shape will do."""
        return shape, shape[:-1]

    def quantised(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Return levels and scales (..., out)."""
        scale = weight.abs().amax(dim=-1) / 127
        levels = weight / scale.clamp_min(torch.finfo(torch.float32).tiny)[..., None]
        return levels.round().to(torch.int8), scale

    def dequantised(self, levels: Tensor, scale: Tensor, dtype: torch.dtype) -> Tensor:
        """Return levels times scales."""
        return (levels.float() * scale[..., None]).to(dtype)

    def product(self, x: Tensor, levels: Tensor, scale: Tensor) -> Tensor:
        """Multiply by the levels, and scale each channel in fp32."""
        wide = levels.to(x.dtype)
        shrinks = x.dtype == torch.float16  # whose range the sums of levels would leave
        if shrinks:  # the levels, for small activations would lose digits
            wide = wide.div_(FP16_SHRINK)
        out = (x @ wide.mT).float()
        out = out * (scale[..., None, :] if scale.dim() > 1 else scale)
        return (out * FP16_SHRINK if shrinks else out).to(x.dtype)


class Int4(Format):
    """Two levels of 4 bits a byte, with one fp16 scale per group of neighbouring inputs.

    Byte j holds input 2j in its low half and 2j + 1 in its high half, each as its level + 8.
    levels (..., out, in / 2), scale (..., out, in / group); a weight is level * scale.

    The largest weight of a group takes level -8, so a scale may be negative. With levels -7 to 7
    a sixteenth of the code would lie idle; on Gaussian weights the error is 12 % less this way.
    """

    name = "int4"
    weight_dtype = torch.uint8
    scale_dtype = torch.float16

    def stored_shapes(self, shape: Shape) -> tuple[Shape, Shape]:
        """Return the shapes of the packed levels and of the scales."""
        group = group_size(shape[-1])
        if group is None:
            raise ValueError(f"{shape[-1]} inputs cannot be split into groups for 4 bits")
        return (*shape[:-1], shape[-1] // 2), (*shape[:-1], shape[-1] // group)

    def quantised(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Return packed levels, and scales (..., out, groups)."""
        groups = weight.unflatten(-1, (-1, group_size(weight.shape[-1]) or 1))
        largest = groups.gather(-1, groups.abs().argmax(dim=-1, keepdim=True))
        scale = (largest / -8).to(torch.float16)
        # Levels for the scale as it is stored, so that its rounding does not add up to theirs.
        exact = scale.float()
        levels = (groups / torch.where(exact == 0, 1.0, exact)).round().clamp(-8, 7)
        halves = (levels.flatten(-2) + 8).to(torch.uint8).unflatten(-1, (-1, 2))
        return halves[..., 0] | halves[..., 1] << 4, scale[..., 0]

    def dequantised(self, levels: Tensor, scale: Tensor, dtype: torch.dtype) -> Tensor:
        """Return the unpacked levels times the scale of their group."""
        halves = torch.stack((levels & 15, levels >> 4), dim=-1).flatten(-2)
        groups = (halves.to(dtype) - 8).unflatten(-1, (scale.shape[-1], -1))
        return (groups * scale.to(dtype)[..., None]).flatten(-2)

    def product(self, x: Tensor, levels: Tensor, scale: Tensor) -> Tensor:
        """Multiply by the dequantised weights."""
        return x @ self.dequantised(levels, scale, x.dtype).mT


INT8, INT4 = Int8(), Int4()
FORMATS: Mapping[str, Format] = {form.name: form for form in (INT8, INT4)}


def refuse_loss(form: Format, weight: Tensor, scale: Tensor) -> None:
    """Raise CheckpointError for weights (..., out, in) that their scales do not stand for.

    A group may become 0 only where that takes less from it than rounding takes from the others.
    """
    if not scale.isfinite().all():
        raise CheckpointError(
            f"holds weights up to {weight.abs().max():.3g}, which {form.name} has no scale for. "
            "Choose another precision, or download the checkpoint again if they are no numbers."
        )
    is_lost = scale == 0
    if is_lost.any():
        lost = weight.reshape(*scale.shape, -1).abs().amax(dim=-1)[is_lost].max()
        if lost > scale.abs().max() / 2:
            raise CheckpointError(
                f"holds weights up to {lost:.3g}, which would all become 0 in {form.name}. "
                "Choose another precision."
            )


def group_size(in_features: int) -> int | None:
    """Return how many inputs share a 4-bit scale: the largest power of two up to 64 that divides.

    None when that is below 16: the scales would weigh as much as the weights.
    """
    group = min(GROUP, in_features & -in_features)
    return group if group >= SMALLEST_GROUP else None


def possible(wanted: str, in_features: int) -> Format:
    """Return the format of a name, or 8 bits where so many inputs are too odd for 4."""
    return INT8 if wanted == "int4" and group_size(in_features) is None else FORMATS[wanted]
