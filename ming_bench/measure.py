"""One case measured whole: times in turn with the published algorithm, counts, traffic, errors."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, product
from typing import Any

import torch
from torch import Tensor

from ming_core import ImageSampling, MingModel

from .case import RECORDING, Case, fused_kernels, graph_failures, is_plain, published_sampling
from .clock import (
    Seconds,
    clock_of,
    drawn,
    milliseconds,
    peak_memory,
    reset_peak_memory,
    timed,
    unmarked,
)
from .counters import count_token, routed, watched_routers
from .traffic import Bandwidth, bytes_per_token

ERROR_TOKENS = 4  # drawn to compare with the fp32 engine, each after the same tokens


@dataclass(frozen=True)
class Plan:
    """What is drawn in one case."""

    rows: int = 3
    pictures: int = 1
    context: int = 64
    solver: str = "euler"
    steps: int | None = None  # None: the checkpoint's own
    routing: str = "model"
    graph: bool = False

    def sampling(self, model: MingModel) -> ImageSampling:
        """Return the settings for a model."""
        how = published_sampling(model, self.rows)
        return replace(how, solver=self.solver, steps=self.steps or how.steps)

    def read(self, model: MingModel) -> Case:
        """Read the prefix."""
        case = Case.read(model, self.rows, self.context, self.sampling(model))
        return case.side_by_side(self.pictures)


def plans(base: Plan, choices: dict[str, Sequence[Any]]) -> list[Plan]:
    """Return a plan for every combination of the choices of some fields."""
    return [
        replace(base, **dict(zip(choices, chosen, strict=True)))
        for chosen in product(*choices.values())
    ]


@dataclass(frozen=True)
class Bench:
    """Measures cases of one model: `repeats` drawings of `tokens` each."""

    model: MingModel
    bandwidth: Bandwidth
    tokens: int
    repeats: int
    baseline: bool = True

    @torch.inference_mode()
    def measure(self, plan: Plan, exact: Tensor | None = None) -> dict[str, Any]:
        """Return all figures of a case.

        exact  the latents (ERROR_TOKENS, C) that the fp32 engine draws of the same weights
        """
        reset_peak_memory(self.model.device)
        case = plan.read(self.model)
        with graph_failures() as failures:
            case.draw(RECORDING + 1, unmarked, graph=plan.graph)
        found: dict[str, Any] = {"peak_memory_gb": peak_memory(self.model.device)}
        found["errors"] = self._errors(case, exact)
        step = "replayed graph" if plan.graph and not failures else "eager"
        found["kernels"] = {"step": step, "fused": fused_kernels(self.model)}
        with routed(self.model, plan.routing):
            found |= self._times(case, plan)
            with watched_routers(self.model) as chosen:
                case.draw(2, unmarked)
        distinct = statistics.mean(experts.unique().numel() for experts in chosen)
        found["routing"] = {"mode": plan.routing, "distinct_experts": distinct}
        found |= count_token(partial(case.draw, 2), self.model.device)
        found |= self._floor(case, distinct, found["ms_per_token"]["median"])
        return found | self._whole_image(plan, found)

    def _times(self, case: Case, plan: Plan) -> dict[str, Any]:
        """Time the engine and the published algorithm in turn, drawing by drawing."""
        # A replayed graph leaves no mark at its first token's start.
        skipped = RECORDING - 1 if plan.graph else 0
        tokens = self.tokens + (RECORDING if plan.graph else 0)
        draw, clock = partial(case.draw, tokens, graph=plan.graph), clock_of(self.model.device)
        has_baseline = self.baseline and is_plain(self.model)
        if has_baseline:
            case.draw_baseline(2, unmarked)  # to warm up
        ours: list[list[Seconds]] = []
        theirs: list[list[Seconds]] = []
        for _ in range(self.repeats):
            ours.append(drawn(clock, draw))
            if has_baseline:
                theirs.append(drawn(clock, partial(case.draw_baseline, self.tokens)))
        steady = [line[skipped:] for line in ours]
        found: dict[str, Any] = {"ms_per_token": milliseconds(list(chain(*steady)))}
        if plan.graph:
            starts = [1e3 * sum(sum(token.values()) for token in line[:skipped]) for line in ours]
            found["recording_ms"] = statistics.median(starts)
        return found | {"baseline": self._beside(case, steady, theirs) if theirs else None}

    def _beside(
        self, case: Case, ours: list[list[Seconds]], theirs: list[list[Seconds]]
    ) -> dict[str, Any]:
        """Return the baseline's figures, and the median ratio to ours of drawings done in turn."""
        ratios = [
            milliseconds(slow)["median"] / milliseconds(fast)["median"]
            for slow, fast in zip(theirs, ours, strict=True)
        ]
        return {
            "ms_per_token": milliseconds(list(chain(*theirs))),
            **count_token(partial(case.draw_baseline, 2), self.model.device),
            # It draws one picture after another.
            "over_ours": case.pictures * statistics.median(ratios),
        }

    def _errors(self, case: Case, exact: Tensor | None) -> dict[str, float | None]:
        """Compare latents, relative to the largest: with the fp32 engine's, and the baseline's."""
        alone = case.side_by_side(1)
        found: dict[str, float | None] = {"fp32": None, "baseline": None}
        if exact is not None:
            ours = alone.draw(len(exact), unmarked, replay=exact)[0]
            found["fp32"] = relative_error(ours, exact)
        is_published = case.sampling == published_sampling(self.model, len(case.seen))
        if self.baseline and is_plain(self.model) and is_published:
            theirs = alone.draw_baseline(1, unmarked)
            found["baseline"] = relative_error(alone.draw(1, unmarked)[0], theirs)
        return found

    def _floor(self, case: Case, distinct: float, taken: float) -> dict[str, Any]:
        """Return the bytes of a token, the time reading them takes, and how far above it we are."""
        rows, context = len(case.seen) * case.pictures, case.cache.length + self.tokens // 2
        counted = bytes_per_token(self.model, rows * context, case.sampling.steps, distinct)
        floor = 1e3 * counted.total() / self.bandwidth.read
        parts = {kind: size / 1e9 for kind, size in counted.items()}
        return {
            "gb_per_token": {"total": counted.total() / 1e9, **parts},
            "read_gb_per_s": self.bandwidth.read / 1e9,
            "copy_gb_per_s": self.bandwidth.copy / 1e9,
            "floor_ms": floor,
            "over_floor": taken / floor,
        }

    def _whole_image(self, plan: Plan, found: dict[str, Any]) -> dict[str, float]:
        """Time what comes before and after the tokens, and add a picture's share up."""
        language, clock = self.model.config.language, clock_of(self.model.device)
        width = self.model.config.mingtok.semantic.width
        features = torch.zeros(1, language.num_image_tokens, width, device=self.model.device)
        decoder, grid = self.model.parts.pixel_decoder, language.image_grid
        prefill = statistics.median(timed(clock, lambda: plan.read(self.model)))
        pixels = statistics.median(timed(clock, lambda: decoder(features, grid)))
        drawing = language.num_image_tokens * found["ms_per_token"]["median"]
        seconds = prefill + (drawing + found.get("recording_ms", 0.0)) / 1e3
        return {
            "prefill_seconds": prefill,
            "pixel_decode_seconds": pixels,
            "seconds_per_image": seconds / plan.pictures + pixels,
        }


@torch.inference_mode()
def exact_latents(model: MingModel, plan: Plan) -> Tensor:
    """Draw what other precisions are held against: latents (ERROR_TOKENS, C)."""
    return replace(plan, pictures=1).read(model).draw(ERROR_TOKENS, unmarked)[0].cpu()


def relative_error(ours: Tensor, theirs: Tensor) -> float:
    """Return the largest difference over the largest magnitude."""
    theirs = theirs.to(ours)
    return float((ours - theirs).abs().max() / theirs.abs().max())
