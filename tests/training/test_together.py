"""Processes that train together take the steps that one would take with all their work."""

import json
import os
import subprocess
import sys
from pathlib import Path

import torch
from torch import nn

from training.muon import Optimiser, Rates

HERE = Path(__file__).parent
ENVIRONMENT = os.environ | {"PYTHONPATH": str(HERE.parents[1])}


def run_script(name: str, *arguments: str) -> None:
    """Run a script of this folder as a program: processes are started from programs alone."""
    command = [sys.executable, "-P", str(HERE / name), *arguments]
    subprocess.run(command, env=ENVIRONMENT, check=True, timeout=300)


def optimiser_of(line: nn.Linear) -> Optimiser:
    """Return an optimiser whose two parts both have something to do."""
    return Optimiser([("blocks.weight", line.weight), ("bias", line.bias)], Rates(0.05, 0.1))


def test_two_processes_take_the_steps_of_one(tmp_path: Path):
    for processes in ("1", "2"):
        run_script("line_in_processes.py", str(tmp_path), processes)
    alone, first, second = (
        json.loads((tmp_path / f"{name}.json").read_text()) for name in ("1_0", "2_0", "2_1")
    )
    assert first["weights"] == second["weights"]
    assert torch.allclose(torch.tensor(first["weights"]), torch.tensor(alone["weights"]), atol=1e-5)
    assert first["said"] == second["said"] == [0.25, 7.0]


def test_processes_end_with_the_one_that_began_them():
    command = [sys.executable, "-P", str(HERE / "wait_in_processes.py")]
    # Each holds the pipe's other end: it closes when the last of them is gone.
    began = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True)
    assert began.stdout is not None
    assert {began.stdout.readline().strip() for _ in range(2)} == {"process 0", "process 1"}
    began.kill()
    began.communicate(timeout=120)


def test_a_run_in_two_processes_keeps_them_alike_and_publishes_once(tmp_path: Path):
    from ming_core import load_model

    run_script("run_in_processes.py", str(tmp_path), "2")
    first, second = ((tmp_path / f"weights_{rank}.txt").read_text() for rank in (0, 1))
    assert first == second
    model = load_model(tmp_path / "checkpoint")
    _, mean, scale = first.split()
    assert model.config.mingtok.mean == float(mean) != 0
    assert model.config.mingtok.scale == float(scale)
    journal = [json.loads(line) for line in (tmp_path / "journal.jsonl").read_text().splitlines()]
    measured = [(e["stage"], e["step"]) for e in journal if e["kind"] == "measure"]
    ends = [("tokenizer", 3), ("refine", 2), ("joint", 4), ("decoder", 2)]
    assert measured == [("tokenizer", 2), *ends[:2], ("joint", 2), *ends[2:]]


def test_each_process_has_its_own_part_of_a_step(tmp_path: Path, vocabulary):
    from ming_core.univision.tokenizer import ConversationTokenizer
    from training.curriculum import FULL_PHASES, BatchMaker
    from training.sequences import SequenceMaker
    from training.stage import Settings

    maker = SequenceMaker(ConversationTokenizer.load(vocabulary[0]), 36)
    makers = [
        BatchMaker(FULL_PHASES, 100, 6, Settings(tmp_path, rank=rank), maker, maker)
        for rank in (0, 1, 0)
    ]
    for step in range(90, 94):
        first, second, again = (m.batch(step) for m in makers)
        assert torch.equal(first.ids, again.ids)
        assert first.given + first.drawn != second.given + second.drawn
        assert len(first.ids) == len(second.ids)
        assert bool(first.drawn) == bool(second.drawn)


def test_pictures_are_asked_about_at_every_size_that_users_give(tmp_path: Path, vocabulary):
    from ming_core.univision.tokenizer import ConversationTokenizer
    from training.curriculum import LAST_PHASE, RENDERED, BatchMaker
    from training.sequences import SequenceMaker
    from training.stage import Settings

    tokenizer = ConversationTokenizer.load(vocabulary[0])
    small, large = (SequenceMaker(tokenizer, 36, given) for given in (36, 144))
    maker = BatchMaker((LAST_PHASE,), 100, 4, Settings(tmp_path), small, large)
    batches = [maker.batch(step) for step in range(100)]
    kinds = {(b.given_tokens, b.rendered_size, bool(b.drawn)) for b in batches if b.given}
    assert {(36, size, True) for size in (0, *RENDERED)} <= kinds
    assert {(144, False)} == {(given, drawn) for given, _, drawn in kinds if given == 144}
    assert len({rendered for given, rendered, _ in kinds if given == 144}) >= 3


def test_the_running_mean_is_what_is_measured_and_what_remains():
    line = nn.Linear(2, 1)
    optimiser = optimiser_of(line)
    seen = []
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
