"""The mixture of experts computed densely, for training: all experts on all tokens, then masked.

Same parameters, same function as the engine's; with few experts one big product beats a loop.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ming_core.language_model.experts import MixtureOfExperts
from ming_core.language_model.transformer import Transformer


class DenseMixture(MixtureOfExperts):
    """A layer's experts; after every forward `balance` holds the loss that keeps all in use."""

    balance: Tensor

    def forward(self, x: Tensor, is_given_image: Tensor | None) -> Tensor:
        """Map (rows, T, H) to (rows, T, H)."""
        tokens = x.flatten(0, 1)
        logits = self.text_router(tokens)
        if self.image_router is not None and is_given_image is not None:
            marked = is_given_image.flatten()[:, None]
            logits = torch.where(marked, self.image_router(tokens), logits)
        probabilities = logits.float().softmax(dim=-1)
        weights, chosen = probabilities.topk(self.top_k, dim=-1)
        if self.norm_topk_prob:
            weights = weights / weights.sum(dim=-1, keepdim=True)
        gates = torch.zeros_like(probabilities).scatter(1, chosen, weights)
        self.balance = self._balance(probabilities, gates)
        experts, double, hidden = self.gate_up.weight.shape
        both = F.linear(tokens, self.gate_up.weight.view(experts * double, hidden))
        gate, up = both.unflatten(-1, (experts, double)).chunk(2, dim=-1)
        inner = F.silu(gate) * up * gates[..., None].to(gate.dtype)
        down = self.down.weight.transpose(0, 1).flatten(1)  # (H, experts * width)
        routed = F.linear(inner.flatten(1), down)
        return (routed + self.shared_experts(tokens)).view_as(x)

    def _balance(self, probabilities: Tensor, gates: Tensor) -> Tensor:
        """Product of how often and how strongly each expert is chosen; 1 when all are alike."""
        shares = (gates > 0).float().mean(dim=0) / self.top_k
        return len(shares) * (shares * probabilities.mean(dim=0)).sum()


def make_dense(transformer: Transformer) -> None:
    """Compute a transformer's experts densely from now on; its parameters stay what they are."""
    for layer in transformer.layers:
        layer.mlp.__class__ = DenseMixture


def balance_loss(transformer: Transformer) -> Tensor:
    """Return the mean balance of all layers in their last forward."""
    return torch.stack([layer.mlp.balance for layer in transformer.layers]).mean()
