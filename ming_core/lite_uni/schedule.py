"""The noise schedule: the sigmas a picture passes on its way from noise (1) to nothing (0).

LITE_UNI section 8 "Schedule" and section 19, items 4 and 16. Whatever class the scheduler file
names, its keys are read as those of a flow-matching Euler schedule.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..config_section import Section
from ..errors import ConfigError

Sigmas = NDArray[np.floating]

SPACINGS = ("karras", "exponential", "beta")
KARRAS_RHO = 7.0
BETA_SHAPE = 0.6  # both parameters of the beta distribution
UNSUPPORTED = ("use_dynamic_shifting", "invert_sigmas", "shift_terminal", "stochastic_sampling")


@dataclass(frozen=True, slots=True)
class Schedule:
    """Figures of `scheduler/scheduler_config.json`.

    shift    above 1 spends more steps near the noise
    spacing  how sigmas lie between the first and the last: one of SPACINGS; None is evenly,
             before the shift
    """

    shift: float = 1.0
    num_train_timesteps: int = 1000
    spacing: str | None = None

    @classmethod
    def read(cls, section: Section) -> "Schedule":
        """Read a scheduler's config; `flow_shift` has no effect, as published."""
        for key in UNSUPPORTED:
            if section.values.get(key):
                section.only(key, supported=False)
        chosen = [name for name in SPACINGS if _is_set(section, f"use_{name}_sigmas")]
        if len(chosen) > 1:
            raise ConfigError(
                f"config.json: {section.name} sets use_{chosen[0]}_sigmas and "
                f"use_{chosen[1]}_sigmas; at most one can be used."
            )
        return cls(
            shift=section.number("shift", default=1.0),
            num_train_timesteps=section.integer("num_train_timesteps", default=1000),
            spacing=chosen[0] if chosen else None,
        ).shifted(None)

    def shifted(self, shift: float | None) -> "Schedule":
        """Return the schedule with another shift; None keeps its own."""
        shift = self.shift if shift is None else shift
        if not (math.isfinite(shift) and shift > 0):
            raise ConfigError(f"shift is {shift}; use a figure above 0 (1 does not shift).")
        return replace(self, shift=shift)

    def sigmas(self, steps: int) -> Tensor:
        """Return the sigmas of a number of steps: (steps + 1,) fp32, the last of them 0."""
        # The published class shifts twice: the range that it spaces evenly, and what lies in it.
        smallest = self._shift(np.array([1 / self.num_train_timesteps], dtype=np.float32))[0]
        sigmas = self._shift(np.linspace(1.0, float(smallest), steps))
        if self.spacing is not None:
            sigmas = _spaced(sigmas, self.spacing)
        return torch.from_numpy(np.append(sigmas, 0.0)).to(torch.float32)

    def timesteps(self, sigmas: Tensor) -> Tensor:
        """Return the time the model is told at the start of every step: (steps,)."""
        return sigmas[:-1] * self.num_train_timesteps

    def _shift(self, sigmas: Sigmas) -> Sigmas:
        return self.shift * sigmas / (1 + (self.shift - 1) * sigmas)


def _is_set(section: Section, key: str) -> bool:
    return section.values.get(key) is not None and section.boolean(key, default=False)


def _spaced(sigmas: Sigmas, spacing: str) -> Sigmas:
    """Space sigmas anew between the first and the last of them."""
    first, last = float(sigmas[0]), float(sigmas[-1])
    way = np.linspace(0.0, 1.0, len(sigmas))
    if spacing == "karras":
        root = 1 / KARRAS_RHO
        return (first**root + way * (last**root - first**root)) ** KARRAS_RHO
    if spacing == "exponential":
        return np.exp(np.linspace(math.log(first), math.log(last), len(sigmas)))
    quantiles = np.array([beta_quantile(1 - part, BETA_SHAPE) for part in way])
    return last + quantiles * (first - last)


def beta_quantile(probability: float, shape: float) -> float:
    """Return where the symmetric beta distribution of a shape has a probability to its left."""
    if probability > 0.5:
        return 1 - beta_quantile(1 - probability, shape)
    low, high = 0.0, 0.5
    for _ in range(64):
        middle = (low + high) / 2
        if _beta_share(middle, shape) < probability:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _beta_share(x: float, shape: float) -> float:
    """Integrate the symmetric beta density from 0 to x, at most 1/2, by its power series."""
    term, total = 1.0, 1.0 / shape
    for n in range(1, 64):
        term *= (n - shape) / n * x
        total += term / (shape + n)
    whole = math.gamma(shape) ** 2 / math.gamma(2 * shape)
    return x**shape * total / whole
