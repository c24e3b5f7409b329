"""First stage: MingTok learns to take pictures apart and to put them together, and what is in them.

Pixels -> latents -> (noise) -> semantic features -> pixels, with linear probes on the features.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ming_core.univision.model import Components
from ming_shapes.render import render

from .linear_start import start_linear
from .muon import Optimiser, Rates
from .probes import Probes, patch_truth, probe_accuracy, probe_loss
from .rich_pictures import Drawn, PicturePool, rich_scenes
from .sheets import save_pictures
from .stage import Measures, Settings, autocast

NOISE = (0.05, 0.4)  # of a latent channel's spread, at most: first half of the steps, and the end
CLEAN = 0.25  # share of pictures without noise
POOL, LARGE_POOL = 8000, 800  # pictures drawn beforehand, of the usual and of twice the size
MEASURED = 128  # pictures never trained on
LARGE_EVERY = 10  # every so many steps, a small batch of pictures twice the size
EDGES, REGULARITY, PROBES = 0.5, 0.02, 0.02


class TokenizerStage:
    """Trains encoder, semantic decoder and pixel decoder together."""

    name = "tokenizer"
    hold = 0.4

    def __init__(self, components: Components, settings: Settings, steps: int, batch: int) -> None:
        self.components, self.settings, self.steps, self.batch = components, settings, steps, batch
        width = components.semantic_decoder.in_proj.out_features
        self.pool_size = POOL
        self.pools: list[PicturePool] = []
        torch.manual_seed(settings.seed)
        self.probes = Probes(width).to(settings.device)
        self.optimiser = Optimiser(self.named_parameters(), Rates(muon=0.01, adam=1e-3))

    def modules(self) -> dict[str, nn.Module]:
        """Return what this stage trains, by name."""
        named = self.components.named()
        del named["language_model"]
        return {**named, "probes": self.probes}

    def named_parameters(self) -> list[tuple[str, nn.Parameter]]:
        """Return every trained parameter with its name."""
        return [
            (f"{name}.{path}", parameter)
            for name, module in self.modules().items()
            for path, parameter in module.named_parameters()
        ]

    def losses(self, step: int) -> dict[str, Tensor]:
        """Return the loss of a step and its parts; the same step always sees the same pictures."""
        if not self.pools:
            self.pools = [self._pool(LARGE_POOL, 2), self._pool(self.pool_size, 1)]
        if step == 0:
            start_linear(self.components, self.pools[1], torch.Generator().manual_seed(0))
        is_small = step % LARGE_EVERY != LARGE_EVERY - 1
        pool, count = self.pools[is_small], self.batch if is_small else max(1, self.batch // 4)
        generator = torch.Generator().manual_seed(
            self.settings.seed * 1_000_003 + self.settings.draw_of(step)
        )
        chosen = torch.randint(len(pool), (count,), generator=generator)
        strength = torch.rand(count, 1, 1, generator=generator) * self._noise_at(step)
        strength *= torch.rand(count, 1, 1, generator=generator) > CLEAN
        noise = torch.randn(count, pool.side**2, 32, generator=generator) * strength
        return self._losses(pool.take(chosen), noise.to(self.settings.device))

    def _noise_at(self, step: int) -> float:
        """Little noise until the pictures are fine, since noise hides details; then more."""
        grown = max(0.0, 2 * step / self.steps - 1)
        return NOISE[0] + (NOISE[1] - NOISE[0]) * grown

    def _pool(self, count: int, scale: int) -> PicturePool:
        side = self.components.low_level_encoder.trained_grid[0] * scale
        return PicturePool(count, side, self.settings)

    def _losses(self, drawn: Drawn, noise: Tensor) -> dict[str, Tensor]:
        pixels = drawn.pixels
        encoder, semantic = self.components.low_level_encoder, self.components.semantic_decoder
        grid = encoder.grid(pixels)
        with autocast(self.settings.device):
            raw = encoder(pixels)[:, :-1].float()
            spread = raw.detach().std(dim=(0, 1))
            features = semantic(raw + noise * spread)
            painted = self.components.pixel_decoder(features, grid).float()
            said = self.probes(features)
        weight = 1 + 2 * F.max_pool2d(drawn.cover, 5, 1, 2)
        far = (weight * (painted - pixels).abs()).mean() / weight.mean()
        edges = edge_error(painted - pixels)
        mean, var = raw.mean(dim=(0, 1)), raw.var(dim=(0, 1))
        regularity = (mean**2).mean() + ((var - 1) ** 2).mean()
        probes = probe_loss(said, drawn.truth)
        loss = far + EDGES * edges + REGULARITY * regularity + PROBES * probes
        return {"loss": loss, "far": far, "edges": edges, "regular": regularity, "probes": probes}

    @torch.no_grad()
    def measure(self, folder: Path) -> Measures:
        """Measure reconstruction (dB) and probes on pictures never trained on; save a sheet."""
        scenes = rich_scenes(MEASURED, torch.Generator().manual_seed(987654)).to(
            self.settings.device
        )
        rendering = render(scenes)
        encoder, semantic = self.components.low_level_encoder, self.components.semantic_decoder
        raw = encoder(rendering.pixels)[:, :-1]
        self.normalise(raw)
        result: Measures = {"latent_mean": encoder.mean, "latent_scale": encoder.scale}
        grid = encoder.grid(rendering.pixels)
        for noise in (0.0, 0.1, 0.3):
            features = semantic(raw + noise * raw.std(dim=(0, 1)) * torch.randn_like(raw))
            painted = self.components.pixel_decoder(features, grid).clamp(-1, 1)
            error = ((painted - rendering.pixels) / 2).pow(2).flatten(1).mean(1)
            result[f"psnr_at_{noise}"] = float((-10 * error.log10()).mean())
            if noise == 0.0:
                truth = patch_truth(scenes, rendering, grid[0])
                result |= probe_accuracy(self.probes(features), truth)
                save_pictures(folder / "reconstructed.png", [rendering.pixels[:12], painted[:12]])
        return result

    def normalise(self, raw: Tensor) -> None:
        """Measure the latents' mean and spread, by which they are normalised from now on."""
        mean, scale = float(raw.mean()), float(raw.std())
        for stage in (self.components.low_level_encoder, self.components.semantic_decoder):
            stage.mean, stage.scale = mean, scale


def edge_error(difference: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean difference between neighbouring pixels of what two pictures differ in.

    With `weight` (B, 1, S, S) it is the weighted mean.
    """
    if weight is None:
        return difference.diff(dim=-1).abs().mean() + difference.diff(dim=-2).abs().mean()
    across = (weight[..., 1:] * difference.diff(dim=-1).abs()).mean()
    down = (weight[..., 1:, :] * difference.diff(dim=-2).abs()).mean()
    return (across + down) / weight.mean()
