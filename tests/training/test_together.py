"""Processes that train together take the steps that one would take with all their work."""

import json
import os
import subprocess
import sys
from pathlib import Path

import torch
from torch import nn

from training.muon import Optimiser, Rates

SCRIPT = Path(__file__).parent / "line_in_processes.py"


def optimiser_of(line: nn.Linear) -> Optimiser:
    """Return an optimiser whose two parts both have something to do."""
    return Optimiser([("blocks.weight", line.weight), ("bias", line.bias)], Rates(0.05, 0.1))


def test_two_processes_take_the_steps_of_one(tmp_path: Path):
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    for processes in ("1", "2"):
        command = [sys.executable, "-P", str(SCRIPT), str(tmp_path), processes]
        subprocess.run(command, env=environment, check=True, timeout=120)
    alone, first, second = (
        json.loads((tmp_path / f"{name}.json").read_text()) for name in ("1_0", "2_0", "2_1")
    )
    assert first["weights"] == second["weights"]
    assert torch.allclose(torch.tensor(first["weights"]), torch.tensor(alone["weights"]), atol=1e-6)
    assert first["said"] == second["said"] == [0.25, 7.0]


def test_each_process_has_its_own_part_of_a_step(tmp_path: Path, vocabulary):
    from ming_core.text_tokenizer import TextTokenizer
    from training.curriculum import FULL_PHASES, BatchMaker
    from training.sequences import SequenceMaker
    from training.stage import Settings

    maker = SequenceMaker(TextTokenizer.load(vocabulary[0]), 36)
    makers = [
        BatchMaker(FULL_PHASES, 100, 6, Settings(tmp_path, rank=rank, processes=2), maker, maker)
        for rank in (0, 1, 0)
    ]
    for step in range(90, 94):
        first, second, again = (m.batch(step) for m in makers)
        assert torch.equal(first.ids, again.ids)
        assert first.given + first.drawn != second.given + second.drawn
        assert len(first.ids) == len(second.ids)
        assert bool(first.drawn) == bool(second.drawn)


def test_the_running_mean_is_what_is_measured_and_what_remains():
    line = nn.Linear(2, 1)
    optimiser = optimiser_of(line)
    seen = [line.weight.detach().clone()]
    for _ in range(8):
        line(torch.ones(1, 2)).pow(2).sum().backward()
        optimiser.step(1.0)
        seen.append(line.weight.detach().clone())
    last = seen[-1]
    with optimiser.averaged():
        inside = line.weight.detach().clone()
    assert torch.equal(line.weight, last)
    assert not torch.equal(inside, last)
    low, high = torch.stack(seen).amin(0), torch.stack(seen).amax(0)
    assert ((inside >= low) & (inside <= high)).all()
    optimiser.settle()
    assert torch.equal(line.weight, inside)
