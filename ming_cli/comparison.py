"""How far computed numbers are from recorded ones, collected into one table."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

LIMIT = 1e-4


def relative_error(ours: Tensor, recorded: Tensor) -> float:
    """Largest difference over the largest recorded magnitude; infinite when shapes differ."""
    if ours.shape != recorded.shape or not torch.isfinite(ours.float()).all():
        return float("inf")
    difference = (ours.double() - recorded.double()).abs().max()
    return float(difference / recorded.double().abs().max().clamp_min(1e-30))


@dataclass
class Report:
    """Relative errors by group; things that must be equal count as 0 or infinite."""

    errors: dict[str, dict[str, float]] = field(default_factory=dict)

    def close(self, group: str, name: str, ours: Tensor, recorded: Tensor) -> None:
        """Record how far our figures are from the recorded ones."""
        self.record(group, name, relative_error(ours, recorded))

    def equal(self, group: str, name: str, ours: list[Any], recorded: list[Any]) -> None:
        """Record whether two lists are the same."""
        self.record(group, name, 0.0 if ours == recorded else float("inf"))

    def record(self, group: str, name: str, error: float) -> None:
        """Record an error that was measured in another way."""
        self.errors.setdefault(group, {})[name] = error

    @property
    def worst(self) -> float:
        """The largest error of all; infinite when nothing was compared."""
        return max((max(group.values()) for group in self.errors.values()), default=float("inf"))

    def lines(self) -> Iterator[str]:
        """Yield the table: a line per group, what failed, and the worst error last."""
        for group, errors in self.errors.items():
            name, worst = max(errors.items(), key=lambda item: item[1])
            yield f"{group:<28} {len(errors):>4} compared   worst {worst:9.2e}   {name}"
            failed = [n for n, error in errors.items() if error > LIMIT]
            if len(failed) > 1:
                yield f"{'':<28} {len(failed):>4} above {LIMIT:g}: {', '.join(failed)}"
        yield f"worst relative error {self.worst:.3e}"
