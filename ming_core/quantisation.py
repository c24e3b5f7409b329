"""Large matrices kept in few bits: the layers, and which of a model's matrices get which format.

Weights alone are quantised; activations keep the compute dtype. Which matrices are, and why the
others are not: docs/quantisation.md.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .errors import MingError
from .formats import Format, Shape, possible, refuse_loss
from .operations import Experts, Leaf, Operations

STORED_AT_ONCE = 1 << 24  # weights, which take several copies in fp32 while they are quantised

Index = tuple[int | slice, ...]


class QuantisedLeaf(Leaf):
    """Weights (..., out, in) in few bits.

    shape    of the weights; weight and scale are as `form` stores them
    too_odd  whether `form` is wider than what was asked for, which does not divide the inputs
    """

    form: Format
    shape: Shape
    weight: nn.Parameter
    scale: Tensor
    too_odd = False

    def allocate(self, form: Format, shape: Shape) -> None:
        """Make room for weights of a shape in a format."""
        self.form, self.shape = form, shape
        weight, scale = form.stored_shapes(shape)
        # A buffer would do for both; hosts look for their weights among the parameters.
        empty = torch.empty(weight, dtype=form.weight_dtype)
        self.weight = nn.Parameter(empty, requires_grad=False)
        self.register_buffer("scale", torch.empty(scale, dtype=form.scale_dtype))

    def store(self, weight: Tensor, index: Index) -> None:
        """Quantise one stretch of the weights, a part at a time, which takes little memory."""
        levels, scale = self.weight.data[index], self.scale[index]
        rows = max(1, STORED_AT_ONCE // weight.shape[-1])
        for start in range(0, weight.shape[-2], rows):
            part = (..., slice(start, start + rows))
            stretch = weight[(*part, slice(None))].float()
            levels[(*part, slice(None))], made = self.form.quantised(stretch)
            scale[part if scale.dim() == levels.dim() - 1 else (*part, slice(None))] = made
        refuse_loss(self.form, weight, scale)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "QuantisedLeaf":  # noqa: FBT001, FBT002  as torch declares it
        device = fn(self.weight.data.new_empty(0)).device
        if self.form.is_for_processors and device.type not in ("cpu", "meta"):
            raise MingError(
                f"This model was loaded for the processor, and {device} reads its weights in "
                "another layout. Load it again for that device."
            )
        return super()._apply(fn, recurse)

    def product(self, x: Tensor, weight: Tensor, scale: Tensor) -> Tensor:
        """Multiply (..., in) by stored weights, wherever they lie: (..., out)."""
        return self.form.product(x, self.bring(weight, x.device), self.bring(scale, x.device))


class QuantisedLinear(QuantisedLeaf):
    """`nn.Linear` with quantised weights."""

    def __init__(
        self, in_features: int, out_features: int, *, form: Format, bias: bool = True
    ) -> None:
        super().__init__()
        self.allocate(form, (out_features, in_features))
        self.bias = nn.Parameter(torch.empty(out_features), requires_grad=False) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., in) to (..., out)."""
        out = self.product(x, self.weight, self.scale)
        return out if self.bias is None else out + self.fetch(self.bias, x)


class QuantisedExpertLinear(QuantisedLeaf, Experts):
    """`ExpertLinear` with quantised weights."""

    def __init__(
        self, num_experts: int, in_features: int, out_features: int, *, form: Format
    ) -> None:
        super().__init__()
        self.allocate(form, (num_experts, out_features, in_features))

    def forward(self, x: Tensor, expert: int | slice | Tensor) -> Tensor:
        """Project tokens by one expert, (T, in) -> (T, out), or by B: (B, T, in) -> (B, T, out)."""
        weight, scale = self.chosen(expert)
        return self.product(x, weight, scale)


@dataclass(frozen=True, slots=True)
class Formats:
    """The formats of a model's large matrices, by what they are part of (see `Operations`)."""

    dense: str
    head: str
    experts: str


QUANTISATIONS: Mapping[str, Formats] = {
    "int8": Formats(dense="int8", head="int8", experts="int8"),
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
    """Makes matrices of a format; one too odd for it gets 8 bits."""

    operations: Operations
    wanted: str

    def __call__(
        self, in_features: int, out_features: int, *, bias: bool = True
    ) -> QuantisedLinear:
        form = possible(self.wanted, in_features)
        kind = self.operations.leaf(QuantisedLinear)
        layer = kind(in_features, out_features, form=form, bias=bias)
        layer.too_odd = form.name != self.wanted
        return layer


@dataclass(frozen=True, slots=True)
class _Stacks:
    """Makes stacked experts of a format; those too odd for it get 8 bits."""

    operations: Operations
    wanted: str

    def __call__(
        self, num_experts: int, in_features: int, out_features: int
    ) -> QuantisedExpertLinear:
        form = possible(self.wanted, in_features)
        kind = self.operations.leaf(QuantisedExpertLinear)
        layer = kind(num_experts, in_features, out_features, form=form)
        layer.too_odd = form.name != self.wanted
        return layer


def restore_formats(module: nn.Module) -> None:
    """Give quantised layers without memory their own number formats again, after a cast of all."""
    for leaf in quantised_leaves([module]):
        with torch.device("meta"):
            leaf.allocate(leaf.form, leaf.shape)


def quantised_leaves(modules: Iterable[nn.Module]) -> list[QuantisedLeaf]:
    """Return the quantised layers in some components."""
    return [leaf for m in modules for leaf in m.modules() if isinstance(leaf, QuantisedLeaf)]
