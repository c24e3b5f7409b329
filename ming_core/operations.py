"""The layers with weights, as a namespace that a host may replace by its own.

Every weighted layer of the model is built from such a namespace, so that a host can stream and
cast it. Weights are read in a layer's own `forward` and nowhere else.
"""

from collections.abc import Callable
from typing import Any, ClassVar, Protocol, TypeVar

import torch
from torch import Tensor, nn

from .residency import ExpertSlots


class Leaf(nn.Module):
    """A layer of our own, whose tensors a host may leave elsewhere."""

    def bring(self, tensor: Tensor, device: torch.device) -> Tensor:  # noqa: ARG002  a host's
        """Return a tensor of this layer on a device; a host that leaves some elsewhere copies."""
        return tensor

    def fetch(self, tensor: Tensor, like: Tensor) -> Tensor:
        """Return a tensor of this layer on the device and in the dtype of `like`."""
        # Moved first and widened there, so that few bits cross the bus as such.
        return self.bring(tensor, like.device).to(like.dtype)

    def is_on(self, device: torch.device) -> bool:
        """Whether everything of this layer is on a device."""
        return all(tensor.device == device for tensor in (*self.parameters(), *self.buffers()))


LeafT = TypeVar("LeafT", bound=Leaf)


class Experts(Leaf):
    """A leaf whose tensors are stacked by expert; some may rest in slots on the device."""

    slots: ExpertSlots | None = None

    def stacks(self) -> tuple[Tensor, ...]:
        """Return the tensors that hold an expert at every index."""
        return (*self.parameters(), *self.buffers())

    def chosen(self, expert: int | slice | Tensor) -> tuple[Tensor, ...]:
        """Return one expert of every stack, or several."""
        if self.slots is not None and isinstance(expert, int):
            return self.slots.take(expert, self.stacks())
        return tuple(stack[expert] for stack in self.stacks())


class ExpertLinear(Experts):
    """One projection of all experts of a layer, stacked: weight (E, out, in), no bias."""

    def __init__(
        self,
        num_experts: int,
        in_features: int,
        out_features: int,
        device: torch.device | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        shape = (num_experts, out_features, in_features)
        self.weight = nn.Parameter(torch.empty(shape, device=device, dtype=dtype))

    def forward(self, x: Tensor, expert: int | slice | Tensor) -> Tensor:
        """Project tokens by one expert, (T, in) -> (T, out), or by B: (B, T, in) -> (B, T, out)."""
        (weight,) = self.chosen(expert)
        return x @ self.fetch(weight, x).mT


class MakesMatrix(Protocol):
    """The constructor of a matrix, as `nn.Linear` has it."""

    def __call__(self, in_features: int, out_features: int, *, bias: bool = True) -> Any:  # noqa: ANN401  a host's
        """Make one."""
        ...


class MakesExperts(Protocol):
    """The constructor of a projection of all experts of a layer, as `ExpertLinear` has it."""

    def __call__(self, num_experts: int, in_features: int, out_features: int) -> Any:  # noqa: ANN401
        """Make one."""
        ...


class Operations(Protocol):
    """The layer classes a model is built from; constructors as in `torch.nn`.

    Linear        matrices that are small, or whose errors would spread: never in few bits
    LargeLinear   those read once a token: attention, shared experts, the head's modulation
    HeadLinear    the flow head's blocks, read at every flow step
    ExpertLinear  the routed experts

    As floats the first three are one class; a quantisation gives each of the last three a format.
    """

    @property
    def Linear(self) -> MakesMatrix: ...  # noqa: D102, N802  a class
    @property
    def LargeLinear(self) -> MakesMatrix: ...  # noqa: D102, N802
    @property
    def HeadLinear(self) -> MakesMatrix: ...  # noqa: D102, N802
    @property
    def ExpertLinear(self) -> MakesExperts: ...  # noqa: D102, N802
    @property
    def Conv2d(self) -> Callable[..., Any]: ...  # noqa: D102, N802
    @property
    def LayerNorm(self) -> Callable[..., Any]: ...  # noqa: D102, N802
    @property
    def RMSNorm(self) -> Callable[..., Any]: ...  # noqa: D102, N802
    @property
    def Embedding(self) -> Callable[..., Any]: ...  # noqa: D102, N802

    def leaf(self, kind: type[LeafT], /) -> type[LeafT]:
        """Return a leaf class of the engine's as this namespace has it."""
        ...


class TorchOperations:
    """Plain torch layers, resident where their weights are."""

    Linear: ClassVar[MakesMatrix] = nn.Linear
    LargeLinear: ClassVar[MakesMatrix] = Linear
    HeadLinear: ClassVar[MakesMatrix] = Linear
    ExpertLinear: ClassVar[MakesExperts] = ExpertLinear
    Conv2d: ClassVar[Callable[..., Any]] = nn.Conv2d
    LayerNorm: ClassVar[Callable[..., Any]] = nn.LayerNorm
    RMSNorm: ClassVar[Callable[..., Any]] = nn.RMSNorm
    Embedding: ClassVar[Callable[..., Any]] = nn.Embedding

    @staticmethod
    def leaf(kind: type[LeafT]) -> type[LeafT]:
        """Return a leaf class as it is."""
        return kind
