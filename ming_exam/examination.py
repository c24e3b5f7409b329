"""The whole examination of one checkpoint, in as many processes as there are cores."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from random import Random

import torch

from ming_core import ImageSampling, LoadedModel, MingModel, load_model

from .papers import PAPERS, Mark
from .sitting import Sitting

CASES = {"draw": 40, "ask": 60, "describe": 60, "chain_of_six": 24, "sharpen": 40}
EDITS = 12  # cases of each kind of edit
QUICK = 8  # times fewer
CHUNK = 4


@dataclass(frozen=True, slots=True)
class Case:
    """One case: its part, its kind, and its number, which settles everything drawn by lot."""

    part: str
    kind: str
    number: int
    seed: int


Figures = dict[str, float]


def cases_of(
    part: str, seed: int, count: int | None = None, *, is_quick: bool = False
) -> list[Case]:
    """Return the cases of a part, `count` or a usual number of each kind; alike for a seed."""
    count = count or max(1, CASES.get(part, EDITS) // (QUICK if is_quick else 1))
    return [Case(part, kind, n, seed) for kind in PAPERS[part][1] for n in range(count)]


def examine(
    folder: Path, cases: Sequence[Case], sampling: ImageSampling, processes: int
) -> list[Mark]:
    """Let the model of a folder answer all cases; returns their marks, in order."""
    if processes <= 1:
        return [_answer(folder, sampling, case) for case in cases]
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        answer = partial(_answer, folder, sampling)
        return list(pool.map(answer, cases, chunksize=CHUNK))


def figures_of(cases: Sequence[Case], marks: Sequence[Mark]) -> dict[str, Figures]:
    """Return per part the mean over all counted cases, each kind's mean, and the count."""
    report: dict[str, Figures] = {}
    for part in dict.fromkeys(case.part for case in cases):
        counted = [
            (case.kind, mark)
            for case, mark in zip(cases, marks, strict=True)
            if case.part == part and mark is not None
        ]
        kinds = {k: _mean([m for kind, m in counted if kind == k]) for k, _ in counted}
        report[part] = {"all": _mean([m for _, m in counted]), "cases": float(len(counted))}
        if len(kinds) > 1:
            report[part] |= {"worst": min(kinds.values()), **kinds}
    return report


def _answer(folder: Path, sampling: ImageSampling, case: Case) -> Mark:
    torch.set_num_threads(1)
    random = Random(f"{case.part} {case.kind} {case.number} {case.seed}")
    return PAPERS[case.part][0](Sitting(_loaded(folder), sampling), random, case.kind)


@cache
def _loaded(folder: Path) -> MingModel:
    model: LoadedModel = load_model(folder)
    if not isinstance(model, MingModel):
        raise TypeError(f"The examination is for models with latent contexts; {folder} has none.")
    return model


def _mean(marks: Sequence[float]) -> float:
    return round(sum(marks) / len(marks), 3) if marks else float("nan")
