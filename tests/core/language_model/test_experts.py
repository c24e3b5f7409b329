"""The mixture of experts against a token-by-token formula."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from ming_cli import verify
from ming_core import MingModel, TorchOperations
from ming_core.quantisation import QuantisedExpertLinear, QuantisedOperations, operations_for
from ming_core.univision.config import LanguageModelConfig
from ming_core.univision.language_model import experts
from ming_core.univision.language_model.experts import MixtureOfExperts

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


def few_tokens(_moe: MixtureOfExperts, tokens: Tensor) -> bool:
    return len(tokens) <= experts.DECODED_TOKENS


def as_on_an_accelerator(monkeypatch: pytest.MonkeyPatch, copy_cost: int) -> None:
    """Let a CPU take the accelerator's way; copies at no cost are always gathered."""
    monkeypatch.setattr(MixtureOfExperts, "asks_nothing", few_tokens)
    monkeypatch.setattr(experts, "COPY_COST", copy_cost)


GATHERED, ALL_EXPERTS = 0, 1000


@pytest.mark.parametrize("copy_cost", [GATHERED, ALL_EXPERTS])
@pytest.mark.parametrize("tokens", [1, 2, 3, 6, 24])
@pytest.mark.parametrize("batch_bytes", [1, 1200, 2**29], ids=lambda b: f"{b}B")
def test_without_a_look_at_the_routing_the_sum_is_the_same(
    copy_cost: int, tokens: int, batch_bytes: int, monkeypatch: pytest.MonkeyPatch
):
    moe = mixture()
    x = torch.randn(1, tokens, 12)
    expected = torch.stack([by_hand(moe, row, is_image=False) for row in x[0]])
    as_on_an_accelerator(monkeypatch, copy_cost)
    monkeypatch.setattr(experts, "BATCH_BYTES", batch_bytes)
    assert torch.allclose(moe(x, None)[0], expected, atol=1e-5)


