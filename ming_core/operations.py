"""The layers with weights, as a namespace that a host may replace by its own.

Every weighted layer of the model is built from such a namespace, so that a host can stream,
cast or quantise it. Weights are read in a layer's own `forward` and nowhere else.
"""

from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn

Index = tuple[int | slice, ...]

MAX_INT8 = 127
FP16_SHRINK = 128.0  # a power of two, so that it costs no precision


class Leaf(nn.Module):
    """A layer whose tensors a host may leave elsewhere: `fetch` brings what `forward` needs."""

    def fetch(self, tensor: Tensor, like: Tensor) -> Tensor:
        """Return a tensor of this layer on the device and in the dtype of `like`."""
        return tensor.to(like.dtype)

    def is_on(self, device: torch.device) -> bool:
        """Whether everything of this layer is on a device."""
        return all(tensor.device == device for tensor in (*self.parameters(), *self.buffers()))


class ExpertLinear(Leaf):
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
        return x @ self.fetch(self.weight[expert], x).mT


class Int8Leaf(Leaf):
    """Weights (..., out, in) as 8-bit integers with one fp32 scale per output channel.

    The integers are exact in any compute dtype, so a product with them is scaled afterwards.
    """

    weight: nn.Parameter
    scale: Tensor

    def allocate(self, shape: tuple[int, ...]) -> None:
        """Make room for weights of a shape."""
        self.weight = nn.Parameter(torch.empty(shape, dtype=torch.int8), requires_grad=False)
        self.register_buffer("scale", torch.empty(shape[:-1], dtype=torch.float32))

    def store(self, weight: Tensor, index: Index) -> None:
        """Quantise one stretch of the weights, symmetrically per output channel."""
        values = weight.float()
        scale = values.abs().amax(dim=-1) / MAX_INT8
        levels = values / scale.clamp_min(torch.finfo(torch.float32).tiny)[..., None]
        self.weight.data[index] = levels.round().to(torch.int8)
        self.scale[index] = scale

    def product(self, x: Tensor, weight: Tensor, scale: Tensor) -> Tensor:
        """Multiply (..., in) by integers (out, in), and scale each channel in fp32: (..., out)."""
        shrinks = x.dtype == torch.float16  # whose range the sums of integers would leave
        out = ((x / FP16_SHRINK if shrinks else x) @ self.fetch(weight, x).mT).float()
        out = out * scale.to(out.device)
        return (out * FP16_SHRINK if shrinks else out).to(x.dtype)


class Int8Linear(Int8Leaf):
    """`nn.Linear` with 8-bit weights."""

    def __init__(self, in_features: int, out_features: int, *, bias: bool = True) -> None:
        super().__init__()
        self.allocate((out_features, in_features))
        self.bias = nn.Parameter(torch.empty(out_features), requires_grad=False) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., in) to (..., out)."""
        out = self.product(x, self.weight, self.scale)
        return out if self.bias is None else out + self.fetch(self.bias, x)


class Int8ExpertLinear(Int8Leaf):
    """`ExpertLinear` with 8-bit weights."""

    def __init__(self, num_experts: int, in_features: int, out_features: int) -> None:
        super().__init__()
        self.allocate((num_experts, out_features, in_features))

    def forward(self, x: Tensor, expert: int | slice | Tensor) -> Tensor:
        """Project tokens by one expert, (T, in) -> (T, out), or by B: (B, T, in) -> (B, T, out)."""
        return self.product(x, self.weight[expert], self.scale[expert][..., None, :])


class Operations(Protocol):
    """The layer classes a model is built from; constructors as in `torch.nn`.

    LargeLinear makes the matrices that hold most of a model and may be quantised.
    """

    Linear: Any
    LargeLinear: Any
    Conv2d: Any
    LayerNorm: Any
    RMSNorm: Any
    Embedding: Any
    ExpertLinear: Any
    Int8Linear: Any
    Int8ExpertLinear: Any


class TorchOperations:
    """Plain torch layers, resident where their weights are."""

    Linear: ClassVar[Any] = nn.Linear
    LargeLinear: ClassVar[Any] = nn.Linear
    Conv2d: ClassVar[Any] = nn.Conv2d
    LayerNorm: ClassVar[Any] = nn.LayerNorm
    RMSNorm: ClassVar[Any] = nn.RMSNorm
    Embedding: ClassVar[Any] = nn.Embedding
    ExpertLinear: ClassVar[Any] = ExpertLinear
    Int8Linear: ClassVar[Any] = Int8Linear
    Int8ExpertLinear: ClassVar[Any] = Int8ExpertLinear


class Int8Operations:
    """A namespace whose large matrices are 8-bit, and whose other layers are another's."""

    def __init__(self, operations: Operations) -> None:
        self.Linear = operations.Linear
        self.LargeLinear = operations.Int8Linear
        self.Conv2d = operations.Conv2d
        self.LayerNorm = operations.LayerNorm
        self.RMSNorm = operations.RMSNorm
        self.Embedding = operations.Embedding
        self.ExpertLinear = operations.Int8ExpertLinear
        self.Int8Linear = operations.Int8Linear
        self.Int8ExpertLinear = operations.Int8ExpertLinear
