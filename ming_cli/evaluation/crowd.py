"""Plays many conversations at once; on a CPU two processes do nearly twice the work of one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import torch

from ming_cli.world.conversations import Conversation
from ming_core import ImageSampling, MingModel, load_model

from .player import Played, Player

MOST_PROCESSES = 8  # each has the model, and torch, for itself
CHUNK = 4  # cases at a time: few, so that no process ends long before the others


@dataclass(frozen=True)
class Job:
    """One conversation, and how it is to be played."""

    conversation: Conversation
    seed: int
    sampling: ImageSampling
    by_pixels: bool = False


def usual_processes() -> int:
    """Return how many processes to play in: one per CPU core, one alone where there is a GPU."""
    return 1 if torch.cuda.is_available() else min(MOST_PROCESSES, os.cpu_count() or 1)


def play_jobs(folder: Path, jobs: Sequence[Job], processes: int) -> list[Played]:
    """Play all jobs with the model of a folder, in their order."""
    if processes <= 1:
        model = load_model(folder)
        return [_play(model, job) for job in jobs]
    # Spawned: a forked child inherits locks of torch's threads, and may wait for them for ever.
    context = get_context("spawn")
    with ProcessPoolExecutor(processes, context, _begin, (folder,)) as pool:
        return list(pool.map(_play_here, jobs, chunksize=CHUNK))


def _play(model: MingModel, job: Job) -> Played:
    player = Player(model, job.sampling)
    return player.play(job.conversation, job.seed, by_pixels=job.by_pixels)


_model: list[MingModel] = []  # a worker process's own


def _begin(folder: Path) -> None:
    torch.set_num_threads(1)
    _model.append(load_model(folder))


def _play_here(job: Job) -> Played:
    return _play(_model[0], job)
