"""What the flow head was told for every visual token of some pictures, to integrate its flow again.

The conditions are those of one drawing with the published settings, so that an error of one token
does not enter the next one's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .drawing import draw_noise
from .flow.head import VelocityNetwork
from .flow.sampler import LatentSampler
from .flow.schedule import Schedules
from .guidance import guidance_weights
from .model import MingModel
from .sampling import ImageSampling

MODULATION_BYTES = 512 << 20  # of all steps of the tokens integrated at once


@dataclass(frozen=True, slots=True)
class Conditions:
    """z (branches, tokens, W), noise (tokens, C), and the velocity that is integrated with them."""

    velocity: VelocityNetwork
    z: Tensor
    noise: Tensor

    @classmethod
    @torch.inference_mode()
    def collect(
        cls, model: MingModel, seeds: Sequence[int], draw: Callable[[], object]
    ) -> Conditions:
        """Keep the condition of every token of the pictures of some seeds, while they are drawn.

        draw  draws them with the published settings, and replays no token as a graph, whose
              layers are not called
        """
        kept: list[Tensor] = []

        def keep(_head: torch.nn.Module, _inputs: object, z: Tensor) -> None:
            kept.append(z.clone())

        hook = model.parts.language_model.condition_head.register_forward_hook(keep)
        try:
            draw()
        finally:
            hook.remove()
        config = model.config
        noise = draw_noise(seeds, config.language.num_image_tokens, config.mingtok.latent_size)
        noise = noise.flatten(0, 1).to(model.device)
        return cls(model.parts.language_model.velocity, torch.cat(kept, dim=1), noise)

    @classmethod
    def joined(cls, each: Sequence[Conditions]) -> Conditions:
        """Put the conditions of several drawings one after another."""
        z = torch.cat([one.z for one in each], dim=1)
        return replace(each[0], z=z, noise=torch.cat([one.noise for one in each]))

    def some(self, tokens: int) -> Conditions:
        """Return so many tokens of them, spread over all."""
        index = torch.linspace(0, len(self.noise) - 1, min(tokens, len(self.noise))).long()
        return replace(self, z=self.z[:, index], noise=self.noise[index])

    @torch.inference_mode()
    def latents(self, sampling: ImageSampling, schedules: Schedules | None = None) -> Tensor:
        """Integrate every token's flow: latents (tokens, C)."""
        velocity, branches = self.velocity, len(self.z)
        weights = guidance_weights(sampling, has_image_branch=branches == 3)
        sample = LatentSampler(velocity, sampling, list(weights.values()), self.z, schedules)
        per_token = sampling.steps * branches * sum(velocity.block_sizes) * self.z.element_size()
        size = max(1, MODULATION_BYTES // per_token)
        parts = zip(self.z.split(size, dim=1), self.noise.split(size), strict=True)
        return torch.cat([sample(z, noise) for z, noise in parts])
