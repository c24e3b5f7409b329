"""The values that travel between the parts of the engine: latents and semantic features."""

from dataclasses import dataclass

from torch import Tensor

Grid = tuple[int, int]  # rows, columns of visual tokens


@dataclass(frozen=True, slots=True)
class Latents:
    """Normalised latents (B, N, C) of B images whose N tokens lie on `grid` in raster order."""

    values: Tensor
    grid: Grid


@dataclass(frozen=True, slots=True)
class Features:
    """Semantic features (B, N, D) of B images whose N tokens lie on `grid` in raster order."""

    values: Tensor
    grid: Grid

    def __len__(self) -> int:
        return self.values.shape[0]

    def images(self) -> "list[Features]":
        """Split into one value per image, sharing memory."""
        return [Features(self.values[i : i + 1], self.grid) for i in range(len(self))]
