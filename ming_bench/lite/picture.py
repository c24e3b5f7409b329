"""One picture, stage by stage, in turn with the published way of drawing it.

The published code draws a picture for each scale of the queries and throws all but the last away.
At every step it looks at both conditions in full: it projects all of their tokens anew, those of
the empty one too, which are all alike. What the engine shares besides stays shared here.
"""

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ming_core.lite_uni.condition import Condition
from ming_core.lite_uni.generation import encode, generate
from ming_core.lite_uni.model import LiteUniModel
from ming_core.lite_uni.sampler import DiffusionSampling, LatentSampler, seeded_noise
from ming_core.stages import Stage

from ..clock import Clock

PROMPT = "A red fox in the snow, at night."
# What a stage is called here -> the component that only it needs.
STAGES = {
    "reading": "language_model",
    "connecting": "connector",
    "drawing": "diffusion_transformer",
    "painting": "autoencoder",
}
Seconds = dict[str, float]


@dataclass(frozen=True, slots=True)
class Pair:
    """Seconds of one picture by stage, and the same in the published way."""

    ours: Seconds
    theirs: Seconds

    @property
    def ratio(self) -> float:
        """How many times as fast ours is."""
        return sum(self.theirs.values()) / sum(self.ours.values())


class Stopwatch:
    """Told of every stage as it begins; sums their times up."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._marks: list[tuple[str, object]] = []

    def __call__(self, stage: Stage) -> None:
        """Note that a stage begins."""
        self._marks.append((stage.first[0], self._clock.now()))

    def seconds(self) -> Seconds:
        """Return the time of every stage, the last of which ends now."""
        moments = [*self._marks, ("", self._clock.now())]
        self._clock.settle()
        found = dict.fromkeys(STAGES, 0.0)
        components = {component: stage for stage, component in STAGES.items()}
        for (component, start), (_, end) in zip(moments, moments[1:], strict=False):
            found[components[component]] += self._clock.seconds(start, end)  # type: ignore[arg-type]
        return found


@torch.inference_mode()
def pairs(
    model: LiteUniModel, clock: Clock, sampling: DiffusionSampling, repeats: int
) -> Iterator[Pair]:
    """Yield the times of pictures drawn in turn in both ways, after one of each to warm up."""
    brief = replace(sampling, steps=1)
    timed(model, clock, brief, is_published=False)
    timed(model, clock, brief, is_published=True)
    for _ in range(repeats):
        ours = timed(model, clock, sampling, is_published=False)
        yield Pair(ours, timed(model, clock, sampling, is_published=True))


def timed(
    model: LiteUniModel, clock: Clock, sampling: DiffusionSampling, *, is_published: bool
) -> Seconds:
    """Return the seconds of one picture by stage."""
    watch = Stopwatch(clock)
    watched = replace(model, enter=watch)
    if is_published:
        published_picture(watched, sampling)
    else:
        generate(watched, PROMPT, seeds=[0], sampling=sampling)
    return watch.seconds()


@torch.inference_mode()
def published_picture(model: LiteUniModel, sampling: DiffusionSampling) -> Tensor:
    """Draw a picture for every scale; return the raw pixels (1, 3, H, W) of the last."""
    condition = encode(model, PROMPT, previews=True)
    side = model.config.diffusion.sample_size
    noise = seeded_noise(0, (model.config.diffusion.channels, side, side))
    pixels = noise
    for scale in condition.tokens:
        model.enter(Stage(("diffusion_transformer",), 0))
        latent = PublishedSampler(model, condition, scale, sampling)(noise)
        model.enter(Stage(("autoencoder",), 0))
        pixels = model.parts.autoencoder(latent[None])
    return pixels


class PublishedSampler(LatentSampler):
    """Prepares nothing beforehand: times and conditions are embedded at every step."""

    def __init__(
        self, model: LiteUniModel, condition: Condition, scale: int, sampling: DiffusionSampling
    ) -> None:
        placed = condition.tokens[scale].to(model.device, model.dtype)
        nothing = condition.unconditional.to(model.device, model.dtype)
        network = model.parts.diffusion_transformer
        super().__init__(network, model.config.schedule, sampling, placed, nothing)
        self._rows = [placed, nothing.expand_as(placed)][: len(self.memories)]
        sigmas = model.config.schedule.shifted(sampling.shift).sigmas(sampling.steps)
        self._times = model.config.schedule.timesteps(sigmas).to(model.device)

    def velocity(self, x: Tensor, step: int, *_: object) -> Tensor:
        """Return the guided velocity of a latent at the start of a step."""
        moment = self.network.moments(self._times[step : step + 1], self._rows[0].dtype).at(0)
        memories = [self.network.read(row) for row in self._rows]
        return (self.weights * self.network(x, moment, memories)).sum(dim=0)


def report(found: Sequence[Pair]) -> Iterator[str]:
    """Yield a table: seconds of every stage in both ways, and how many times as fast ours is."""
    yield f"{'seconds':12} {'ours':>8} {'published':>10}"
    for stage in STAGES:
        ours, theirs = (
            statistics.median(one[stage] for one in times)
            for times in ([pair.ours for pair in found], [pair.theirs for pair in found])
        )
        yield f"{stage:12} {ours:8.3f} {theirs:10.3f}"
    ours, theirs = (
        statistics.median(sum(one.values()) for one in times)
        for times in ([pair.ours for pair in found], [pair.theirs for pair in found])
    )
    yield f"{'a picture':12} {ours:8.3f} {theirs:10.3f}"
    each = ", ".join(f"{pair.ratio:.2f}" for pair in found)
    yield f"times as fast: {statistics.median(p.ratio for p in found):.2f}   (of {each})"
