"""The decoder: causal over a cache or seeing everything, three axes or one, and its config."""

import pytest
import torch

from ming_core import ConfigError, TorchOperations
from ming_core.config_section import Section
from ming_core.kv_cache import WorkingCache
from ming_core.layers import grouped_mask
from ming_core.lite_uni.qwen import (
    AXES,
    Decoder,
    QwenConfig,
    inverse_frequencies,
    plain_rotation,
    three_axis_rotation,
)

CPU = torch.device("cpu")
VALUES = {
    "vocab_size": 50,
    "hidden_size": 256,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "intermediate_size": 64,
    "rope_theta": 1e6,
}


def config_of(**changes) -> QwenConfig:
    return QwenConfig.read(Section({**VALUES, **changes}, "llm"))


@pytest.fixture(scope="module")
def config() -> QwenConfig:
    return config_of()


@pytest.fixture(scope="module")
def decoder(config) -> Decoder:
    torch.manual_seed(3)
    made = Decoder(config, TorchOperations, TorchOperations.Linear).requires_grad_(False)
    for name, parameter in made.named_parameters():
        parameter.normal_(1.0 if "norm" in name else 0.0, 0.1)
    return made


@pytest.fixture(scope="module")
def embeddings() -> torch.Tensor:
    return torch.randn(1, 9, 256, generator=torch.Generator().manual_seed(1))


def causal(tokens: int) -> torch.Tensor:
    return grouped_mask(torch.ones(1, tokens, tokens, dtype=torch.bool).tril(), 2)


def test_without_a_mask_the_first_token_sees_the_last(decoder, config, embeddings):
    changed = embeddings.clone()
    changed[:, -1] += 1
    rotation = plain_rotation(config, 9, "fp32", CPU)
    assert not torch.equal(decoder(embeddings, rotation)[:, 0], decoder(changed, rotation)[:, 0])


def test_causally_it_does_not(decoder, config, embeddings):
    changed = embeddings.clone()
    changed[:, -1] += 1
    rotation = plain_rotation(config, 9, "fp32", CPU)
    before = decoder(embeddings, rotation, causal(9))
    after = decoder(changed, rotation, causal(9))
    assert torch.equal(before[:, :-1], after[:, :-1])
    assert not torch.equal(before[:, -1], after[:, -1])


def test_three_axes_that_agree_are_one(config, embeddings, decoder):
    positions = torch.arange(9).expand(3, -1)
    three = decoder(embeddings, three_axis_rotation(config, positions, "fp32", CPU), causal(9))
    one = decoder(embeddings, plain_rotation(config, 9, "fp32", CPU), causal(9))
    assert torch.equal(three, one)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_each_axis_turns_its_own_frequencies(config, axis):
    positions = torch.zeros(3, 1, dtype=torch.long)
    positions[axis] = 1
    rotation = three_axis_rotation(config, positions, "fp32", CPU)
    turned = rotation.sin[0, 0, 0, 64:].ne(0)
    start = sum(AXES[:axis])
    assert turned.nonzero().flatten().tolist() == list(range(start, start + AXES[axis]))


def test_token_after_token_equals_all_at_once(config, decoder, embeddings):
    positions = torch.tensor([[0, 1, 2, 3, 3, 3, 3, 5, 6]]).repeat(3, 1)
    positions[2, 3:7] += torch.arange(4)
    whole = decoder(embeddings, three_axis_rotation(config, positions, "fp32", CPU), causal(9))
    cache = WorkingCache(decoder.kv_shape(torch.float32, CPU), 1, 4)
    first = three_axis_rotation(config, positions[:, :7], "fp32", CPU)
    parts = [decoder(embeddings[:, :7], first, causal(7), cache)]
    for index in (7, 8):
        here = three_axis_rotation(config, positions[:, index : index + 1], "fp32", CPU)
        parts.append(decoder(embeddings[:, index : index + 1], here, None, cache))
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, atol=1e-5, rtol=1e-5)


def test_published_rounding_is_that_of_bf16():
    exact = inverse_frequencies(128, 1e6, "fp32")
    rounded = inverse_frequencies(128, 1e6, "reference")
    assert torch.equal(rounded, exact.bfloat16().float())
    assert not torch.equal(rounded, exact)


def test_it_can_be_cancelled_between_layers(config, decoder, embeddings):
    ticks = []

    def callback() -> None:
        ticks.append(1)
        if len(ticks) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        decoder(embeddings, plain_rotation(config, 9, "fp32", CPU), callback=callback)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("use_sliding_window", True),
        ("hidden_act", "gelu"),
        ("model_type", "qwen3"),
        ("num_key_value_heads", 3),
        ("intermediate_size", 0),
    ],
)
def test_what_is_not_implemented_is_refused_by_name(key, value):
    with pytest.raises(ConfigError, match="heads" if "heads" in key else key):
        config_of(**{key: value})


def test_heads_that_three_axes_do_not_fill_are_refused():
    with pytest.raises(ConfigError, match="64 wide"):
        config_of(num_attention_heads=4).check_axes()
    config_of(num_attention_heads=4, head_dim=128).check_axes()
