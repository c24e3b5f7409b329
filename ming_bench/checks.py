"""The checks that a CPU can make: ratios of times taken in turn, and counts; no absolute time."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass

import torch

from .case import Case
from .clock import HEAD, HostClock, Mark, drawn, unmarked
from .counters import count_token
from .random_model import SIZES, random_model

CPU = torch.device("cpu")
CONTEXT = 64

Draw = Callable[[Mark], object]


@dataclass(frozen=True)
class Check:
    """A figure, what it should be, and every value it is the median of."""

    name: str
    value: float
    target: str
    values: tuple[float, ...] = ()

    def line(self) -> str:
        """Write it for people."""
        each = f"   of {', '.join(f'{value:.3f}' for value in self.values)}" if self.values else ""
        return f"{self.name:<28} {self.value:10.3g}   {self.target:<10}{each}"


def cpu_checks(repeats: int, report: Callable[[Check], None]) -> dict[str, float]:
    """Return all figures by name, reporting each when it is known; in fp32, on one thread."""
    found: dict[str, float] = {}

    def note(check: Check) -> None:
        found[check.name] = check.value
        report(check)

    with torch.inference_mode():
        _check_times(repeats, note)
        _check_counts(repeats, note)
    return found


def _check_times(repeats: int, note: Callable[[Check], None]) -> None:
    model = random_model(SIZES["mid"], torch.float32, CPU)
    three, two = (Case.read(model, rows, CONTEXT) for rows in (3, 2))
    four = three.side_by_side(4)
    ours, theirs = three.draw(1, unmarked)[0], three.draw_baseline(1, unmarked)
    for name, case, target in (("ratio_3_rows", three, ">= 1.7"), ("ratio_2_rows", two, ">= 1.35")):
        ratios = in_turn(
            lambda mark, case=case: case.draw_baseline(1, mark),
            lambda mark, case=case: case.draw(1, mark),
            repeats,
        )
        note(_median(name, ratios, target))
    ratios = in_turn(lambda mark: four.draw(1, mark), lambda mark: three.draw(1, mark), repeats)
    note(_median("batch4_over_4x1", [ratio / 4 for ratio in ratios], "<= 0.5"))
    error = float((ours - theirs).abs().max() / theirs.abs().max())
    note(Check("latent_error", error, "<= 1e-5"))


def _check_counts(repeats: int, note: Callable[[Check], None]) -> None:
    """Count what a token asks at the published depths, where tiny widths leave the rest to do."""
    case = Case.read(random_model(SIZES["deep"], torch.float32, CPU), 3, CONTEXT)
    ours = count_token(lambda mark: case.draw(2, mark), CPU)
    theirs = count_token(lambda mark: case.draw_baseline(2, mark), CPU)
    note(Check("ops_per_token", ours.ops.total(), "<= 4000"))
    note(Check("head_ops_per_token", ours.ops[HEAD], "<= 1800"))
    note(Check("ops_per_token_baseline", theirs.ops.total(), ""))
    note(Check("head_ops_per_token_baseline", theirs.ops[HEAD], ""))
    ratios = in_turn(
        lambda mark: case.draw_baseline(1, mark), lambda mark: case.draw(1, mark), repeats
    )
    note(_median("host_time_ratio", ratios, ">= 1.8"))


def in_turn(first: Draw, second: Draw, repeats: int) -> list[float]:
    """Draw the tokens of two things in turn; return the ratios of their times, first / second."""
    return [seconds_per_token(first) / seconds_per_token(second) for _ in range(repeats)]


def seconds_per_token(draw: Draw) -> float:
    """Return the median seconds of a drawing's tokens."""
    return statistics.median(sum(token.values()) for token in drawn(HostClock(CPU), draw))


def _median(name: str, ratios: list[float], target: str) -> Check:
    return Check(name, statistics.median(ratios), target, tuple(ratios))
