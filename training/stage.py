"""What every stage of the training has in common, and the loop that drives one."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from .muon import Optimiser, fast_type, speed_at
from .sheets import save_curves
from .together import average_gradients

Measures = dict[str, float]


@dataclass(frozen=True)
class Settings:
    """Where and how to train."""

    folder: Path
    seed: int = 0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    workers: int = 0  # processes that make batches ahead
    save_every: float = 120.0  # seconds
    measure_every: int = 500  # steps
    rank: int = 0  # which of the processes that train together this one is
    rate: float = 1.0  # share of the full rates, where a trained model goes on
    is_carrying: bool = False  # whether the way by which latents are carried stays as it is

    def draw_of(self, step: int) -> int:
        """Return a number that is this process's alone at a step, to draw random numbers from.

        It does not depend on how many processes there are: with more or fewer of them a run goes
        on without meeting again what it has seen.
        """
        return self.rank * 10**8 + step


class Stage(Protocol):
    """One stage: a loss per step, the optimiser that lowers it, and a measure of success."""

    name: str
    settings: Settings
    steps: int
    hold: float  # share of the steps before the rate falls
    optimiser: Optimiser

    def modules(self) -> dict[str, nn.Module]:
        """Return what must be kept to go on later."""
        ...

    def losses(self, step: int) -> dict[str, Tensor]:
        """Return the `loss` of a step and its parts."""
        ...

    def measure(self, folder: Path) -> Measures:
        """Measure how good the model is, leaving a sheet of samples in `folder`."""
        ...


@contextlib.contextmanager
def autocast(device: torch.device) -> Iterator[None]:
    """Compute in bf16 where it is safe and fast; plain attention is faster than tiles on a CPU."""
    kernel = SDPBackend.MATH if device.type == "cpu" else SDPBackend.EFFICIENT_ATTENTION
    is_half = fast_type(device) is torch.bfloat16
    with (
        torch.autocast(device.type, torch.bfloat16, enabled=is_half),
        sdpa_kernel([kernel, SDPBackend.MATH]),
    ):
        yield


class StopWatch:
    """Speed of a stage and an estimate of when it ends."""

    def __init__(self, start: int, steps: int) -> None:
        self.start, self.steps, self.began = start, steps, time.monotonic()

    def line(self, step: int) -> str:
        """Describe the pace after `step` steps."""
        each = (time.monotonic() - self.began) / max(1, step - self.start)
        return f"{each:.2f} s/step, {each * (self.steps - step) / 60:.0f} min left"


class Journal:
    """The losses and measures of all stages, kept with the state and drawn as curves."""

    def __init__(self, entries: list[dict[str, Any]] | None = None) -> None:
        self.entries = entries or []

    def add(self, stage: str, step: int, kind: str, values: Measures) -> None:
        """Note values of one kind (`loss` or `measure`) of a step."""
        self.entries.append({"stage": stage, "step": step, "kind": kind, **values})

    def save(self, folder: Path) -> None:
        """Write every entry as JSON lines, and the curves as PNG."""
        lines = [json.dumps(entry) for entry in self.entries]
        (folder / "journal.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        save_curves(folder / "curves.png", self.entries)


def save_state(path: Path, stage: Stage, step: int, journal: Journal, extra: Any) -> None:  # noqa: ANN401
    """Write everything needed to go on from here, all or nothing."""
    state = {
        "stage": stage.name,
        "step": step,
        "modules": {name: module.state_dict() for name, module in stage.modules().items()},
        "optimiser": stage.optimiser.state_dict(),
        "journal": journal.entries,
        "extra": extra,
    }
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(path)


def train_step(stage: Stage, step: int) -> Measures:
    """Take one step and return its losses."""
    losses = stage.losses(step)
    losses["loss"].backward()
    average_gradients(stage.optimiser.parameters)
    speed = stage.settings.rate * speed_at(step, stage.steps, stage.hold)
    length = stage.optimiser.step(speed)
    return {name: float(value.detach()) for name, value in losses.items()} | {"gradient": length}


def load_state(state: dict[str, Any], stage: Stage) -> None:
    """Bring a stage to where a saved one was."""
    for name, module in stage.modules().items():
        module.load_state_dict(state["modules"][name])
    stage.optimiser.load_state_dict(state["optimiser"])
