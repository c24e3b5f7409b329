"""The sigmas of a picture, against recorded ones and against what is known of each spacing."""

import json
import math

import pytest
import torch

from ming_core import ConfigError
from ming_core.config_section import Section
from ming_core.lite_uni.schedule import SPACINGS, Schedule, beta_quantile


def read(**values) -> Schedule:
    return Schedule.read(Section(values, "scheduler"))


@pytest.mark.golden
@pytest.mark.parametrize("steps", [1, 2, 20, 30])
def test_sigmas_are_the_recorded_ones(diffusion_set, steps: int):
    sigmas = diffusion_set.schedule.sigmas(steps)
    assert torch.equal(sigmas, diffusion_set.recorded[f"sigmas_{steps}"])


@pytest.mark.golden
def test_sigmas_and_timesteps_of_every_case_are_the_recorded_ones(diffusion_set):
    for case, settings in diffusion_set.manifest["generate"].items():
        if f"{case}.sigmas" in diffusion_set.recorded:
            sigmas = diffusion_set.schedule.sigmas(settings["steps"])
            assert torch.equal(sigmas, diffusion_set.recorded[f"{case}.sigmas"])
            timesteps = diffusion_set.schedule.timesteps(sigmas)
            assert torch.equal(timesteps, diffusion_set.recorded[f"{case}.timesteps"])


def test_the_smallest_sigma_is_shifted_twice():
    once = 3 * 0.001 / (1 + 2 * 0.001)
    twice = 3 * once / (1 + 2 * once)
    sigmas = Schedule(shift=3.0).sigmas(30)
    assert sigmas[0] == 1 and sigmas[-1] == 0
    assert math.isclose(sigmas[-2], twice, rel_tol=1e-6)


def test_one_step_goes_from_noise_to_the_picture():
    assert Schedule(shift=3.0).sigmas(1).tolist() == [1.0, 0.0]


def test_a_shift_above_1_stays_near_the_noise():
    assert (Schedule(shift=3.0).sigmas(20)[1:-1] > Schedule(shift=1.0).sigmas(20)[1:-1]).all()


def test_fewer_training_steps_end_at_a_larger_sigma_and_count_time_less_finely():
    schedule = Schedule(num_train_timesteps=500)
    sigmas = schedule.sigmas(10)
    assert math.isclose(sigmas[-2], 1 / 500, rel_tol=1e-6)
    assert schedule.timesteps(sigmas)[0] == 500


@pytest.mark.parametrize("spacing", SPACINGS)
def test_a_spacing_keeps_both_ends_and_falls(spacing: str):
    even, other = Schedule(3.0).sigmas(20), Schedule(3.0, spacing=spacing).sigmas(20)
    torch.testing.assert_close(other[[0, -2, -1]], even[[0, -2, -1]], rtol=1e-6, atol=0)
    assert (other.diff() < 0).all() and not torch.allclose(other, even, atol=1e-3)


def test_karras_sigmas_are_even_in_their_seventh_root():
    steps = Schedule(spacing="karras").sigmas(12)[:-1].double().pow(1 / 7).diff()
    torch.testing.assert_close(steps, steps.mean().expand(11), rtol=1e-4, atol=0)


def test_exponential_sigmas_are_even_in_their_logarithm():
    steps = Schedule(spacing="exponential").sigmas(12)[:-1].double().log().diff()
    torch.testing.assert_close(steps, steps.mean().expand(11), rtol=1e-4, atol=0)


def test_beta_quantiles_of_known_distributions():
    for probability in (0.0, 0.03, 0.4, 0.5, 0.77, 1.0):
        assert math.isclose(beta_quantile(probability, 1.0), probability, abs_tol=1e-12)
        arcsine = math.sin(math.pi * probability / 2) ** 2
        assert math.isclose(beta_quantile(probability, 0.5), arcsine, abs_tol=1e-12)


def test_a_dpm_file_with_infinities_runs_unshifted():
    text = '{"flow_shift": 3.0, "use_flow_sigmas": true, "lambda_min_clipped": -Infinity}'
    assert Schedule.read(Section(json.loads(text), "scheduler")) == Schedule(shift=1.0)


def test_keys_shared_by_both_kinds_of_file_are_honoured():
    assert read(use_karras_sigmas=True, num_train_timesteps=500, flow_shift=2.0) == Schedule(
        1.0, 500, "karras"
    )
    assert read(use_beta_sigmas=None, shift=2) == Schedule(2.0)


@pytest.mark.parametrize(
    "values",
    [
        {"use_dynamic_shifting": True},
        {"invert_sigmas": True},
        {"shift_terminal": 0.1},
        {"stochastic_sampling": True},
        {"use_karras_sigmas": True, "use_beta_sigmas": True},
        {"shift": 0},
        {"num_train_timesteps": 0},
        {"use_karras_sigmas": "yes"},
    ],
)
def test_what_is_not_implemented_or_wrong_is_refused_by_name(values: dict):
    with pytest.raises(ConfigError, match=next(iter(values))):
        read(**values)


def test_a_shift_of_the_users_replaces_the_files():
    assert read(shift=3.0).shifted(None) == Schedule(3.0)
    assert read(shift=3.0).shifted(1.5) == Schedule(1.5)
    with pytest.raises(ConfigError, match="above 0"):
        read().shifted(-1.0)
