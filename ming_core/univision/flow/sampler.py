"""Guided integration of the velocity field: one latent per visual token (SPEC section 4)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ..sampling import ImageSampling
from .head import VelocityNetwork
from .schedule import Schedules, grid_of


def guided_velocity(velocities: Tensor, weights: Tensor, *, renorm: bool) -> Tensor:
    """Blend branch velocities (R, ..., C), the full branch first, by weights (R,): (..., C).

    Velocities point from noise (t = 1) towards data (t = 0). With `renorm` the result is never
    longer than the full branch's velocity.
    """
    velocity = (weights @ velocities.flatten(1)).view_as(velocities[0])
    if renorm:
        lengths = velocities[0].norm(dim=-1, keepdim=True) / velocity.norm(dim=-1, keepdim=True)
        velocity = velocity * (lengths + 1e-8).clamp(0, 1)
    return velocity


class LatentSampler:
    """Integrates latents from noise to data; made once per picture, called once per token."""

    def __init__(
        self,
        network: VelocityNetwork,
        sampling: ImageSampling,
        weights: Sequence[float],
        like: Tensor,
        schedules: Schedules | None = None,
    ) -> None:
        """Prepare the time grid, and the guidance weights in the order of the branches of z.

        schedules  of the checkpoint, for settings that ask for a calibrated one
        """
        self.network = network
        self.sampling = sampling
        self.weights = torch.tensor(weights, dtype=torch.float32, device=like.device)
        grid = grid_of(sampling, schedules)
        self.step_sizes: list[float] = grid.diff().tolist()
        self.times = network.time_embed((1 - grid[:-1]).to(like.device), like.dtype)

    def __call__(self, z: Tensor, noise: Tensor) -> Tensor:
        """Draw latents (N, C) under conditions z (R, N, W) from noise (N, C), in fp32."""
        modulations = self.network.modulations(self.times, z)
        x = noise.float() * self.sampling.temperature
        previous: Tensor | None = None
        for index, dt in enumerate(self.step_sizes):
            velocities = self.network(x, modulations[index])
            velocity = guided_velocity(velocities, self.weights, renorm=self.sampling.renorm)
            slope = velocity
            if self.sampling.solver == "ab2" and previous is not None:
                # Adams-Bashforth of order 2 for steps of unequal size; the first is Euler's.
                slope = velocity + (velocity - previous) * (dt / (2 * self.step_sizes[index - 1]))
            x = torch.add(x, slope, alpha=dt)
            previous = velocity
        return x
