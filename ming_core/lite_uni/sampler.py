"""Drawing a latent: noise, and Euler steps along the guided velocity (LITE_UNI section 8).

Velocities point from the picture to the noise, so a step to a smaller sigma is a step backwards.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import PromptError
from ..progress import Callback, no_callback
from .diffusion_transformer import DiffusionTransformer
from .schedule import Schedule

# Told after every step: how many are done, and the picture's latent as far as it can be foreseen.
Watch = Callable[[int, Tensor], None]


@dataclass(frozen=True, slots=True)
class DiffusionSampling:
    """How latents are drawn; the defaults are those of the published example.

    guidance  how far the condition is exaggerated; 1 or less looks at the condition alone
    shift     overrides the schedule's own
    """

    steps: int = 30
    guidance: float = 5.0
    shift: float | None = None

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise PromptError(f"steps is {self.steps}; use 1 or more (published: 30).")
        if not math.isfinite(self.guidance):
            raise PromptError(f"guidance is {self.guidance}; use a finite number (published: 5).")
        if self.shift is not None and not (math.isfinite(self.shift) and self.shift > 0):
            raise PromptError(f"shift is {self.shift}; use a figure above 0, or none.")


def seeded_noise(seed: int, shape: Sequence[int]) -> Tensor:
    """Return the noise of a seed: the same on every device, and as published.

    torch's CPU generator reads the low 32 bits of a seed only; no more are folded in here, so
    that every published seed keeps its picture.
    """
    generator = torch.Generator("cpu").manual_seed(seed % 2**64)
    return torch.randn(tuple(shape), generator=generator)


class LatentSampler:
    """Draws latents under one condition: made once, called once for every picture.

    Pictures are drawn one after another, so that each equals the one drawn alone.
    """

    def __init__(
        self,
        network: DiffusionTransformer,
        schedule: Schedule,
        sampling: DiffusionSampling,
        condition: Tensor,
        unconditional: Tensor,
    ) -> None:
        """Prepare what no step changes.

        condition      (T, caption channels) on the network's device, in its dtype
        unconditional  (1, caption channels), the one token that all of its tokens are
        """
        self.network = network
        sigmas = schedule.shifted(sampling.shift).sigmas(sampling.steps)
        self.sigmas: list[float] = sigmas.tolist()
        timesteps = schedule.timesteps(sigmas).to(condition.device)
        self.moments = network.moments(timesteps, condition.dtype)
        guided = sampling.guidance > 1
        rows = [condition, unconditional] if guided else [condition]
        weights = [sampling.guidance, 1 - sampling.guidance] if guided else [1.0]
        self.memories = [network.read(row) for row in rows]
        self.weights = torch.tensor(weights, device=condition.device)[:, None, None, None]

    def __call__(
        self, noise: Tensor, watch: Watch | None = None, callback: Callback = no_callback
    ) -> Tensor:
        """Draw a latent (C, h, w) from noise (C, h, w), in fp32 on the device of the condition."""
        x = noise.to(self.weights.device, torch.float32)
        for step, (sigma, following) in enumerate(zip(self.sigmas, self.sigmas[1:], strict=False)):
            velocity = self.velocity(x, step, callback)
            if watch is not None:
                watch(step + 1, x - sigma * velocity)
            x = x + velocity * (following - sigma)
        return x

    def velocity(self, x: Tensor, step: int, callback: Callback = no_callback) -> Tensor:
        """Return the guided velocity (C, h, w) of a latent at the start of a step."""
        rows = self.network(x, self.moments.at(step), self.memories, callback)
        return (self.weights * rows).sum(dim=0)
