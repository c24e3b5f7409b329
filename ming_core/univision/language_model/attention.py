"""Grouped-query attention with rotary positions (SPEC section 3)."""

from torch import Tensor, nn

from ...kv_cache import WorkingCache
from ...layers import Rotary, grouped_attention
from ...operations import Operations
from ..config import LanguageModelConfig


class Attention(nn.Module):
    """Self-attention of new tokens over the cache and themselves."""

    def __init__(self, config: LanguageModelConfig, operations: Operations) -> None:
        super().__init__()
        self.heads = (config.num_heads, config.num_kv_heads, config.num_kv_heads)
        self.head_size = config.head_size
        self.query_key_value = operations.LargeLinear(
            config.hidden_size, sum(self.heads) * config.head_size, bias=False
        )
        self.dense = operations.LargeLinear(
            config.num_heads * config.head_size, config.hidden_size, bias=False
        )

    def forward(
        self, x: Tensor, rotary: Rotary, visible: Tensor | None, cache: WorkingCache, layer: int
    ) -> Tensor:
        """Map (batch, T, H) to (batch, T, H), writing the new keys and values into `cache`."""
        heads = self.query_key_value(x).unflatten(-1, (-1, self.head_size)).transpose(1, 2)
        qk, v = heads.split((self.heads[0] + self.heads[1], self.heads[2]), dim=1)
        q, k = rotary(qk).split(self.heads[:2], dim=1)
        keys, values = cache.write(layer, k, v)
        return self.dense(grouped_attention(q, keys, values, visible))
