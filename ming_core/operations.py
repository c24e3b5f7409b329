"""The layers with weights, as a namespace that a host may replace by its own.

Every weighted layer of the model is built from such a namespace, so that a host can stream,
cast or quantise it. Weights are read in a layer's own `forward` and nowhere else.
"""

from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ExpertLinear(nn.Module):
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

    def expert_weight(self, expert: int, like: Tensor) -> Tensor:  # noqa: ARG002  for hosts
        """Return the (out, in) weight of one expert on the device and in the dtype of `like`."""
        return self.weight[expert]

    def forward(self, x: Tensor, expert: int) -> Tensor:
        """Project the tokens routed to one expert: (T, in) -> (T, out)."""
        return F.linear(x, self.expert_weight(expert, x))


class Operations(Protocol):
    """The six layer classes a model is built from; constructors as in `torch.nn`."""

    Linear: Any
    Conv2d: Any
    LayerNorm: Any
    RMSNorm: Any
    Embedding: Any
    ExpertLinear: Any


class TorchOperations:
    """Plain torch layers, resident where their weights are."""

    Linear: ClassVar[Any] = nn.Linear
    Conv2d: ClassVar[Any] = nn.Conv2d
    LayerNorm: ClassVar[Any] = nn.LayerNorm
    RMSNorm: ClassVar[Any] = nn.RMSNorm
    Embedding: ClassVar[Any] = nn.Embedding
    ExpertLinear: ClassVar[Any] = ExpertLinear
