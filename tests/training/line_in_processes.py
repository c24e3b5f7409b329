"""Fits a line in one or several processes: `python line_in_processes.py FOLDER PROCESSES`."""

import argparse
import json
import sys
from pathlib import Path

import torch
from torch import nn

from training.muon import Optimiser, Rates
from training.together import average_gradients, from_first, launch


def train_a_line(args: argparse.Namespace) -> None:
    """Fit a line, each process on its own half of the points; write what came of it."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    line = nn.Linear(3, 2)
    optimiser = Optimiser([("blocks.weight", line.weight), ("bias", line.bias)], Rates(0.05, 0.1))
    # Points in no line: of a matrix that is nearly of rank one Muon makes round-off large.
    points = torch.rand(8, 3)
    mine = points if args.processes == 1 else points.chunk(args.processes)[args.rank]
    for _ in range(3):
        (line(mine) - mine[:, :2].flip(1)).pow(2).mean().backward()
        average_gradients(optimiser.parameters)
        optimiser.step(1.0)
    said = from_first([args.rank + 0.25, 7.0])
    result = {"weights": line.weight.tolist(), "said": said}
    (args.folder / f"{args.processes}_{args.rank}.json").write_text(json.dumps(result))


if __name__ == "__main__":
    where, number = sys.argv[1:]
    launch(train_a_line, argparse.Namespace(processes=int(number), folder=Path(where)))
