"""The values that travel between the parts of the engine: latents and semantic features."""

from dataclasses import dataclass, replace

from torch import Tensor

from ..errors import PromptError
from ..pixels import Frame

Grid = tuple[int, int]  # rows, columns of visual tokens


@dataclass(frozen=True, slots=True)
class VisualTokens:
    """Values (B, N, C) of B images whose N tokens lie on `grid` in raster order.

    made_by  the identity of the model that made them; empty when it is not known
    frame    what the given images were that these are made of, or edits of; None where none were
    """

    values: Tensor
    grid: Grid
    made_by: str = ""
    frame: Frame | None = None

    def __post_init__(self) -> None:
        shape, (rows, columns) = tuple(self.values.shape), self.grid
        if len(shape) != 3 or shape[1] != rows * columns or 0 in shape:
            raise PromptError(
                f"Values of shape {shape} are no images of {rows}x{columns} visual tokens; "
                "expected (images, rows * columns, channels)."
            )

    def __len__(self) -> int:
        return self.values.shape[0]

    def tensors(self) -> list[Tensor]:
        """Return the tensors held."""
        return [self.values]


@dataclass(frozen=True, slots=True)
class Latents(VisualTokens):
    """Normalised latents (B, N, C) of images."""


@dataclass(frozen=True, slots=True)
class Features(VisualTokens):
    """Semantic features (B, N, D) of images."""

    def images(self) -> "list[Features]":
        """Split into one value per image, sharing memory."""
        return [replace(self, values=self.values[i : i + 1]) for i in range(len(self))]
