"""The velocity network against the formulas, layer by layer."""

import math

import pytest
import torch
from torch.nn import functional as F

from ming_core import MingModel
from ming_core.univision.flow.head import VelocityNetwork


@pytest.fixture(scope="module")
def network(model: MingModel) -> VelocityNetwork:
    return model.parts.language_model.velocity


@torch.inference_mode()
def test_velocity_is_the_published_formula(network: VelocityNetwork):
    torch.manual_seed(0)
    x, z, t = torch.randn(1, 32), torch.randn(1, 64), 0.3
    angles = [1000 * t * 10000 ** (-i / 128) for i in range(128)]
    features = torch.tensor([[math.cos(a) for a in angles] + [math.sin(a) for a in angles]])
    time = network.time_embed.second(F.silu(network.time_embed.first(features)))
    y = F.silu(time + network.cond_embed(z))
    weight, bias = network.modulation.weight, network.modulation.bias
    h, start = network.input_proj(x), 0
    for block in network.res_blocks:
        shift, scale, gate = F.linear(
            y, weight[start : start + 192], bias[start : start + 192]
        ).split(64, dim=-1)
        normed = F.layer_norm(h, (64,), block.in_ln.weight, block.in_ln.bias, eps=1e-6)
        a, b = block.mlp.w12(normed * (1 + scale) + shift).chunk(2, dim=-1)
        h, start = h + gate * block.mlp.w3(F.silu(a) * b), start + 192
    shift, scale = F.linear(y, weight[start:], bias[start:]).split(64, dim=-1)
    expected = network.final_linear(F.layer_norm(h, (64,), eps=1e-6) * (1 + scale) + shift)
    times = network.time_embed(torch.tensor([t]), torch.float32)
    ours = network(x, network.modulations(times, z)[0])
    assert torch.allclose(ours, expected, atol=1e-4)  # cosines of 300 radians, in fp32


@torch.inference_mode()
def test_all_steps_at_once_are_each_step_alone(network: VelocityNetwork):
    z = torch.randn(3, 2, 64, generator=torch.Generator().manual_seed(0))
    times = network.time_embed(torch.tensor([1.0, 0.5, 0.1]), torch.float32)
    together = network.modulations(times, z)
    assert together.shape[:3] == (3, 3, 2)
    for step in range(3):
        alone = network.modulations(times[step : step + 1], z)[0]
        assert torch.allclose(together[step], alone, atol=1e-5)


@torch.inference_mode()
def test_rows_and_pictures_do_not_mix(network: VelocityNetwork):
    torch.manual_seed(0)
    x, z = torch.randn(3, 2, 32), torch.randn(3, 2, 64)
    times = network.time_embed(torch.tensor([0.5]), torch.float32)
    together = network(x, network.modulations(times, z)[0])
    for row in range(3):
        for picture in range(2):
            alone = network(x[row, picture], network.modulations(times, z[row, picture])[0])
            assert torch.allclose(together[row, picture], alone, atol=1e-5)
