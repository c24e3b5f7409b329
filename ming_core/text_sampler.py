"""Choosing the next text token from scores; knows nothing about what the tokens mean."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from .errors import NumericsError
from .sampling import TextSampling, seeded_generator


class TextSampler:
    """Greedy, or drawn with temperature, top-k, top-p and min-p from a seeded CPU generator.

    One for each answer: it knows which tokens it has chosen, for the repetition penalty.
    """

    def __init__(self, sampling: TextSampling, banned: Sequence[int] = ()) -> None:
        self._sampling = sampling
        self._banned = list(banned)
        self._generator = seeded_generator(sampling.seed)
        self._written: set[int] = set()

    def __call__(self, logits: Tensor) -> int:
        """Choose a token id from the scores (V,)."""
        scores = logits.float().cpu().clone()
        if scores.isnan().any():
            raise NumericsError(
                f"The model computed scores that are no numbers (from {logits.dtype}). Choose "
                "precision bf16 or fp32; if it happens there too, download the checkpoint again."
            )
        scores[self._banned] = float("-inf")
        token = self._choose(self._discouraged(scores))
        self._written.add(token)
        return token

    def _choose(self, scores: Tensor) -> int:
        if self._sampling.temperature == 0:
            return int(scores.argmax())
        # The best score becomes 0, so that no temperature makes it infinite.
        scores = (scores - scores.max()) / self._sampling.temperature
        probabilities = self._narrowed(scores).softmax(dim=-1)
        return int(torch.multinomial(probabilities, 1, generator=self._generator))

    def _discouraged(self, scores: Tensor) -> Tensor:
        """Lower the scores of tokens that the answer has already."""
        written, penalty = sorted(self._written), self._sampling.repetition_penalty
        old = scores[written]
        scores[written] = torch.where(old < 0, old * penalty, old / penalty)
        return scores

    def _narrowed(self, scores: Tensor) -> Tensor:
        """Give tokens outside the top-k, the top-p nucleus, or far below the best, no chance.

        The best score must be 0.
        """
        ranked, order = scores.sort(descending=True)
        if self._sampling.top_k:
            ranked[self._sampling.top_k :] = float("-inf")
        before = ranked.softmax(dim=-1).cumsum(dim=-1).roll(1)
        before[0] = 0.0
        ranked[before >= self._sampling.top_p] = float("-inf")
        if self._sampling.min_p:
            ranked[ranked < math.log(self._sampling.min_p)] = float("-inf")
        return torch.empty_like(scores).scatter_(0, order, ranked)
