"""How far each solver's latents lie from the flow's true end: what fewer steps cost in accuracy.

The conditions of all tokens are those of one drawing with the published settings, so that an error
of one token does not enter the next one's.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

from torch import Tensor

from ming_core import ImageSampling
from ming_core.univision.conditions import Conditions

TRUE_STEPS = 256
STEPS = (16, 8, 6, 4)
SOLVERS = ("euler", "ab2")
SHIFTS = (None, 0.5, 2.0)


@dataclass(frozen=True)
class SolverError:
    """How far one setting's latents lie from the true ones, relative to their size."""

    solver: str
    steps: int
    time_shift: float | None
    renorm: bool
    error: float  # root mean square over all tokens
    worst_token: float

    @property
    def column(self) -> str:
        """What is set besides solver and steps."""
        shift = [] if self.time_shift is None else [f"shift {self.time_shift:g}"]
        return " ".join(shift + ["renorm"] * self.renorm) or "plain"


def settings() -> Iterator[ImageSampling]:
    """Yield every setting that is compared."""
    for renorm, shift, solver, steps in product((False, True), SHIFTS, SOLVERS, STEPS):
        yield ImageSampling(steps=steps, solver=solver, time_shift=shift, renorm=renorm)


def solver_errors(conditions: Conditions) -> list[SolverError]:
    """Hold every setting against many small steps of the better solver, on the same noise.

    Renorm changes the flow itself, so settings with it are held against a solution with it.
    """
    fine = ImageSampling(steps=TRUE_STEPS, solver="ab2")
    true = {renorm: conditions.latents(replace(fine, renorm=renorm)) for renorm in (False, True)}
    return [solver_error(conditions.latents(how), true[how.renorm], how) for how in settings()]


def solver_error(latents: Tensor, true: Tensor, how: ImageSampling) -> SolverError:
    """Measure one setting."""
    apart = (latents - true).norm(dim=-1)
    size = true.norm(dim=-1).square().mean().sqrt()
    mean, worst = float(apart.square().mean().sqrt() / size), float(apart.max() / size)
    return SolverError(how.solver, how.steps, how.time_shift, how.renorm, mean, worst)


def report(errors: Sequence[SolverError]) -> list[str]:
    """Write the errors as lines of a table: a row per solver and steps."""
    names = list(dict.fromkeys(e.column for e in errors))
    rows: dict[str, dict[str, str]] = {}
    for e in errors:
        rows.setdefault(f"{e.solver} {e.steps}", {})[e.column] = f"{e.error:.4f}"
    lines = [f"{'solver':<10}" + "".join(f"{name:>18}" for name in names)]
    for row, cells in rows.items():
        lines.append(f"{row:<10}" + "".join(f"{cells[name]:>18}" for name in names))
    return lines
