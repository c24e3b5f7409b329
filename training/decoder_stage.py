"""Last stage: the pixel decoder alone learns to paint small things as sharply as large ones.

Encoder and semantic decoder stay as they are, so what the language model has learnt of latents and
features stays true. In the first stage a small thing is a few hundred of thousands of pixels.

Before the joint stage of a model that goes on, the same lessons can refine the whole tokenizer,
held near what it was: where the drawn world has changed, little has to be learnt anew.
"""

from __future__ import annotations

import copy
import random
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ming_core.univision.model import Components
from ming_shapes.evaluation.judge import look
from ming_shapes.evaluation.measures import mean
from ming_shapes.evaluation.verdict import judge_scene
from ming_shapes.prompts import draw_order, nested
from ming_shapes.render import pack, render, to_bytes
from ming_shapes.scene import ALL_COLOURS, SIZES, Scene, SceneMaker, SceneStyle

from .muon import Optimiser, Rates
from .rich_pictures import rich_scenes, tints
from .sheets import save_pictures
from .stage import Measures, Settings, autocast
from .tokenizer_stage import CLEAN, edge_error

NOISE = 0.15  # of a latent channel's spread, at most; more of it hides the tips of a star
CROWDED = 0.25  # share of pictures that are crowded; the others are scenes as they are asked for
NESTED = 0.2  # share of the others in which one thing lies inside another
TASTE = SceneStyle(outlined=0.15, graded=0.1, colours=ALL_COLOURS)
EACH_THING = 1.0  # what a thing counts, however small, where the picture as a whole counts 1
LEAST_AREA = 150  # pixels; the rest that is seen of a hidden thing is smaller, and no thing
EDGES, SQUARES = 0.5, 2.0
LEAST_SPREAD = 1e-3  # of a channel, so that one that says nothing weighs nothing
KEPT = 0.1  # of how far latents and features are from what they were
MEASURED = 126  # scenes of one thing, in colours and shapes of every kind
NESTS = 36  # scenes of one thing inside another


