"""Integrating a velocity field whose solution is known."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from ming_core import SOLVERS, ImageSampling, MingModel
from ming_core.univision.flow.sampler import LatentSampler, guided_velocity
from ming_core.univision.flow.schedule import progress_grid


class Field:
    """Stands in for the velocity network: v(x, t) given as a function."""

    def __init__(self, velocity: Callable[[Tensor, Tensor], Tensor]) -> None:
        self.velocity = velocity
        self.seen: list[tuple[Tensor, float]] = []

    def time_embed(self, t: Tensor, dtype: torch.dtype) -> Tensor:
        return t[:, None]

    def modulations(self, times: Tensor, z: Tensor) -> Tensor:
        return times.view(-1, 1, 1, 1).expand(-1, *z.shape[:2], 1)

    def __call__(self, x: Tensor, modulation: Tensor) -> Tensor:
        self.seen.append((x.clone(), float(modulation.flatten()[0])))
        return self.velocity(x.expand(len(modulation), -1, -1), modulation)


def integrate(
    field: Field, noise: Tensor, weights: tuple[float, ...] = (1.0,), **settings
) -> Tensor:
    z = torch.zeros(len(weights), len(noise), 1)
    return LatentSampler(field, ImageSampling(**settings), weights, like=z)(z, noise)


def bent(x: Tensor, t: Tensor) -> Tensor:
    """From noise (t = 1) to data (t = 0) this multiplies by exp(sin 3 / 3)."""
    return torch.cos(3 * (1 - t)) * x


NOISE = torch.linspace(-2, 2, 12).view(3, 4)
EXACT = NOISE * math.exp(math.sin(3) / 3)


def error(steps: int, solver: str, **settings) -> float:
    ours = integrate(Field(bent), NOISE, steps=steps, solver=solver, **settings)
    return float((ours - EXACT).abs().max())


@pytest.mark.parametrize("solver", ["euler", "ab2"])
def test_time_runs_from_noise_to_data_and_the_velocity_points_there(solver: str):
    field = Field(lambda x, _t: torch.ones_like(x))
    ours = integrate(field, NOISE, steps=4, solver=solver)
    assert torch.allclose(ours, NOISE + 1)
    assert [t for _, t in field.seen] == [1.0, 0.75, 0.5, 0.25]


@pytest.mark.parametrize("time_shift", [None, 0.4, 3.0])
def test_ab2_is_nearer_than_euler_and_gains_four_times_where_euler_gains_two(time_shift):
    for steps in (8, 16, 32):
        assert error(steps, "ab2", time_shift=time_shift) < 0.5 * error(
            steps, "euler", time_shift=time_shift
        )
    gains = {
        s: error(64, s, time_shift=time_shift) / error(128, s, time_shift=time_shift)
        for s in ("euler", "ab2")
    }
    assert gains["euler"] == pytest.approx(2, abs=0.4)
    assert gains["ab2"] == pytest.approx(4, abs=0.8)


@torch.inference_mode()
def test_ab2_is_nearer_than_euler_on_a_network_too(model: MingModel):
    """Where the steps resolve its time features: a random network has no slower ones."""
    torch.manual_seed(0)
    z, noise = torch.randn(2, 3, 64), torch.randn(3, 32)

    def sample(steps: int, solver: str) -> Tensor:
        network = model.parts.language_model.velocity
        return LatentSampler(network, ImageSampling(steps=steps, solver=solver), [3, -2], like=z)(
            z, noise
        )

    fine = sample(1024, "ab2")
    off = {solver: float((sample(256, solver) - fine).abs().max()) for solver in SOLVERS}
    assert off["ab2"] < 0.6 * off["euler"]


def test_one_step_of_ab2_is_eulers():
    one = [integrate(Field(bent), NOISE, steps=1, solver=s) for s in ("euler", "ab2")]
    assert torch.equal(*one)
    assert torch.allclose(one[0], NOISE * 2)


@pytest.mark.parametrize("solver", ["euler", "ab2"])
@pytest.mark.parametrize("steps", [1, 3, 16])
def test_the_field_is_evaluated_once_per_step(solver: str, steps: int):
    field = Field(bent)
    integrate(field, NOISE, steps=steps, solver=solver)
    assert len(field.seen) == steps


def test_the_time_grid_is_the_published_formula():
    assert torch.allclose(progress_grid(4, None), torch.tensor([0, 0.25, 0.5, 0.75, 1]))
    shifted = progress_grid(4, 3.0)
    expected = [u / (u + 3 - 3 * u) for u in (0, 0.25, 0.5, 0.75, 1)]
    assert shifted.tolist() == pytest.approx(expected)
    assert torch.equal(progress_grid(4, 1.0), progress_grid(4, None))


def test_every_row_starts_from_the_same_noise_times_the_temperature():
    field = Field(lambda x, _t: torch.zeros_like(x))
    ours = integrate(field, NOISE, weights=(3.0, -2.0), steps=1, temperature=0.5)
    x, _ = field.seen[0]
    assert torch.equal(x, NOISE * 0.5)
    assert torch.equal(ours, NOISE * 0.5)


def test_rows_share_the_guided_state_at_every_step():
    sign = torch.tensor([1.0, -1.0])[:, None, None]
    field = Field(lambda x, _t: sign * x)
    ours = integrate(field, NOISE, weights=(0.75, 0.25), steps=2)
    assert [x.shape for x, _ in field.seen] == [NOISE.shape] * 2
    assert torch.allclose(ours, NOISE * 1.25**2)  # 0.75 - 0.25, twice for half a unit of time


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_the_state_is_fp32_whatever_the_network_computes_in(dtype: torch.dtype):
    field = Field(lambda x, _t: torch.full_like(x, 2**-12).float())
    z = torch.zeros(1, 3, 1, dtype=dtype)
    sample = LatentSampler(field, ImageSampling(steps=8), [1.0], like=z)
    ours = sample(z, (NOISE + 8).to(dtype))
    assert ours.dtype == torch.float32
    assert all(x.dtype == torch.float32 for x, _ in field.seen)
    # An eighth of 2**-12 beside 8 is less than 16 bits can hold.
    assert torch.allclose(ours - (NOISE + 8).to(dtype).float(), torch.tensor(2.0**-12), atol=1e-5)


def test_renorm_shortens_to_the_full_branch_and_never_lengthens():
    torch.manual_seed(0)
    rows = torch.randn(2, 50, 32)
    rows[1, 25:] = rows[0, 25:] * 0.9  # these are made a little longer by the guidance
    weights = torch.tensor([3.0, -2.0])
    plain = guided_velocity(rows, weights, renorm=False)
    ours = guided_velocity(rows, weights, renorm=True)
    lengths = plain.norm(dim=-1), ours.norm(dim=-1), rows[0].norm(dim=-1)
    assert torch.allclose(lengths[1], torch.minimum(lengths[0], lengths[2]), rtol=1e-5)
    assert torch.allclose(torch.cosine_similarity(plain, ours, dim=-1), torch.ones(50))
    assert (lengths[0] > lengths[2]).any()
    short = guided_velocity(rows, torch.tensor([0.1, 0.0]), renorm=True)
    assert torch.allclose(short, rows[0] * 0.1)


def test_renorm_does_nothing_to_one_row():
    rows = torch.randn(1, 5, 32, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(guided_velocity(rows, torch.ones(1), renorm=True), rows[0])
