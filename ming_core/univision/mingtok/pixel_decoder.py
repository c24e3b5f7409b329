"""The pixel decoder: semantic features -> pixels, in fp32 (SPEC section 2).

Its weights may stay in the 16 bits they are stored in; they are widened, layer by layer, as they
are used, which loses nothing.
"""

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ...operations import Operations
from ...progress import Callback, no_callback
from ..config import MingTokConfig
from ..values import Grid
from .blocks import NORM_EPS, vision_blocks


class PixelDecoder(nn.Module):
    """Unfold each semantic vector into r x r finer tokens, attend, and paint each as a patch."""

    widens_weights = True  # where they are in fewer bits than it computes in

    def __init__(self, config: MingTokConfig, operations: Operations) -> None:
        super().__init__()
        width, patch = config.pixel.width, config.pixel.patch_size
        self.patch_size = patch
        self.refinement = config.semantic.patch_size // patch
        self.sem_to_pix = operations.Linear(config.semantic.width, self.refinement**2 * width)
        self.blocks = vision_blocks(config.pixel, operations)
        self.norm = operations.LayerNorm(width, eps=NORM_EPS)
        self.head = operations.Linear(width, patch * patch * 3)

    def forward(self, features: Tensor, grid: Grid, callback: Callback = no_callback) -> Tensor:
        """Paint features (B, N, D) on `grid` as pixels (B, 3, H, W), nominally in [-1, 1]."""
        r, p = self.refinement, self.patch_size
        rows, columns = grid[0] * r, grid[1] * r
        fine = _in_fp32(self.sem_to_pix, features.float()).unflatten(-1, (r, r, -1))
        # Value (x, y) of token (h, w) is fine token (h * r + x, w * r + y).
        fine = fine.unflatten(1, grid).permute(0, 1, 3, 2, 4, 5).flatten(3, 4)
        x = fine.reshape(len(features), rows * columns, -1)
        for block in self.blocks:
            callback()
            x = _in_fp32(block, x)
        patches = _in_fp32(self.head, _in_fp32(self.norm, x))
        patches = patches.unflatten(1, (rows, columns)).unflatten(-1, (p, p, 3))
        return patches.permute(0, 5, 1, 3, 2, 4).reshape(len(features), 3, rows * p, columns * p)


def _in_fp32(layer: nn.Module, x: Tensor) -> Tensor:
    """Call a layer with its weights in fp32, whatever they are kept in."""
    weights = dict(layer.named_parameters())
    if all(weight.dtype == torch.float32 for weight in weights.values()):
        return layer(x)
    return functional_call(layer, {name: w.float() for name, w in weights.items()}, (x,))
