"""Large matrices in few bits: how they are stored, made from floats, and multiplied.

Weights alone are quantised; activations keep the compute dtype. Which matrices are, and why the
others are not: docs/quantisation.md.
"""

from collections.abc import Mapping
from dataclasses import astuple, dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from .errors import CheckpointError
from .operations import Experts, Leaf, Operations

Index = tuple[int | slice, ...]

FP16_SHRINK = 512.0  # a power of two, by which levels of either kind stay exact in fp16
GROUP, SMALLEST_GROUP = 64, 16


class QuantisedLeaf(Leaf):
    """Weights (..., out, in) in few bits, with a scale per output channel or group of inputs."""

    weight_dtype: ClassVar[torch.dtype]
    scale_dtype: ClassVar[torch.dtype] = torch.float32

    shape: tuple[int, ...]
    weight: nn.Parameter
    scale: Tensor

    def allocate(self, shape: tuple[int, ...]) -> None:
        """Make room for weights of a shape, in the formats of this class."""
        self.shape = shape
        weight, scale = self.stored_shapes(shape)
        # A buffer would do for both; hosts look for their weights among the parameters.
        empty = torch.empty(weight, dtype=self.weight_dtype)
        self.weight = nn.Parameter(empty, requires_grad=False)
        self.register_buffer("scale", torch.empty(scale, dtype=self.scale_dtype))

    @staticmethod
    def stored_shapes(shape: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the shapes of weight and scale: one scale per output channel."""
        return shape, shape[:-1]

    def store(self, weight: Tensor, index: Index) -> None:
        """Quantise one stretch of the weights."""
        self.weight.data[index], self.scale[index] = self.quantised(weight.float())

    def quantised(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Return fp32 weights (..., out, in) as stored: levels and scales."""
        raise NotImplementedError

    def dequantised(self, weight: Tensor, scale: Tensor, dtype: torch.dtype) -> Tensor:
        """Return stored weights as floats (..., out, in)."""
        raise NotImplementedError

    def product(self, x: Tensor, weight: Tensor, scale: Tensor) -> Tensor:
        """Multiply (..., in) by stored weights (..., out, in): (..., out)."""
        raise NotImplementedError


class ChannelLeaf(QuantisedLeaf):
    """Levels with one fp32 scale per output channel, whose largest weight takes the top level.

    The levels are exact in any compute dtype, so a product with them is scaled afterwards.
    """

    top: ClassVar[float]

    def quantised(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Return levels in the storage format, and scales (..., out)."""
        scale = weight.abs().amax(dim=-1) / self.top
        levels = weight / scale.clamp_min(torch.finfo(torch.float32).tiny)[..., None]
        return self._to_levels(levels), scale

    def dequantised(self, weight: Tensor, scale: Tensor, dtype: torch.dtype) -> Tensor:
        """Return levels times scales."""
        return (weight.float() * scale[..., None]).to(dtype)

    def product(self, x: Tensor, weight: Tensor, scale: Tensor) -> Tensor:
        """Multiply by the levels, and scale each channel in fp32."""
        levels = self.fetch(weight, x)
        shrinks = x.dtype == torch.float16  # whose range the sums of levels would leave
        if shrinks:  # the levels, for small activations would lose digits
            levels = levels.div_(FP16_SHRINK)  # in place: fetching made a copy, to widen them
        out = (x @ levels.mT).float()
        scale = self.bring(scale, x.device)
        out = out * (scale[..., None, :] if scale.dim() > 1 else scale)
        return (out * FP16_SHRINK if shrinks else out).to(x.dtype)

    def _to_levels(self, values: Tensor) -> Tensor:
        raise NotImplementedError


class Int8Leaf(ChannelLeaf):
    """8-bit integers, -127 to 127."""

    weight_dtype = torch.int8
    top = 127.0

    def _to_levels(self, values: Tensor) -> Tensor:
        return values.round().to(torch.int8)


class Fp8Leaf(ChannelLeaf):
    """8-bit floats with 4 bits of exponent and 3 of mantissa (e4m3), -448 to 448."""

    weight_dtype = torch.float8_e4m3fn
    top = 448.0

    def _to_levels(self, values: Tensor) -> Tensor:
        # Division may round the largest one beyond the top, where there is no number any more.
        return values.clamp(-self.top, self.top).to(torch.float8_e4m3fn)


class Int4Leaf(QuantisedLeaf):
    """Two levels of 4 bits a byte, with one fp16 scale per group of neighbouring inputs.

    Byte j holds input 2j in its low half and 2j + 1 in its high half, each as its level + 8.
    weight (..., out, in / 2), scale (..., out, in / group); a weight is level * scale.

    The largest weight of a group takes level -8, so a scale may be negative. With levels -7 to 7
    a sixteenth of the code would lie idle; on Gaussian weights the error is 12 % less this way.
    """

    weight_dtype = torch.uint8
    scale_dtype = torch.float16

    @staticmethod
    def stored_shapes(shape: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the shapes of the packed weight and of the scales."""
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

    def dequantised(self, weight: Tensor, scale: Tensor, dtype: torch.dtype) -> Tensor:
        """Return the unpacked levels times the scale of their group."""
        halves = torch.stack((weight & 15, weight >> 4), dim=-1).flatten(-2)
        groups = (halves.to(dtype) - 8).unflatten(-1, (scale.shape[-1], -1))
        return (groups * scale.to(dtype)[..., None]).flatten(-2)

    def product(self, x: Tensor, weight: Tensor, scale: Tensor) -> Tensor:
        """Multiply by the dequantised weights."""
        there = self.bring(weight, x.device), self.bring(scale, x.device)
        return x @ self.dequantised(*there, x.dtype).mT


def group_size(in_features: int) -> int | None:
    """Return how many inputs share a 4-bit scale: the largest power of two up to 64 that divides.

    None when that is below 16: the scales would weigh as much as the weights.
    """
    group = min(GROUP, in_features & -in_features)
    return group if group >= SMALLEST_GROUP else None


class QuantisedLinear(QuantisedLeaf):
    """`nn.Linear` with quantised weights."""

    def __init__(self, in_features: int, out_features: int, *, bias: bool = True) -> None:
        super().__init__()
        self.allocate((out_features, in_features))
        self.bias = nn.Parameter(torch.empty(out_features), requires_grad=False) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., in) to (..., out)."""
        out = self.product(x, self.weight, self.scale)
        return out if self.bias is None else out + self.fetch(self.bias, x)


class QuantisedExpertLinear(QuantisedLeaf, Experts):
    """`ExpertLinear` with quantised weights."""

    def __init__(self, num_experts: int, in_features: int, out_features: int) -> None:
        super().__init__()
        self.allocate((num_experts, out_features, in_features))

    def forward(self, x: Tensor, expert: int | slice | Tensor) -> Tensor:
        """Project tokens by one expert, (T, in) -> (T, out), or by B: (B, T, in) -> (B, T, out)."""
        weight, scale = self.chosen(expert)
        return self.product(x, weight, scale)


class Int8Linear(Int8Leaf, QuantisedLinear):
    """`nn.Linear` with 8-bit integers."""


class Int4Linear(Int4Leaf, QuantisedLinear):
    """`nn.Linear` with 4-bit integers."""


class Fp8Linear(Fp8Leaf, QuantisedLinear):
    """`nn.Linear` with 8-bit floats."""


class Int8ExpertLinear(Int8Leaf, QuantisedExpertLinear):
    """`ExpertLinear` with 8-bit integers."""


class Int4ExpertLinear(Int4Leaf, QuantisedExpertLinear):
    """`ExpertLinear` with 4-bit integers."""


class Fp8ExpertLinear(Fp8Leaf, QuantisedExpertLinear):
    """`ExpertLinear` with 8-bit floats."""


LINEAR: Mapping[str, type[QuantisedLinear]] = {
    "int8": Int8Linear,
    "int4": Int4Linear,
    "fp8": Fp8Linear,
}
EXPERT_LINEAR: Mapping[str, type[QuantisedExpertLinear]] = {
    "int8": Int8ExpertLinear,
    "int4": Int4ExpertLinear,
    "fp8": Fp8ExpertLinear,
}


@dataclass(frozen=True, slots=True)
class Formats:
    """The formats of a model's large matrices, by what they are part of."""

    dense: str
    head: str
    experts: str


QUANTISATIONS: Mapping[str, Formats] = {
    "int8": Formats(dense="int8", head="int8", experts="int8"),
    "fp8": Formats(dense="fp8", head="fp8", experts="fp8"),
    "int4-experts": Formats(dense="int8", head="int8", experts="int4"),
    "int4": Formats(dense="int8", head="int4", experts="int4"),
}


class QuantisedOperations:
    """A namespace whose large matrices are quantised, and whose other layers are another's."""

    def __init__(self, operations: Operations, quantisation: str) -> None:
        formats = QUANTISATIONS[quantisation]
        self.Linear = operations.Linear
        self.LargeLinear = _Matrices(operations, formats.dense)
        self.HeadLinear = _Matrices(operations, formats.head)
        self.Conv2d = operations.Conv2d
        self.LayerNorm = operations.LayerNorm
        self.RMSNorm = operations.RMSNorm
        self.Embedding = operations.Embedding
        self.ExpertLinear = _Stacks(operations, formats.experts)
        self.leaf = operations.leaf


def operations_for(operations: Operations, quantisation: str | None) -> Operations:
    """Return a namespace with the large matrices in a quantisation; None leaves it as it is."""
    return operations if quantisation is None else QuantisedOperations(operations, quantisation)


@dataclass(frozen=True, slots=True)
class _Matrices:
    """Makes matrices of a format; one too odd for 4 bits gets 8."""

    operations: Operations
    form: str

    def __call__(self, in_features: int, out_features: int, *, bias: bool = True) -> nn.Module:
        kind = LINEAR[_possible(self.form, in_features)]
        layer: Any = self.operations.leaf(kind)
        return layer(in_features, out_features, bias=bias)


@dataclass(frozen=True, slots=True)
class _Stacks:
    """Makes stacked experts of a format; those too odd for 4 bits get 8."""

    operations: Operations
    form: str

    def __call__(self, num_experts: int, in_features: int, out_features: int) -> nn.Module:
        kind = EXPERT_LINEAR[_possible(self.form, in_features)]
        layer: Any = self.operations.leaf(kind)
        return layer(num_experts, in_features, out_features)


def _possible(form: str, in_features: int) -> str:
    return "int8" if form == "int4" and group_size(in_features) is None else form


def check_format(quantisation: str, device: torch.device) -> None:
    """Refuse a quantisation whose numbers a device cannot widen; raises CheckpointError."""
    if "fp8" not in astuple(QUANTISATIONS[quantisation]):
        return
    try:
        torch.zeros(1, dtype=torch.float8_e4m3fn, device=device).to(torch.float32)
    except (RuntimeError, TypeError, NotImplementedError) as error:
        raise CheckpointError(
            f"{device} cannot read 8-bit floats ({error}). Choose int8: as small, and more exact."
        ) from error