@pytest.mark.parametrize("copy_cost", [GATHERED, ALL_EXPERTS])
def test_8_bit_experts_are_the_same_without_a_look_at_the_routing(
    copy_cost: int, monkeypatch: pytest.MonkeyPatch
):
    exact = mixture()
    moe = MixtureOfExperts(
        LanguageModelConfig(**(BASE | {"multi_gate": False})),
        QuantisedOperations(TorchOperations, "int8"),
    )
    for layer in moe.modules():
        if hasattr(layer, "store"):
            layer.store(torch.randn(layer.weight.shape), ())
    moe.text_router.load_state_dict(exact.text_router.state_dict())
    assert isinstance(moe.gate_up, QuantisedExpertLinear)
    x = torch.randn(1, 3, 12)
    with torch.inference_mode():
        expected = moe(x, None)
        as_on_an_accelerator(monkeypatch, copy_cost)
        assert torch.allclose(moe(x, None), expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("copy_cost", [GATHERED, ALL_EXPERTS])
@pytest.mark.parametrize(("quantise", "batch"), [(None, 6), ("int8", 6), ("int4", 2)])
def test_no_more_experts_are_widened_at_once_than_the_bound_allows(
    copy_cost: int, quantise: str | None, batch: int, monkeypatch: pytest.MonkeyPatch
):
    figures = BASE | {"hidden_size": 32, "expert_size": 16, "num_experts": 10}
    operations = operations_for(TorchOperations, quantise)
    moe = MixtureOfExperts(LanguageModelConfig(**figures), operations).to("meta")
    as_on_an_accelerator(monkeypatch, copy_cost)
    monkeypatch.setattr(experts, "BATCH_BYTES", 6 * 2 * 16 * 32 * 4)
    sizes = []
    monkeypatch.setattr(
        moe, "_expert", lambda asked, expert: sizes.append(len(asked)) or torch.empty_like(asked)
    )
    moe(torch.empty(1, 4, 32, device="meta"), None)
    assert max(sizes) == batch


@pytest.mark.parametrize("copy_cost", [GATHERED, ALL_EXPERTS])
def test_tokens_of_one_expert_and_ties_are_added_once_each(
    copy_cost: int, monkeypatch: pytest.MonkeyPatch
):
    moe = mixture(multi_gate=False)
    moe.text_router.weight.zero_()
    x = torch.randn(1, 4, 12)
    expected = torch.stack([by_hand(moe, row, is_image=False) for row in x[0]])
    as_on_an_accelerator(monkeypatch, copy_cost)
    assert torch.allclose(moe(x, None)[0], expected, atol=1e-5)


def test_an_expert_that_overflows_spoils_no_token_it_was_not_meant_for(
    monkeypatch: pytest.MonkeyPatch,
):
    moe = mixture(multi_gate=False, top_k=1)
    x = torch.randn(1, 3, 12)
    _, chosen = moe._route(x[0], None)
    unused = next(e for e in range(5) if e not in chosen.flatten().tolist())
    expected = moe(x, None)
    moe.down.weight[unused] = torch.inf
    as_on_an_accelerator(monkeypatch, ALL_EXPERTS)
    assert torch.allclose(moe(x, None), expected, atol=1e-5)


@pytest.mark.parametrize("tokens", [1, 3, 24])
def test_a_decode_step_on_an_accelerator_never_asks_for_the_routing(tokens: int):
    """On the meta device there is no number to ask for: looking at one is an error."""
    moe = mixture(num_experts=16).to("meta")
    assert moe(torch.empty(1, tokens, 12, device="meta"), None).shape == (1, tokens, 12)
    with pytest.raises(NotImplementedError, match="(?i)meta"):
        moe(torch.empty(1, experts.DECODED_TOKENS + 1, 12, device="meta"), None)


def test_experts_that_a_host_left_elsewhere_are_fetched_one_by_one():
    moe, here = mixture(), torch.empty(1, 12)
    there = here.to("meta")
    assert not moe.asks_nothing(here)
    assert not moe.asks_nothing(there)
    moe.gate_up.to("meta")
    assert not moe.asks_nothing(there)
    moe.down.to("meta")
    assert moe.asks_nothing(there)
    assert not moe.asks_nothing(there.expand(experts.DECODED_TOKENS + 1, -1))


@pytest.mark.parametrize(
    ("tokens", "dtype", "on_device", "copy_cost", "way"),
    [
        (1, torch.float32, True, GATHERED, "add_gathered"),
        (1, torch.float32, True, ALL_EXPERTS, "add_all"),
        (33, torch.float32, True, GATHERED, "add_routed"),
        (16, torch.bfloat16, False, GATHERED, "add_chosen"),
        (16, torch.float16, False, GATHERED, "add_routed"),
        (17, torch.float32, False, GATHERED, "add_routed"),
    ],
)
def test_the_first_way_that_can_be_taken_is(
    tokens: int, dtype: torch.dtype, on_device: bool, copy_cost: int, way: str, monkeypatch
):
    moe = mixture().to(dtype)
    if on_device:
        as_on_an_accelerator(monkeypatch, copy_cost)
    taken: list[str] = []
    told = [
        replace(each, add=lambda *_args, name=each.add.__name__: taken.append(name))
        for each in experts.WAYS
    ]
    monkeypatch.setattr(experts, "WAYS", told)
    moe(torch.randn(1, tokens, 12).to(dtype), None)
    assert taken == [way]


def test_few_bits_on_a_processor_are_multiplied_by_the_rows_routed_to_them_alone(watch):
    config = LanguageModelConfig(**(BASE | {"hidden_size": 64, "expert_size": 64}))
    moe = MixtureOfExperts(config, operations_for(TorchOperations, "int4"))
    for leaf in (moe.gate_up, moe.down):
        leaf.weight.data.fill_(0)
        leaf.scale.fill_(1)
    calls, x = watch(moe.gate_up), torch.randn(3, 64)
    weights, chosen = torch.ones(3, 3), torch.tensor([[0, 1, 2], [1, 2, 4], [2, 4, 0]])
    way = next(way for way in experts.WAYS if way.is_for(moe, x, chosen))
    way.add(moe, torch.zeros(3, 64), x, weights, chosen)
    rows = {inputs[1]: len(inputs[0]) for inputs, _ in calls}
    assert rows == {0: 2, 1: 2, 2: 3, 4: 2}


@pytest.mark.golden
@pytest.mark.parametrize("copy_cost", [GATHERED, ALL_EXPERTS])
def test_the_accelerators_way_meets_the_recorded_numbers(
    copy_cost: int, monkeypatch: pytest.MonkeyPatch
):
    as_on_an_accelerator(monkeypatch, copy_cost)
    calls = []
    batch = MixtureOfExperts._batch
    monkeypatch.setattr(MixtureOfExperts, "_batch", lambda *args: calls.append(1) or batch(*args))
    assert verify.verify(Path(__file__).parents[2] / "golden" / "c").worst <= 1e-5
    assert len(calls) > 100
