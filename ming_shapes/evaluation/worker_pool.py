"""Plays many conversations at once; on a CPU two processes do nearly twice the work of one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path

import torch

from ming_core import ImageSampling, MingModel, load_model

from ..tasks import Conversation
from .parent import end_with_parent
from .player import Played, Player
from .ways import Way

MOST_PROCESSES = 8
LARGE = 2**30  # bytes of weights; each process has the model, and torch, for itself
CHUNK = 4  # cases at a time: few, so that no process ends long before the others


@dataclass(frozen=True)
class Job:
    """One conversation, and how it is to be played."""

    conversation: Conversation
    seed: int
    sampling: ImageSampling
    way: Way = Way()


def usual_processes(folder: Path) -> int:
    """Return how many processes to play a folder in: one per CPU core.

    One alone where there is a GPU, or where the weights are larger than a gigabyte.
    """
    weights = sum(file.stat().st_size for file in folder.rglob("*.safetensors"))
    if torch.cuda.is_available() or weights > LARGE:
        return 1
    return min(MOST_PROCESSES, os.cpu_count() or 1)


def play_jobs(folder: Path, jobs: Sequence[Job], processes: int) -> list[Played]:
    """Play all jobs with the model of a folder, in their order.

    Raises CheckpointError, from whichever process, where the folder cannot be loaded.
    """
    if processes <= 1:
        model = load_model(folder)
        return [_play(model, job) for job in jobs]
    # Spawned: a forked child inherits locks of torch's threads, and may wait for them for ever.
    with ProcessPoolExecutor(processes, get_context("spawn"), end_with_parent) as pool:
        return list(pool.map(partial(_play_here, folder), jobs, chunksize=CHUNK))


def _play(model: MingModel, job: Job) -> Played:
    player = Player(model, job.sampling)
    return player.play(job.conversation, job.seed, job.way)


def _play_here(folder: Path, job: Job) -> Played:
    return _play(_loaded(folder), job)


@cache
def _loaded(folder: Path) -> MingModel:
    """Load the model of a worker process; with its first job, so that errors reach the parent."""
    torch.set_num_threads(1)
    return load_model(folder)
