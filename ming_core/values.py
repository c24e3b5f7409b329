"""The values that travel between the parts of the engine: latents and semantic features."""

from dataclasses import dataclass

from torch import Tensor

from .errors import PromptError

Grid = tuple[int, int]  # rows, columns of visual tokens


def _refuse_other_shapes(values: Tensor, grid: Grid) -> None:
    if values.dim() != 3 or values.shape[1] != grid[0] * grid[1] or 0 in values.shape:
        raise PromptError(
            f"Values of shape {tuple(values.shape)} are no images of {grid[0]}x{grid[1]} visual "
            "tokens; expected (images, rows * columns, channels)."
        )


@dataclass(frozen=True, slots=True)
class Latents:
    """Normalised latents (B, N, C) of B images whose N tokens lie on `grid` in raster order."""

    values: Tensor
    grid: Grid

    def __post_init__(self) -> None:
        _refuse_other_shapes(self.values, self.grid)


@dataclass(frozen=True, slots=True)
class Features:
    """Semantic features (B, N, D) of B images whose N tokens lie on `grid` in raster order."""

    values: Tensor
    grid: Grid

    def __post_init__(self) -> None:
        _refuse_other_shapes(self.values, self.grid)

    def __len__(self) -> int:
        return self.values.shape[0]

    def images(self) -> "list[Features]":
        """Split into one value per image, sharing memory."""
        return [Features(self.values[i : i + 1], self.grid) for i in range(len(self))]
