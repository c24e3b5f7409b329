"""Drawing latents: recorded ones, noise, guidance, batches, progress and cancelling."""

import pytest
import torch

from ming_core import PromptError
from ming_core.lite_uni.sampler import DiffusionSampling, LatentSampler, seeded_noise


class CancelledError(Exception):
    pass


def sampler_of(diffusion_set, case: str = "t2i", **settings) -> LatentSampler:
    recorded = diffusion_set.recorded
    given = diffusion_set.manifest["generate"][case]
    sampling = DiffusionSampling(**({"steps": given["steps"], "guidance": given["cfg"]} | settings))
    condition, row = recorded[f"{case}.cond"], recorded[f"{case}.uncond_row"]
    return LatentSampler(
        diffusion_set.transformer, diffusion_set.schedule, sampling, condition, row
    )


@pytest.mark.golden
@pytest.mark.parametrize("case", ["t2i", "edit"])
def test_the_latent_after_every_step_is_the_recorded_one(diffusion_set, error, case: str):
    recorded, sampler = diffusion_set.recorded, sampler_of(diffusion_set, case)
    x = recorded[f"{case}.noise"][0]
    latents = recorded[f"{case}.latents"]
    for step, expected in enumerate(latents):
        # One step of the schedule at a time, each from our own latent.
        x = x + sampler.velocity(x, step) * (sampler.sigmas[step + 1] - sampler.sigmas[step])
        assert error(x, expected) <= 1e-5, step
    assert torch.equal(sampler(recorded[f"{case}.noise"][0]), x)


@pytest.mark.golden
def test_noise_of_a_seed_is_the_recorded_one(diffusion_set):
    for case, settings in diffusion_set.manifest["generate"].items():
        if f"{case}.noise" in diffusion_set.recorded:
            noise = seeded_noise(settings["seed"], settings["latent_shape"])
            assert torch.equal(noise, diffusion_set.recorded[f"{case}.noise"])
    for seed, first in diffusion_set.manifest["seeds"].items():
        assert seeded_noise(int(seed), (1, 8, 16, 16)).flatten()[:6].tolist() == first


def test_noise_leaves_the_global_generator_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    seeded_noise(11, (1, 2, 3))
    assert torch.equal(torch.rand(3), expected)


def test_guidance_of_1_or_less_looks_at_the_condition_alone(diffusion_set):
    noise = diffusion_set.recorded["t2i.noise"][0]
    alone = sampler_of(diffusion_set, guidance=1.0, steps=2)
    assert len(alone.memories) == 1
    assert torch.equal(alone(noise), sampler_of(diffusion_set, guidance=0.3, steps=2)(noise))
    barely = sampler_of(diffusion_set, guidance=1.0001, steps=2)(noise)
    torch.testing.assert_close(barely, alone(noise), rtol=0, atol=1e-3)


def test_every_setting_changes_the_picture(diffusion_set):
    noise = diffusion_set.recorded["t2i.noise"][0]
    drawn = sampler_of(diffusion_set)(noise)
    for changed in ({"steps": 3}, {"guidance": 2.0}, {"shift": 2.0}):
        assert not torch.allclose(sampler_of(diffusion_set, **changed)(noise), drawn, atol=1e-3)
    own_shift = sampler_of(diffusion_set, shift=diffusion_set.schedule.shift)
    assert torch.equal(own_shift(noise), drawn)


def test_a_picture_among_others_is_the_one_drawn_alone(diffusion_set):
    shape = diffusion_set.recorded["t2i.noise"].shape[1:]
    sampler = sampler_of(diffusion_set, steps=2)
    several = [sampler(seeded_noise(seed, shape)) for seed in (1, 2, 3)]
    alone = sampler_of(diffusion_set, steps=2)(seeded_noise(2, shape))
    assert torch.equal(several[1], alone) and not torch.equal(several[0], several[1])


def test_every_step_is_told_with_the_picture_as_it_can_be_foreseen(diffusion_set):
    seen = []
    noise = diffusion_set.recorded["t2i.noise"][0]
    latent = sampler_of(diffusion_set, steps=4)(noise, lambda *step: seen.append(step))
    assert [step for step, _ in seen] == [1, 2, 3, 4]
    torch.testing.assert_close(seen[-1][1], latent, rtol=0, atol=1e-5)
    assert not torch.allclose(seen[0][1], latent, atol=1e-3)


def test_work_can_be_cancelled_between_two_blocks(diffusion_set):
    calls = []

    def callback():
        calls.append(1)
        if len(calls) == 4:
            raise CancelledError

    with pytest.raises(CancelledError):
        sampler_of(diffusion_set)(diffusion_set.recorded["t2i.noise"][0], callback=callback)
    assert len(calls) == 4


@pytest.mark.parametrize(
    ("key", "value"),
    [("steps", 0), ("guidance", float("nan")), ("shift", 0.0), ("shift", float("inf"))],
)
def test_wrong_settings_are_refused_by_name(key: str, value: float):
    with pytest.raises(PromptError, match=key):
        DiffusionSampling(**{key: value})


def test_the_defaults_are_those_of_the_published_example():
    assert DiffusionSampling() == DiffusionSampling(steps=30, guidance=5.0, shift=None)
