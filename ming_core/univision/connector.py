"""The connector: semantic features -> input embeddings of the language model (SPEC section 4)."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from ..operations import Operations


class Connector(nn.Module):
    """Linear layers from each size to the next, with exact GELUs between them."""

    def __init__(self, sizes: Sequence[int], operations: Operations) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            operations.Linear(before, after)
            for before, after in zip(sizes[:-1], sizes[1:], strict=True)
        )

    def forward(self, features: Tensor) -> Tensor:
        """Map features (..., D) to visual embeddings (..., H)."""
        x = self.layers[0](features)
        for layer in list(self.layers)[1:]:
            x = layer(F.gelu(x))
        return x
