"""Choosing text tokens."""

import math

import pytest
import torch
from torch import Tensor

from ming_core import PromptError, TextSampling
from ming_core.text_sampler import TextSampler

LOGITS = torch.tensor([0.0, 3.0, 1.0, 2.0, -1.0])  # probabilities .03 .64 .09 .24 .01


def choices(sampling: TextSampling, count: int = 200, logits: Tensor = LOGITS) -> list[int]:
    sample = TextSampler(sampling)
    return [sample(logits) for _ in range(count)]


def test_temperature_zero_is_greedy_whatever_else_is_set():
    assert set(choices(TextSampling(temperature=0.0, top_p=0.5, top_k=3, seed=9))) == {1}


def test_banned_tokens_are_never_chosen():
    assert TextSampler(TextSampling(), banned=[1])(LOGITS) == 3
    sample = TextSampler(TextSampling(temperature=5.0), banned=[1, 3])
    assert {sample(LOGITS) for _ in range(200)} == {0, 2, 4}


def test_logits_are_left_as_they_were():
    logits = LOGITS.clone()
    TextSampler(TextSampling(temperature=1.0, top_k=2), banned=[1])(logits)
    assert torch.equal(logits, LOGITS)


@pytest.mark.parametrize(
    ("top_k", "kept"), [(1, {1}), (2, {1, 3}), (3, {1, 2, 3}), (99, set(range(5)))]
)
def test_top_k_keeps_the_k_best(top_k: int, kept: set[int]):
    assert set(choices(TextSampling(temperature=3.0, top_k=top_k))) == kept


@pytest.mark.parametrize(
    ("top_p", "kept"),
    [(0.01, {1}), (0.60, {1}), (0.70, {1, 3}), (0.90, {1, 2, 3}), (1.0, set(range(5)))],
)
def test_top_p_keeps_the_fewest_that_reach_p(top_p: float, kept: set[int]):
    assert set(choices(TextSampling(temperature=1.0, top_p=top_p), count=1500)) == kept


def test_top_p_counts_after_top_k():
    # Of the two best alone the first has 0.73: a nucleus of 0.7 is that one.
    assert set(choices(TextSampling(temperature=1.0, top_k=2, top_p=0.7))) == {1}


def test_frequencies_follow_the_softmax():
    chosen = torch.tensor(choices(TextSampling(temperature=2.0), count=8000))
    frequencies = torch.bincount(chosen, minlength=5) / 8000
    assert torch.allclose(frequencies, (LOGITS / 2).softmax(0), atol=0.025)


def test_the_same_seed_repeats_and_another_does_not():
    first = choices(TextSampling(temperature=2.0, seed=4))
    assert first == choices(TextSampling(temperature=2.0, seed=4))
    assert first != choices(TextSampling(temperature=2.0, seed=5))
    assert first != choices(TextSampling(temperature=2.0, seed=4 + 2**32))


def test_a_tiny_temperature_is_nearly_greedy_and_never_infinite():
    assert set(choices(TextSampling(temperature=1e-39), count=20, logits=LOGITS * 100)) == {1}


@pytest.mark.parametrize(
    ("min_p", "kept"),
    # Shares of the likeliest at temperature 1: .05 1 .14 .37 .02
    [(0.0, set(range(5))), (0.01, set(range(5))), (0.1, {1, 2, 3}), (0.3, {1, 3}), (1.0, {1})],
)
def test_min_p_keeps_what_is_near_the_likeliest(min_p: float, kept: set[int]):
    assert set(choices(TextSampling(temperature=1.0, min_p=min_p), count=1500)) == kept


def test_min_p_counts_probabilities_after_temperature():
    # At temperature 3 the second has exp(-1/3) = 0.72 of the likeliest's probability.
    assert set(choices(TextSampling(temperature=3.0, min_p=0.7))) == {1, 3}


def test_a_repetition_penalty_divides_scores_that_are_positive_and_multiplies_the_others():
    sample = TextSampler(TextSampling(repetition_penalty=2.0))
    # 3 becomes 1.5, below 2; that becomes 1, below 1.5, which is not divided once more.
    assert [sample(LOGITS) for _ in range(4)] == [1, 3, 1, 1]
    below = TextSampler(TextSampling(repetition_penalty=2.0))
    assert [below(torch.tensor([-1.0, -1.5])) for _ in range(2)] == [0, 1]


def test_without_a_penalty_nothing_is_discouraged():
    assert choices(TextSampling(), count=3) == [1, 1, 1]


@pytest.mark.parametrize(
    "wrong", [{"min_p": -0.1}, {"min_p": 1.1}, {"repetition_penalty": 0.9}, {"min_p": math.nan}]
)
def test_figures_without_meaning_are_refused(wrong: dict[str, float]):
    with pytest.raises(PromptError, match=next(iter(wrong))):
        TextSampling(**wrong)
