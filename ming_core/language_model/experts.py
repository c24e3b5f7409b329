"""The mixture of experts: routers choose, experts and the shared expert add (SPEC section 3)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..config import LanguageModelConfig
from ..operations import Operations


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
        """Map (rows, T, H) to (rows, T, H).

        is_given_image (rows, T) marks the patches of given images, which the image router
        routes; None when there are none. Drawn visual tokens count as text.
        """
        tokens = x.flatten(0, 1)
        weights, chosen = self._route(
            tokens, None if is_given_image is None else is_given_image.flatten()
        )
        routed = torch.zeros_like(tokens, dtype=torch.float32)
        for expert in chosen.unique().tolist():
            token, slot = torch.where(chosen == expert)
            gate, up = self.gate_up(tokens[token], expert).chunk(2, dim=-1)
            out = self.down(F.silu(gate) * up, expert)
            routed.index_add_(0, token, out.float() * weights[token, slot, None])
        return (routed.to(x.dtype) + self.shared_experts(tokens)).view_as(x)

    def _route(self, tokens: Tensor, is_given_image: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return routing weights (T, top_k) in fp32 and the chosen experts (T, top_k)."""
        logits = self.text_router(tokens)
        if self.image_router is not None and is_given_image is not None:
            logits = torch.where(is_given_image[:, None], self.image_router(tokens), logits)
        weights, chosen = logits.float().softmax(dim=-1).topk(self.top_k, dim=-1)
        if self.norm_topk_prob:
            weights = weights / weights.sum(dim=-1, keepdim=True)
        return weights, chosen