class DecoderStage:
    """Trains the pixel decoder on features of noisy latents."""

    name = "decoder"
    trained: tuple[str, ...] = ("pixel_decoder",)
    hold = 0.0

    def __init__(self, components: Components, settings: Settings, steps: int, batch: int) -> None:
        self.components, self.settings, self.steps, self.batch = components, settings, steps, batch
        named: list[tuple[str, nn.Parameter]] = []
        for name, module in components.named().items():
            module.requires_grad_(name in self.trained)
            named += module.named_parameters(prefix=name) if name in self.trained else []
        self.optimiser = Optimiser(named, Rates(muon=0.01, adam=1e-3))

    def modules(self) -> dict[str, nn.Module]:
        """Return all components."""
        return self.components.named()

    def losses(self, step: int) -> dict[str, Tensor]:
        """Return the loss of a step and its parts; the same step always sees the same pictures."""
        seed = self.settings.seed * 1_000_033 + self.settings.draw_of(step)
        generator = torch.Generator().manual_seed(seed)
        crowded = round(self.batch * CROWDED)
        maker = SceneMaker(random.Random(seed), TASTE)
        plain = pack([_lesson(maker) for _ in range(self.batch - crowded)])
        named = torch.cat((plain.colour, plain.background[:, None]), dim=1)
        plain = replace(plain, tint=tints(named, generator))
        drawn = [
            render(s.to(self.settings.device)) for s in (rich_scenes(crowded, generator), plain)
        ]
        pixels = torch.cat([d.pixels for d in drawn])
        weight = torch.cat([_weight(d.coverage) for d in drawn])
        painted, kept = self._painted(pixels, generator)
        difference = painted - pixels
        far, squares = (
            (weight * d).mean() / weight.mean() for d in (difference.abs(), difference**2)
        )
        edges = edge_error(difference, weight)
        loss = far + EDGES * edges + SQUARES * squares + KEPT * kept
        return {"loss": loss, "far": far, "edges": edges, "squares": squares, "kept": kept}

    def _painted(self, pixels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Encode pictures, add noise to most latents, and paint them again; returns also how far
        latents and features are from what they were."""
        encoder, semantic = self.components.low_level_encoder, self.components.semantic_decoder
        with autocast(self.settings.device):
            raw = encoder(pixels)[:, :-1].float()
            strength = torch.rand(len(raw), 1, 1, generator=generator) * NOISE
            strength *= torch.rand(len(raw), 1, 1, generator=generator) > CLEAN
            noise = torch.randn(raw.shape, generator=generator) * strength
            noise = noise.to(raw.device) * raw.detach().std(dim=(0, 1))
            features = semantic(raw + noise)
            painted = self.components.pixel_decoder(features, encoder.grid(pixels)).float()
            return painted, self._change(pixels, noise, raw, features.float())

    def _change(self, pixels: Tensor, noise: Tensor, raw: Tensor, features: Tensor) -> Tensor:  # noqa: ARG002
        """What is frozen does not change."""
        return torch.zeros((), device=raw.device)

    @torch.no_grad()
    def measure(self, folder: Path) -> Measures:
        """Measure how well unseen scenes of one thing are painted again (dB), the share of things
        of every size whose shape the judge still recognises, and that of scenes of one thing inside
        another which it still calls right; save a sheet."""
        maker = SceneMaker(random.Random(987654), SceneStyle(combinations="all"))
        scenes = [maker.scene(1) for _ in range(MEASURED)]
        pixels, painted = self._again(scenes)
        error = ((painted - pixels) / 2).pow(2).flatten(1).mean(1)
        result: Measures = {"psnr": float((-10 * error.log10()).mean())}
        pictures = to_bytes(painted).numpy()
        is_right = [
            [thing.shape for thing in look(picture).things] == [scene.things[0].shape]
            for picture, scene in zip(pictures, scenes, strict=True)
        ]
        for size in SIZES:
            chosen = [r for r, s in zip(is_right, scenes, strict=True) if s.things[0].size == size]
            result[size] = mean(chosen)
        nests = [draw_order(nested(maker)) for _ in range(NESTS)]
        nests_before, nests_after = self._again(nests)
        result["inside"] = mean(list(map(judge_scene, to_bytes(nests_after).numpy(), nests)))
        rows = [pixels[:12], painted[:12], nests_before[:12], nests_after[:12]]
        save_pictures(folder / "painted.png", rows)
        return result

    def _again(self, scenes: list[Scene]) -> tuple[Tensor, Tensor]:
        """Return scenes rendered, and as they are painted again (B, 3, S, S)."""
        pixels = render(pack(scenes).to(self.settings.device)).pixels
        encoder, semantic = self.components.low_level_encoder, self.components.semantic_decoder
        features = semantic(encoder(pixels)[:, :-1])
        return pixels, self.components.pixel_decoder(features, encoder.grid(pixels)).clamp(-1, 1)


class RefineStage(DecoderStage):
    """Trains the whole tokenizer on, near what it was when the run began."""

    name = "refine"
    trained = ("low_level_encoder", "semantic_decoder", "pixel_decoder")

    def __init__(self, components: Components, settings: Settings, steps: int, batch: int) -> None:
        super().__init__(components, settings, steps, batch)
        parts = (components.low_level_encoder, components.semantic_decoder)
        self.before = nn.ModuleList(copy.deepcopy(parts)).requires_grad_(False)  # noqa: FBT003

    def modules(self) -> dict[str, nn.Module]:
        """Return all components, and those of before."""
        return {**super().modules(), "before": self.before}

    def _change(self, pixels: Tensor, noise: Tensor, raw: Tensor, features: Tensor) -> Tensor:
        """Mean squared change of latents and features, each in units of its spread."""
        encoder, semantic = self.before
        with torch.no_grad():
            old = encoder(pixels)[:, :-1].float()
            old_features = semantic(old + noise).float()
        change = [
            ((now - was) / was.std(dim=(0, 1)).clamp(min=LEAST_SPREAD)).pow(2).mean()
            for now, was in ((raw, old), (features, old_features))
        ]
        return change[0] + change[1]


def _lesson(maker: SceneMaker) -> Scene:
    """Return a scene as it is asked for: one to three things, or one inside another."""
    if maker.rng.random() < NESTED:
        return draw_order(nested(maker))
    return maker.scene(maker.rng.randint(1, 3))


def _weight(coverage: Tensor) -> Tensor:
    """Weight every pixel (B, 1, S, S): 1, and more in and around things, each thing as much."""
    around = F.max_pool2d(coverage, 5, 1, 2)
    area = around.sum(dim=(2, 3), keepdim=True).clamp(min=LEAST_AREA)
    pixels = coverage.shape[-1] ** 2
    return 1 + EACH_THING * pixels * (around / area).sum(1, keepdim=True)
