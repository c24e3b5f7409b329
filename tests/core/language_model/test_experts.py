"""The mixture of experts against a token-by-token formula."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from ming_core import MingModel, TorchOperations
from ming_core.config import LanguageModelConfig
from ming_core.language_model.experts import MixtureOfExperts

BASE = {
    "vocab_size": 8,
    "hidden_size": 12,
    "num_layers": 1,
    "num_heads": 1,
    "num_kv_heads": 1,
    "head_size": 4,
    "rms_norm_eps": 1e-5,
    "rope_theta": 1e4,
    "num_experts": 5,
    "num_shared_experts": 2,
    "top_k": 3,
    "expert_size": 6,
    "norm_topk_prob": True,
    "multi_gate": True,
    "norm_head": False,
    "num_image_tokens": 4,
}


def mixture(**figures: object) -> MixtureOfExperts:
    torch.manual_seed(0)
    made = MixtureOfExperts(LanguageModelConfig(**(BASE | figures)), TorchOperations)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return made.requires_grad_(requires_grad=False)


def by_hand(moe: MixtureOfExperts, x: Tensor, is_image: bool) -> Tensor:
    router = moe.image_router if is_image and moe.image_router is not None else moe.text_router
    weights, chosen = router(x).float().softmax(-1).topk(moe.top_k)
    if moe.norm_topk_prob:
        weights = weights / weights.sum()
    out = moe.shared_experts.down_proj(
        F.silu(moe.shared_experts.gate_proj(x)) * moe.shared_experts.up_proj(x)
    )
    for weight, expert in zip(weights, chosen.tolist(), strict=True):
        gate, up = (moe.gate_up.weight[expert] @ x).chunk(2)
        out = out + weight * (moe.down.weight[expert] @ (F.silu(gate) * up))
    return out


@pytest.mark.parametrize("norm_topk_prob", [True, False])
@pytest.mark.parametrize("top_k", [1, 3, 5])
@pytest.mark.parametrize("multi_gate", [True, False])
def test_each_token_gets_its_experts(norm_topk_prob: bool, top_k: int, multi_gate: bool):
    moe = mixture(norm_topk_prob=norm_topk_prob, top_k=top_k, multi_gate=multi_gate)
    x = torch.randn(2, 7, 12)
    is_image = torch.rand(2, 7) > 0.5
    ours = moe(x, is_image)
    for row in range(2):
        for token in range(7):
            expected = by_hand(moe, x[row, token], bool(is_image[row, token]))
            assert torch.allclose(ours[row, token], expected, atol=1e-5)


def test_without_given_images_the_image_router_is_not_asked(watch):
    moe = mixture()
    calls = watch(moe.image_router)
    moe(torch.randn(1, 3, 12), None)
    assert not calls


def test_a_token_does_not_depend_on_its_neighbours():
    moe, x = mixture(), torch.randn(1, 9, 12)
    whole = moe(x, None)
    for token in range(9):
        alone = moe(x[:, token : token + 1], None)
        assert torch.allclose(whole[:, token], alone[:, 0], atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_routing_weights_are_fp32_in_16_bit_models(dtype: torch.dtype):
    moe = mixture().to(dtype)
    x = torch.randn(4, 12).to(dtype)
    weights, _ = moe._route(x, None)
    assert weights.dtype == torch.float32
    exact = moe.text_router(x).float().softmax(-1).topk(3).values
    assert torch.allclose(weights, exact / exact.sum(-1, keepdim=True), rtol=1e-5, atol=0)
    assert moe(x[None], None).dtype == dtype


def test_an_expert_nobody_chose_is_not_run(model: MingModel, watch):
    moe = model.parts.language_model.transformer.layers[0].mlp
    calls = watch(moe.gate_up)
    x = torch.randn(1, 1, 64, generator=torch.Generator().manual_seed(0))
    moe(x, None)
    assert len({inputs[1] for inputs, _ in calls}) == len(calls) == moe.top_k
