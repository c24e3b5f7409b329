"""At which times of the flow its velocity is evaluated: as published, shifted, or calibrated.

A calibrated schedule was found for one checkpoint (`ming calibrate`, `schedule_file.py`). Times are
told as progress: 0 is noise, 1 is data; a grid of N evaluations has N + 1 figures.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ...errors import PromptError
from ..sampling import CALIBRATED, ImageSampling


@dataclass(frozen=True, slots=True)
class Calibrated:
    """A grid, and how far its latents are from those of the published one, of other prompts.

    error  mean over tokens of the distance over the length
    """

    grid: tuple[float, ...]
    error: float


@dataclass(frozen=True, slots=True)
class Schedules:
    """The calibrated schedules of a checkpoint by their number of evaluations.

    published  the evaluations that they stand in for
    rounding   the error that bf16 makes with those, for comparison; None where it was not measured
    """

    identity: str
    published: int
    rounding: float | None
    by_steps: Mapping[int, Calibrated]

    def check(self) -> None:
        """Raise ValueError unless every grid rises from noise to data in its number of steps."""
        for steps, found in self.by_steps.items():
            rises = all(a < b for a, b in zip(found.grid, found.grid[1:], strict=False))
            if len(found.grid) != steps + 1 or (found.grid[0], found.grid[-1]) != (0, 1):
                raise ValueError(f"a grid of {steps} is {found.grid}")
            if not rises:
                raise ValueError(f"the grid of {steps} does not rise")

    def told(self, steps: int) -> str:
        """Say what a calibrated schedule costs."""
        rounding = "" if self.rounding is None else f", rounding to bf16 is {self.rounding:.2g}"
        error = self.by_steps[steps].error
        return f"calibrated {steps} for {self.published}: error {error:.2g}{rounding}"


def progress_grid(steps: int, time_shift: float | None) -> Tensor:
    """Return how far from noise (0) to data (1) each step starts and ends: (steps + 1,)."""
    grid = torch.linspace(0, 1, steps + 1)
    return grid if time_shift is None else grid / (grid + time_shift - time_shift * grid)


def grid_of(sampling: ImageSampling, schedules: Schedules | None) -> Tensor:
    """Return the grid that settings ask for; raises PromptError where it was not calibrated."""
    if sampling.schedule != CALIBRATED:
        return progress_grid(sampling.steps, sampling.time_shift)
    if schedules is None:
        raise PromptError(
            "This checkpoint has no calibrated schedules. Run `ming calibrate` on its folder and "
            "load it again, or choose the uniform schedule."
        )
    found = schedules.by_steps.get(sampling.steps)
    if found is None:
        known = ", ".join(str(steps) for steps in sorted(schedules.by_steps))
        raise PromptError(
            f"This checkpoint's schedules are calibrated for {known} steps, not for "
            f"{sampling.steps}. Choose one of these, or the uniform schedule."
        )
    return torch.tensor(found.grid)
