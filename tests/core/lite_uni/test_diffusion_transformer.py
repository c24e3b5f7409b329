"""The velocity network: recorded calls, rules of its own, and configs it refuses."""

import json
from dataclasses import replace

import pytest
import torch

from ming_core import ConfigError, TorchOperations
from ming_core.config_section import Section
from ming_core.lite_uni.diffusion_config import DiffusionConfig
from ming_core.lite_uni.diffusion_transformer import DiffusionTransformer
from ming_core.lite_uni.layers import linear_attention


def velocities(network: DiffusionTransformer, x, t, conditions):
    moment = network.moments(t[None], torch.float32).at(0)
    return network(x, moment, [network.read(condition) for condition in conditions])


@pytest.mark.golden
@pytest.mark.parametrize("call", range(3))
def test_velocities_are_the_recorded_ones(diffusion_set, error, call: int):
    recorded = diffusion_set.recorded
    x, t, v = (recorded[f"velocity_{call}.{name}"] for name in "xtv")
    conditions = recorded["t2i.uncond_row"], recorded["t2i.cond"]
    assert error(velocities(diffusion_set.transformer, x[0], t, conditions), v) <= 1e-5


def test_a_condition_of_equal_tokens_is_as_good_as_one_of_them(diffusion_set, error):
    recorded, network = diffusion_set.recorded, diffusion_set.transformer
    x, t = recorded["velocity_0.x"][0], recorded["velocity_0.t"]
    row = recorded["t2i.uncond_row"]
    one, many = velocities(network, x, t, [row, row.expand(256, -1)])
    assert error(one, many) <= 1e-5


def test_a_velocity_does_not_depend_on_the_conditions_beside_it(diffusion_set, error):
    recorded, network = diffusion_set.recorded, diffusion_set.transformer
    x, t = recorded["velocity_1.x"][0], recorded["velocity_1.t"]
    row, condition = recorded["t2i.uncond_row"], recorded["t2i.cond"]
    both = velocities(network, x, t, [row, condition])
    assert error(velocities(network, x, t, [condition])[0], both[1]) <= 1e-5


def test_moments_of_a_schedule_are_those_of_its_steps(diffusion_set, error):
    network, timesteps = diffusion_set.transformer, torch.tensor([1000.0, 431.7, 3.0])
    together = network.moments(timesteps, torch.float32)
    for step, t in enumerate(timesteps):
        alone = network.moments(t[None], torch.float32)
        assert error(together.blocks[step], alone.blocks[0]) <= 1e-5
        assert error(together.final[step], alone.final[0]) <= 1e-5


def test_the_timestep_scale_of_the_config_is_used(diffusion_set):
    with torch.device("meta"):
        twice = DiffusionTransformer(
            replace(diffusion_set.diffusion, timestep_scale=2.0), TorchOperations
        )
    twice.load_state_dict(diffusion_set.transformer.state_dict(), assign=True)
    scaled = twice.moments(torch.tensor([250.0]), torch.float32)
    plain = diffusion_set.transformer.moments(torch.tensor([500.0]), torch.float32)
    assert torch.equal(scaled.blocks, plain.blocks) and torch.equal(scaled.final, plain.final)


def test_bf16_stays_near_fp32(diffusion_set, error):
    recorded = diffusion_set.recorded
    x, t, v = (recorded[f"velocity_2.{name}"] for name in "xtv")
    with torch.device("meta"):
        network = DiffusionTransformer(diffusion_set.diffusion, TorchOperations)
    state = diffusion_set.transformer.state_dict()
    network.load_state_dict({n: p.bfloat16() for n, p in state.items()}, assign=True)
    network.requires_grad_(requires_grad=False)
    moment = network.moments(t[None], torch.bfloat16).at(0)
    conditions = recorded["t2i.uncond_row"].bfloat16(), recorded["t2i.cond"].bfloat16()
    out = network(x[0], moment, [network.read(condition) for condition in conditions])
    assert out.dtype == torch.float32
    assert error(out, v) < 0.05


def test_linear_attention_is_attention_with_relu_for_a_kernel(error):
    q, k, v = torch.randn(3, 2, 7, 3, 16, generator=torch.Generator().manual_seed(1))
    scores = torch.einsum("bnhd,bmhd->bhnm", q.relu(), k.relu())
    expected = torch.einsum("bhnm,bmhd->bnhd", scores / scores.sum(-1, keepdim=True), v)
    assert error(linear_attention(q, k, v), expected) < 1e-6


def test_linear_attention_of_nothing_is_nothing():
    q, k, v = -torch.ones(1, 4, 1, 2), torch.ones(1, 4, 1, 2), torch.ones(1, 4, 1, 2)
    assert (linear_attention(q, k, v) == 0).all(), "no not-a-number where every query is dead"


@pytest.fixture
def figures(diffusion_set) -> dict:
    path = diffusion_set.folder / "Ming-Lite-Uni/transformer/config.json"
    return json.loads(path.read_text())


def read(figures: dict) -> DiffusionConfig:
    return DiffusionConfig.read(Section(figures, "transformer"))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("_class_name", "SD3Transformer2DModel"),
        ("interpolation_scale", 1.0),
        ("qk_norm", "rms_norm_across_heads"),
        ("guidance_embeds", True),
        ("patch_size", 2),
        ("out_channels", 64),
        ("cross_attention_dim", 100),
        ("sample_size", 24),
        ("num_layers", 0),
        ("mlp_ratio", "wide"),
    ],
)
def test_what_is_not_implemented_or_wrong_is_refused_by_name(figures: dict, key: str, value):
    with pytest.raises(ConfigError, match=key):
        read(figures | {key: value})


def test_a_missing_timestep_scale_is_1_and_out_channels_may_be_null(figures: dict):
    older = {key: value for key, value in figures.items() if key != "timestep_scale"}
    assert read(older | {"out_channels": None}).timestep_scale == 1.0


@pytest.mark.parametrize("missing", ["in_channels", "num_layers", "caption_channels"])
def test_missing_sizes_are_named(figures: dict, missing: str):
    del figures[missing]
    with pytest.raises(ConfigError, match=missing):
        read(figures)
