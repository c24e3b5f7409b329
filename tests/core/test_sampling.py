"""Settings: published defaults, refused figures, and seeds."""

import pytest
import torch

from ming_core import ImageSampling, PromptError, TextSampling
from ming_core.sampling import seeded_generator


def numbers(seed: int) -> list[float]:
    return torch.randn(4, generator=seeded_generator(seed)).tolist()


def test_image_defaults_are_the_published_settings():
    s = ImageSampling()
    assert (s.steps, s.solver, s.text_guidance, s.image_guidance) == (16, "euler", 3.0, 1.1)
    assert (s.temperature, s.time_shift, s.renorm) == (1.0, None, False)


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (ImageSampling, {"steps": 0}),
        (ImageSampling, {"solver": "heun"}),
        (ImageSampling, {"temperature": -0.1}),
        (ImageSampling, {"time_shift": 0.0}),
        (ImageSampling, {"text_guidance": float("nan")}),
        (ImageSampling, {"image_guidance": float("inf")}),
        (ImageSampling, {"temperature": float("nan")}),
        (TextSampling, {"max_tokens": 0}),
        (TextSampling, {"temperature": -1.0}),
        (TextSampling, {"temperature": float("nan")}),
        (TextSampling, {"top_p": 0.0}),
        (TextSampling, {"top_p": 1.01}),
        (TextSampling, {"top_p": float("nan")}),
        (TextSampling, {"top_k": -1}),
    ],
)
def test_figures_out_of_range_are_refused_by_name(kind: type, wrong: dict):
    ((name, value),) = wrong.items()
    with pytest.raises(PromptError, match=name) as refused:
        kind(**wrong)
    assert str(value) in str(refused.value)


@pytest.mark.parametrize("seed", [0, 1, 12345, 2**32 - 1])
def test_small_seeds_draw_what_torch_draws(seed: int):
    expected = torch.randn(4, generator=torch.Generator().manual_seed(seed)).tolist()
    assert numbers(seed) == expected


def test_every_bit_of_a_seed_counts():
    seeds = [1] + [1 ^ 1 << bit for bit in range(64)]
    assert len({tuple(numbers(seed)) for seed in seeds}) == 65


def test_seeds_wrap_at_64_bits():
    assert numbers(2**64) == numbers(0)
    assert numbers(-1) == numbers(2**64 - 1)
