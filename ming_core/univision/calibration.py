"""Finds, for a checkpoint, the times at which few evaluations come nearest to the published many.

Every token's condition comes from drawings with the published settings, so that an error of one
token does not enter the next one's. Grids are searched on some prompts, and judged on others.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .conditions import Conditions
from .flow.schedule import Calibrated, Schedules, progress_grid
from .model import MingModel
from .sampling import CALIBRATED, ImageSampling

STEPS = range(4, 13)
SHIFTS = (0.25, 0.35, 0.5, 0.7, 1.0, 1.4)  # of the grids that the search starts from
FIRST_MOVE, LAST_MOVE = 0.4, 0.05  # of a point, as a share of the way to its neighbour
TRAINED = (0.75, 1.33)  # of the noise that the first velocity of a learnt flow takes away: all

# Said in drawings; the last third is left out of the search.
PROMPTS = (
    "A red circle on a white background.",
    "A blue square to the left of a green triangle.",
    "Three yellow stars.",
    "A small purple heart below a large orange circle.",
    "A green hexagon on a black background.",
    "Two pink squares.",
)

Grid = tuple[float, ...]


@dataclass(frozen=True)
class Judge:
    """Conditions, and the latents that the published settings draw from them."""

    conditions: Conditions
    published: Tensor

    @classmethod
    def of(cls, conditions: Conditions, steps: int) -> Judge:
        """Draw the latents of the published number of steps."""
        return cls(conditions, conditions.latents(ImageSampling(steps=steps)))

    def error(self, grid: Grid) -> float:
        """Mean over tokens of the distance of a grid's latents over the length of the published."""
        steps = len(grid) - 1
        one = Schedules("", steps, None, {steps: Calibrated(grid, 0.0)})
        how = ImageSampling(steps=steps, schedule=CALIBRATED)
        return self.distance(self.conditions.latents(how, one))

    def distance(self, latents: Tensor) -> float:
        """Compare latents with the published ones."""
        apart = (latents - self.published).norm(dim=-1) / self.published.norm(dim=-1)
        return float(apart.mean())


def looks_trained(conditions: Conditions) -> bool:
    """Whether the flow is a learnt one, by its very first velocity.

    That of pure noise is the mean of what the condition may stand for, less the noise, all of it,
    whatever the guidance; a random flow knows nothing of that.
    """
    noise = conditions.noise
    first = conditions.latents(ImageSampling(steps=1)) - noise
    taken = -float((first * noise).sum() / noise.square().sum())
    return TRAINED[0] < taken < TRAINED[1]


def rounding_error(judge: Judge, steps: int) -> float | None:
    """Return what computing the flow in bf16 does to the latents; None unless it is fp32 now."""
    told = judge.conditions
    if {p.dtype for p in told.velocity.parameters()} != {torch.float32}:
        return None
    rounded = copy.deepcopy(told.velocity).to(torch.bfloat16)
    own = replace(told, velocity=rounded, z=told.z.to(torch.bfloat16))
    return judge.distance(own.latents(ImageSampling(steps=steps)))


def best_grid(judge: Judge, steps: int, start: Grid | None = None) -> Grid:
    """Search the grid of so many steps with the least error.

    It starts from the best shifted grid, or from `start`, and moves one point after another as
    long as that helps, by smaller and smaller shares of the way to its neighbour.
    """
    inner = [progress_grid(steps, shift).tolist()[1:-1] for shift in SHIFTS]
    shifted = [(0.0, *points, 1.0) for points in inner]
    starts = [*shifted, *([start] if start is not None else [])]
    error, grid = min((judge.error(one), one) for one in starts)
    share = FIRST_MOVE
    while share >= LAST_MOVE:
        better_error, better = _moved(judge, grid, error, share)
        if better_error > error * 0.999:
            share /= 2
        error, grid = better_error, better
    return grid


def _moved(judge: Judge, grid: Grid, error: float, share: float) -> tuple[float, Grid]:
    """Move every inner point to the better of both sides, where that is better than to stay."""
    for index in range(1, len(grid) - 1):
        for side in (-1, 1):
            way = (grid[index + side] - grid[index]) * share
            tried = (*grid[:index], grid[index] + way, *grid[index + 1 :])
            found = judge.error(tried)
            if found < error:
                error, grid = found, tried
                break
    return error, grid


def fewer(grid: Grid) -> Grid:
    """Return a grid of one step less that goes the same way."""
    size = len(grid)
    points = torch.linspace(0, size - 1, size - 1).tolist()
    inner = []
    for point in points[1:-1]:
        low = int(point)
        inner.append(grid[low] + (grid[low + 1] - grid[low]) * (point - low))
    return (0.0, *inner, 1.0)


def calibrate(
    model: MingModel,
    found: Judge,
    held_out: Judge,
    steps: Sequence[int],
    told: Callable[[int, Calibrated, float], None],
) -> Schedules:
    """Find a grid for every number of steps; `told` hears of each, and of its searched error."""
    by_steps: dict[int, Calibrated] = {}
    start: Grid | None = None
    for count in _downwards(steps):
        grid = best_grid(found, count, start)
        by_steps[count] = Calibrated(grid, held_out.error(grid))
        told(count, by_steps[count], found.error(grid))
        start = fewer(grid)
    published = model.config.flow.steps
    rounding = rounding_error(held_out, published)
    return Schedules(model.identity, published, rounding, dict(sorted(by_steps.items())))


def _downwards(steps: Sequence[int]) -> Iterator[int]:
    yield from sorted(set(steps), reverse=True)
