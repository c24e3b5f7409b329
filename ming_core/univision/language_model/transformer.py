"""The language model: embeddings in, final-normed hidden states out, a cache in between.

Knows nothing about images, prompts or guidance; it is told positions, visibility and routing.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...kv_cache import KVShape, WorkingCache
from ...layers import Rotary, grouped_mask
from ...operations import Operations
from ...progress import Callback, no_callback
from ..config import LanguageModelConfig
from .attention import Attention
from .experts import DECODED_TOKENS, MixtureOfExperts


@dataclass(frozen=True, slots=True)
class Step:
    """What new tokens are told besides their embeddings.

    positions (batch, T)       rotary positions of the new tokens
    seen      (batch, L) | None  which cached tokens each one sees; None sees all. New tokens
                              see each other causally
    is_given_image (batch, T) | None  patches of given images, for the image router
    """

    positions: Tensor
    seen: Tensor | None = None
    is_given_image: Tensor | None = None

    def visible(self, tokens: int, cache: WorkingCache) -> Tensor | None:
        """Mask (batch, T, past + T) of what each new token sees; None where it sees everything."""
        if tokens == 1 and self.seen is None:
            return None
        past = cache.length
        batch, device = self.positions.shape[0], self.positions.device
        seen = self.seen
        if seen is None:
            seen = torch.ones(batch, past, dtype=torch.bool, device=device)
        causal = torch.ones(tokens, tokens, dtype=torch.bool, device=device).tril()
        old = seen[:, None].expand(-1, tokens, -1)
        return torch.cat((old, causal.expand(batch, -1, -1)), dim=-1)


class Layer(nn.Module):
    """One pre-norm block: attention, then the mixture of experts."""

    def __init__(self, config: LanguageModelConfig, operations: Operations) -> None:
        super().__init__()
        self.input_layernorm = operations.RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.attention = Attention(config, operations)
        self.post_attention_layernorm = operations.RMSNorm(
            config.hidden_size, eps=config.rms_norm_eps
        )
        self.mlp = MixtureOfExperts(config, operations)

    def forward(
        self,
        x: Tensor,
        rotary: Rotary,
        visible: Tensor | None,
        is_given_image: Tensor | None,
        cache: WorkingCache,
        layer: int,
    ) -> Tensor:
        """Map (batch, T, H) to (batch, T, H)."""
        x = x + self.attention(self.input_layernorm(x), rotary, visible, cache, layer)
        return x + self.mlp(self.post_attention_layernorm(x), is_given_image)


class Transformer(nn.Module):
    """Word embeddings, layers, final norm and vocabulary head."""

    def __init__(self, config: LanguageModelConfig, operations: Operations) -> None:
        super().__init__()
        self.config = config
        self.word_embeddings = operations.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(Layer(config, operations) for _ in range(config.num_layers))
        self.norm = operations.RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.lm_head = operations.Linear(config.hidden_size, config.vocab_size, bias=False)

    def kv_shape(self, dtype: torch.dtype, device: torch.device) -> KVShape:
        """Return what a cache for this model holds."""
        config = self.config
        return KVShape(config.num_layers, config.num_kv_heads, config.head_size, dtype, device)

    @staticmethod
    def is_recordable(tokens: int) -> bool:
        """Whether a pass over so many tokens can be recorded: none that looks at the routing can.

        On a device that records, and holds all weights, the experts do not up to here.
        """
        return tokens <= DECODED_TOKENS

    def forward(
        self,
        embeddings: Tensor,
        cache: WorkingCache,
        step: Step,
        callback: Callback = no_callback,
    ) -> Tensor:
        """Read embeddings (batch, T, H) after what `cache` holds; return final-normed states.

        The cache grows by T tokens; hidden states are of the embeddings' shape.
        """
        x = embeddings
        rotary = Rotary(self.config.head_size, self.config.rope_theta, step.positions)
        visible = step.visible(x.shape[1], cache)
        if visible is not None:
            visible = grouped_mask(visible, self.config.num_heads // self.config.num_kv_heads)
        for index, layer in enumerate(self.layers):
            callback()
            x = layer(x, rotary, visible, step.is_given_image, cache, index)
        cache.advance(x.shape[1])
        return self.norm(x)

    def logits(self, hidden: Tensor) -> Tensor:
        """Score the vocabulary from final-normed hidden states: (..., H) -> (..., V) in fp32."""
        return self.lm_head(hidden).float()
