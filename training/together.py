"""Several processes train one model: each has its part of every step, gradients are averaged.

On a CPU two processes of one thread each do nearly twice the work of one; two threads do not.
"""

from __future__ import annotations

import argparse
import atexit
import os
import sys
import tempfile
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path

import torch
from torch import distributed, multiprocessing, nn

from ming_shapes.evaluation.parent import end_with_parent


def launch(main: Callable[[argparse.Namespace], None], args: argparse.Namespace) -> None:
    """Run `main` in `args.processes` processes that know of each other, `args.rank` being told."""
    args.rank = 0
    if args.processes == 1:
        main(args)
        return
    with tempfile.TemporaryDirectory() as folder:
        meeting = f"file://{Path(folder) / 'meeting'}"
        multiprocessing.spawn(_join, (main, args, meeting), nprocs=args.processes)  # type: ignore[attr-defined]


def _join(
    rank: int, main: Callable[[argparse.Namespace], None], args: argparse.Namespace, meeting: str
) -> None:
    args.rank = rank
    end_with_parent()
    distributed.init_process_group(
        "gloo", meeting, timedelta(days=1), world_size=args.processes, rank=rank
    )
    try:
        main(args)
    finally:
        distributed.destroy_process_group()
    # A thread of gloo's may still hold the last tensor: to let go of it in an interpreter that is
    # ending aborts the process, seldom, on a busy machine (pytorch/pytorch#179291). So what others
    # left for the end is done, and the interpreter itself does not end.
    atexit._run_exitfuncs()  # noqa: SLF001
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace gradients by their mean over all processes; alone, change nothing."""
    if not distributed.is_initialized():
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    distributed.all_reduce(flat)
    flat /= distributed.get_world_size()
    for gradient, mean in zip(
        gradients, flat.split([gradient.numel() for gradient in gradients]), strict=True
    ):
        gradient.copy_(mean.view_as(gradient))


def from_first(values: list[float]) -> list[float]:
    """Return the first process's values, in every process."""
    told = torch.tensor(values, dtype=torch.float64)
    if distributed.is_initialized():
        distributed.broadcast(told, 0)
    return told.tolist()
