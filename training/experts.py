"""The engine's mixture of experts while it learns: how evenly experts are chosen is a loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor

from ming_core.univision.language_model.experts import MixtureOfExperts
from ming_core.univision.language_model.transformer import Transformer


class BalancedMixture(MixtureOfExperts):
    """A layer's experts; after every forward `balance` holds the loss that keeps all in use."""

    balance: Tensor

    def forward(self, x: Tensor, is_given_image: Tensor | None) -> Tensor:
        """Map (batch, T, H) to (batch, T, H) as the engine does, in steps that have gradients."""
        tokens = x.flatten(0, 1)
        marked = None if is_given_image is None else is_given_image.flatten()
        weights, chosen = self._route(tokens, marked)
        self.balance = self._balance(self._scores(tokens, marked).float().softmax(dim=-1), chosen)
        total = self.shared_experts(tokens).float()
        self._add_routed(total, tokens, weights, chosen)
        return total.to(x.dtype).view_as(x)

    # How many tokens an expert gets is only known while it runs, so it cannot be compiled.
    _add_routed: ClassVar[Callable[..., None]] = torch.compiler.disable(MixtureOfExperts.add_routed)  # pyright: ignore[reportAssignmentType]

    def _balance(self, probabilities: Tensor, chosen: Tensor) -> Tensor:
        """Product of how often and how strongly each expert is chosen; 1 when all are alike."""
        often = torch.zeros_like(probabilities).scatter(1, chosen, 1.0).mean(dim=0) / self.top_k
        return self.num_experts * (often * probabilities.mean(dim=0)).sum()


def make_balanced(transformer: Transformer) -> None:
    """Measure the balance of a transformer's experts from now on; its parameters stay."""
    for layer in _layers(transformer):
        layer.mlp.__class__ = BalancedMixture


def balance_loss(transformer: Transformer) -> Tensor:
    """Return the mean balance of all layers in their last forward."""
    return torch.stack([layer.mlp.balance for layer in _layers(transformer)]).mean()


def _layers(transformer: Transformer) -> list[Any]:
    return list(transformer.layers)  # typed loosely: their mixtures have another class here
