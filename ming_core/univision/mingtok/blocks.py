"""The pre-norm transformer block that all three MingTok stages are made of."""

from torch import Tensor, nn

from ...kv_cache import WorkingCache
from ...layers import PlainMLP, SwiGLU, grouped_attention
from ...operations import Operations
from ..config import VISION_HEAD_WIDTH, VisionStageConfig

NORM_EPS = 1e-6


class VisionAttention(nn.Module):
    """Self-attention with heads of 64; with a cache it attends to the earlier tokens too."""

    def __init__(self, width: int, operations: Operations) -> None:
        super().__init__()
        self.num_heads = width // VISION_HEAD_WIDTH
        self.qkv = operations.Linear(width, 3 * width)
        self.proj = operations.Linear(width, width)

    def forward(
        self, x: Tensor, visible: Tensor | None, cache: WorkingCache | None, layer: int
    ) -> Tensor:
        """Map (B, T, D) to (B, T, D); `visible` (B, 1, T, L) as in `grouped_attention`."""
        batch, tokens, _ = x.shape
        qkv = self.qkv(x).view(batch, tokens, 3, self.num_heads, VISION_HEAD_WIDTH)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        if cache is not None:
            k, v = cache.write(layer, k, v)
        return self.proj(grouped_attention(q, k, v, visible))


class VisionBlock(nn.Module):
    """`x + attn(norm1(x))`, then `x + mlp(norm2(x))`."""

    def __init__(self, config: VisionStageConfig, operations: Operations) -> None:
        super().__init__()
        mlp = SwiGLU if config.is_swiglu else PlainMLP
        self.norm1 = operations.LayerNorm(config.width, eps=NORM_EPS)
        self.attn = VisionAttention(config.width, operations)
        self.norm2 = operations.LayerNorm(config.width, eps=NORM_EPS)
        self.mlp = mlp(config.width, operations.Linear)

    def forward(
        self,
        x: Tensor,
        visible: Tensor | None = None,
        cache: WorkingCache | None = None,
        layer: int = 0,
    ) -> Tensor:
        """Map (B, T, D) to (B, T, D)."""
        x = x + self.attn(self.norm1(x), visible, cache, layer)
        return x + self.mlp(self.norm2(x))


def vision_blocks(config: VisionStageConfig, operations: Operations) -> nn.ModuleList:
    """Build a stage's stack of blocks."""
    return nn.ModuleList(VisionBlock(config, operations) for _ in range(config.depth))
