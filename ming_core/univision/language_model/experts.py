"""The mixture of experts: routers choose, experts and the shared expert add (SPEC section 3)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ... import kernels
from ...operations import Operations
from ..config import LanguageModelConfig

FEW_TOKENS = 16  # up to here a CPU runs chosen experts on all tokens; above it gathering pays
DECODED_TOKENS = 32  # the most tokens of one decode step: guidance branches times pictures
INT4_COPIES = 3  # of the floats that unpacking 4 bits holds at once
COPY_COST = 3  # a gathered expert is read, written and read again
BATCH_BYTES = 2**29  # of expert weights gathered or widened at once


class SharedExperts(nn.Module):
    """A SwiGLU MLP that every token passes."""

    def __init__(self, config: LanguageModelConfig, operations: Operations) -> None:
        super().__init__()
        width = config.num_shared_experts * config.expert_size
        self.gate_proj = operations.LargeLinear(config.hidden_size, width, bias=False)
        self.up_proj = operations.LargeLinear(config.hidden_size, width, bias=False)
        self.down_proj = operations.LargeLinear(width, config.hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (T, H) to (T, H)."""
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class MixtureOfExperts(nn.Module):
    """Routers, stacked experts and shared experts of one layer."""

    def __init__(self, config: LanguageModelConfig, operations: Operations) -> None:
        super().__init__()
        hidden, experts = config.hidden_size, config.num_experts
        self.num_experts = experts
        self.expert_size = config.expert_size
        self.top_k = config.top_k
        self.norm_topk_prob = config.norm_topk_prob
        self.text_router = operations.Linear(hidden, experts, bias=False)
        self.image_router = (
            operations.Linear(hidden, experts, bias=False) if config.multi_gate else None
        )
        self.gate_up = operations.ExpertLinear(experts, hidden, 2 * config.expert_size)
        self.down = operations.ExpertLinear(experts, config.expert_size, hidden)
        self.shared_experts = SharedExperts(config, operations)

    def forward(self, x: Tensor, is_given_image: Tensor | None) -> Tensor:
        """Map (batch, T, H) to (batch, T, H).

        is_given_image (batch, T) marks the patches of given images, which the image router
        routes; None when there are none. Drawn visual tokens count as text.
        """
        tokens = x.flatten(0, 1)
        weights, chosen = self._route(
            tokens, None if is_given_image is None else is_given_image.flatten()
        )
        total = self.shared_experts(tokens).float()
        added = kernels.add_experts(total, tokens, weights, chosen, self.gate_up, self.down)
        if added is None:
            way = next(way for way in WAYS if way.is_for(self, tokens, chosen))
            way.add(self, total, tokens, weights, chosen)
        return total.to(x.dtype).view_as(x)

    def asks_nothing(self, tokens: Tensor) -> bool:
        """Whether tokens are a decode step that must not look at the routing, nor has to.

        A CPU sees it for nothing, and what a host left elsewhere has to be fetched by number.
        """
        device, experts = tokens.device, (self.gate_up, self.down)
        is_there = device.type != "cpu" and all(leaf.is_on(device) for leaf in experts)
        return is_there and len(tokens) <= DECODED_TOKENS

    @property
    def _form(self) -> Any:  # noqa: ANN401  a host may hold weights in layers of its own
        """How few bits lie in the weights, which only their layers may read; None for floats."""
        return getattr(self.gate_up, "form", None)

    def are_few(self, tokens: Tensor) -> bool:
        """Whether reading the weights of an expert takes longer than multiplying tokens by them.

        Few bits are read so fast that every row counts.
        """
        return self._form is None and len(tokens) <= FEW_TOKENS

    def add_gathered(self, total: Tensor, tokens: Tensor, weights: Tensor, chosen: Tensor) -> None:
        """Add to `total` the chosen experts, a copy of its own for every choice."""
        batch = self._batch(tokens)
        asked = tokens[:, None].expand(-1, self.top_k, -1).reshape(chosen.numel(), 1, -1)
        parts = zip(asked.split(batch), chosen.flatten().split(batch), strict=True)
        out = torch.cat([self._expert(*part) for part in parts]).view(*chosen.shape, -1)
        total.add_((out.float() * weights[..., None]).sum(dim=1))

    def add_all(self, total: Tensor, tokens: Tensor, weights: Tensor, chosen: Tensor) -> None:
        """Add to `total` every expert on every token, by 0 where it is not routed."""
        batch = self._batch(tokens)
        spread = weights.new_zeros(len(tokens), self.num_experts).scatter_(1, chosen, weights)
        for start in range(0, self.num_experts, batch):
            share = spread[:, start : start + batch].T[..., None]
            asked = tokens.expand(len(share), -1, -1)
            out = self._expert(asked, slice(start, start + len(share))).float()
            # An expert that a token was not meant for may overflow in fp16.
            total.add_(torch.where(share != 0, out * share, 0).sum(dim=0))

    def add_chosen(self, total: Tensor, tokens: Tensor, weights: Tensor, chosen: Tensor) -> None:
        """Add to `total` every chosen expert on every token, by 0 where it is not routed."""
        spread = weights.new_zeros(len(tokens), self.num_experts).scatter_(1, chosen, weights)
        experts: list[int] = chosen.flatten().tolist()
        for expert in sorted(set(experts)):
            total.addcmul_(self._expert(tokens, expert).float(), spread[:, expert, None])

    def add_routed(self, total: Tensor, tokens: Tensor, weights: Tensor, chosen: Tensor) -> None:
        """Add to `total` every chosen expert on the tokens routed to it."""
        order = chosen.flatten().argsort(stable=True)
        experts, counts = chosen.flatten()[order].unique_consecutive(return_counts=True)
        token, sizes = order // self.top_k, counts.tolist()
        sorted_by_expert = tokens[token], token, weights.flatten()[order, None]
        parts = (tensor.split(sizes) for tensor in sorted_by_expert)
        for expert, rows, places, share in zip(experts.tolist(), *parts, strict=True):
            total.index_add_(0, places, self._expert(rows, expert).float() * share)

    def _batch(self, tokens: Tensor) -> int:
        """Return how many experts may be gathered or widened at once, as floats like the tokens."""
        is_int4 = self._form is not None and self._form.weight_dtype == torch.uint8
        copies = INT4_COPIES if is_int4 else 1
        widened = 2 * self.expert_size * tokens.shape[-1] * tokens.element_size() * copies
        return max(1, BATCH_BYTES // widened)

    def _expert(self, tokens: Tensor, expert: int | slice | Tensor) -> Tensor:
        gate, up = self.gate_up(tokens, expert).chunk(2, dim=-1)
        return self.down(F.silu(gate) * up, expert)

    def _route(self, tokens: Tensor, is_given_image: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return routing weights (T, top_k) in fp32 and the chosen experts (T, top_k)."""
        logits = self._scores(tokens, is_given_image)
        if self.norm_topk_prob:
            # Probabilities divided by their sum are the softmax of the chosen scores alone.
            scores, chosen = logits.float().topk(self.top_k, dim=-1)
            return scores.softmax(dim=-1), chosen
        return logits.float().softmax(dim=-1).topk(self.top_k, dim=-1)

    def _scores(self, tokens: Tensor, is_given_image: Tensor | None) -> Tensor:
        """Return what the router of each token thinks of every expert (T, experts)."""
        logits = self.text_router(tokens)
        if self.image_router is not None and is_given_image is not None:
            logits = torch.where(is_given_image[:, None], self.image_router(tokens), logits)
        return logits


@dataclass(frozen=True, slots=True)
class Way:
    """A way to add experts to a total: what does it, when, and why then.

    is_for(experts, tokens, chosen)  whether it can be taken
    """

    add: Callable[[MixtureOfExperts, Tensor, Tensor, Tensor, Tensor], None]
    is_for: Callable[[MixtureOfExperts, Tensor, Tensor], bool]
    why: str


# Where no fused kernel runs, the first way that can be taken is. Those of the first two have shapes
# that do not depend on what was chosen, so the host need not see it (docs/decisions/0014).
WAYS = (
    Way(
        MixtureOfExperts.add_gathered,
        lambda moe, tokens, chosen: (
            moe.asks_nothing(tokens) and chosen.numel() * COPY_COST <= moe.num_experts
        ),
        "a decode step without a look at the routing; copying what was chosen costs less",
    ),
    Way(
        MixtureOfExperts.add_all,
        lambda moe, tokens, _: moe.asks_nothing(tokens),
        "a decode step without a look at the routing; copies would be more than there is",
    ),
    Way(
        MixtureOfExperts.add_chosen,
        lambda moe, tokens, _: moe.are_few(tokens) and tokens.dtype != torch.float16,
        "reading an expert's weights takes time, not multiplying a few tokens more by them; in "
        "fp16 an expert that a token was not meant for may overflow",
    ),
    Way(
        MixtureOfExperts.add_routed,
        lambda _moe, _tokens, _chosen: True,
        "many tokens: each to its own experts alone",
    ),
)
