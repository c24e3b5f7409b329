"""The low-level encoder: pixels -> latents (SPEC section 2). Knows nothing about language."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...errors import PromptError
from ...operations import Operations
from ...progress import Callback, no_callback
from ..config import MingTokConfig
from ..values import Grid
from .blocks import NORM_EPS, vision_blocks


class LowLevelEncoder(nn.Module):
    """A vision transformer over patches and one class token, with full attention."""

    def __init__(self, config: MingTokConfig, operations: Operations) -> None:
        super().__init__()
        width, patch = config.encoder.width, config.encoder.patch_size
        side = config.image_size // patch
        self.patch_size = patch
        self.trained_grid: Grid = (side, side)
        self.latent_size = config.latent_size
        self.mean, self.scale = config.mean, config.scale
        self.patch_embed = operations.Conv2d(3, width, kernel_size=patch, stride=patch)
        self.cls_token = nn.Parameter(torch.empty(1, 1, width))
        self.pos_embed = nn.Parameter(torch.empty(1, side * side + 1, width))
        self.blocks = vision_blocks(config.encoder, operations)
        self.out_norm = operations.LayerNorm(width, eps=NORM_EPS)
        self.out_proj = operations.Linear(width, config.latent_size)

    def forward(self, pixels: Tensor, callback: Callback = no_callback) -> Tensor:
        """Encode pixels (B, 3, H, W) in [-1, 1] to raw latents (B, N + 1, C), class token last.

        Raises PromptError when H or W is no multiple of the patch size.
        """
        grid = self.grid(pixels)
        patches = self.patch_embed(pixels).flatten(2).transpose(1, 2)
        cls_token = self.cls_token.to(patches).expand(len(patches), -1, -1)
        x = torch.cat((patches, cls_token), dim=1) + self._positions(grid).to(patches)
        for block in self.blocks:
            callback()
            x = block(x)
        shortcut = x.unflatten(-1, (self.latent_size, -1)).mean(-1)
        return shortcut + self.out_proj(F.gelu(self.out_norm(x)))

    def normalised(self, raw_latents: Tensor) -> Tensor:
        """Shift and scale raw latents to the unit scale the flow head works in."""
        return (raw_latents - self.mean) / self.scale

    def grid(self, pixels: Tensor) -> Grid:
        """Return rows and columns of patches of an image (B, 3, H, W)."""
        height, width = pixels.shape[-2:]
        if height % self.patch_size or width % self.patch_size or not height or not width:
            raise PromptError(
                f"An image of {width}x{height} pixels cannot be cut into patches of "
                f"{self.patch_size}; use multiples of {self.patch_size}."
            )
        return height // self.patch_size, width // self.patch_size

    def _positions(self, grid: Grid) -> Tensor:
        """Position embeddings (1, N + 1, D), the trained ones or resized to another grid."""
        if grid == self.trained_grid:
            return self.pos_embed
        patches, cls_entry = self.pos_embed[:, :-1], self.pos_embed[:, -1:]
        rows, columns = self.trained_grid
        table = patches.float().unflatten(1, (rows, columns)).permute(0, 3, 1, 2)
        # The published resize names scale factors with 0.1 added, not a size; the factor
        # itself enters the sampling positions, so the picture differs if it is left out.
        factors = ((grid[0] + 0.1) / rows, (grid[1] + 0.1) / columns)
        table = F.interpolate(table, scale_factor=factors, mode="bicubic", antialias=False)
        return torch.cat((table.flatten(2).transpose(1, 2), cls_entry.float()), dim=1)
