"""The semantic decoder: latents -> semantic features, causally (SPEC section 2)."""

import torch
from torch import Tensor, nn

from ...kv_cache import KVShape, WorkingCache, token_cache
from ...operations import Operations
from ...progress import Callback, no_callback
from ..config import VISION_HEAD_WIDTH, MingTokConfig
from .blocks import NORM_EPS, vision_blocks


class SemanticDecoder(nn.Module):
    """A causal transformer: a token's feature depends on its own and the earlier latents.

    So a picture can be expanded while it is being drawn, one token at a time with a cache. It
    reads raw latents; what travels elsewhere are normalised ones (see `raw`).
    """

    def __init__(self, config: MingTokConfig, operations: Operations) -> None:
        super().__init__()
        width = config.semantic.width
        self.num_heads = width // VISION_HEAD_WIDTH
        self.mean, self.scale = config.mean, config.scale
        self.repeats = width // config.latent_size
        self.in_proj = operations.Linear(config.latent_size, width)
        self.blocks = vision_blocks(config.semantic, operations)
        self.norm = operations.LayerNorm(width, eps=NORM_EPS)

    def new_cache(self, images: int, capacity: int, like: Tensor) -> WorkingCache:
        """Return an empty cache for drawing `images` pictures of `capacity` tokens."""
        heads, depth = self.num_heads, len(self.blocks)
        shape = KVShape(depth, heads, VISION_HEAD_WIDTH, like.dtype, like.device)
        return token_cache(shape, images, capacity)

    def raw(self, latents: Tensor) -> Tensor:
        """Undo the normalisation of latents, in fp32: the encoder's inverse shift and scale."""
        return latents.float() * self.scale + self.mean

    def forward(
        self, raw: Tensor, cache: WorkingCache | None = None, callback: Callback = no_callback
    ) -> Tensor:
        """Expand raw latents (B, T, C), which follow those in `cache`, to features (B, T, D)."""
        x = self.in_proj(raw) + raw.repeat_interleave(self.repeats, dim=-1)
        visible = self._visible(x, cache)
        for layer, block in enumerate(self.blocks):
            callback()
            x = block(x, visible, cache, layer)
        if cache is not None:
            cache.advance(x.shape[1])
        return self.norm(x)

    def _visible(self, x: Tensor, cache: WorkingCache | None) -> Tensor | None:
        """Mask (B, 1, T, past + T): what each token sees; None where one token sees all."""
        batch, tokens, _ = x.shape
        if tokens == 1:
            filled = cache.uncover(None) if cache else None
            return None if filled is None else filled[:, None, None]
        past = cache.length if cache else 0
        mask = torch.ones(tokens, past + tokens, dtype=torch.bool, device=x.device)
        return mask.tril(diagonal=past).expand(batch, 1, -1, -1)
