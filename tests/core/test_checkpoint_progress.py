"""While loading: progress, cancelling, and no more memory than what is kept."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from ming_core import MingModel, Progress, load_model
from ming_core.operations import TorchOperations
from ming_core.univision.config import MingConfig
from ming_core.univision.key_map import expected_tensors
from ming_core.univision.model import Components


class StopAt(Progress):
    """Cancel at the n-th question."""

    def __init__(self, question: int) -> None:
        self.left = question
        self.reports: list[tuple[int, int]] = []

    def advance(self, done: int, total: int) -> None:
        self.reports.append((done, total))

    def check_cancelled(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise InterruptedError


@pytest.mark.parametrize("loaded", [-1, 0, 99])
@pytest.mark.parametrize("quantise", [None, "int8", "int4"])
def test_loading_can_be_cancelled_between_tensors(
    tiny: Path, model: MingModel, loaded: int, quantise: str | None
):
    """Every tensor is a chance twice: when the model is identified, and when it is read."""
    progress = StopAt(len(expected_tensors(model.config, model.parts.named())) + loaded + 1)
    with pytest.raises(InterruptedError):
        load_model(tiny, quantise=quantise, progress=progress)
    assert len(progress.reports) == max(loaded, 0)
    assert load_model(tiny).identity == model.identity


def test_loading_reports_every_tensor_up_to_the_last(tiny: Path, model: MingModel):
    progress = StopAt(0)
    load_model(tiny, progress=progress)
    total = len(expected_tensors(model.config, model.parts.named()))
    assert progress.reports == [(done, total) for done in range(1, total + 1)]


def test_a_receiver_that_counts_as_empty_is_told_all_the_same(tiny: Path):
    class Reports(list):
        def advance(self, done: int, total: int) -> None:
            self.append((done, total))

        def check_cancelled(self) -> None:
            pass

    reports = Reports()
    load_model(tiny, progress=reports)
    assert reports


MEASURE = """
import sys, threading, time
from pathlib import Path
import torch
from ming_core import load_model

def held():
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))

class Watch(threading.Thread):
    peak, running = 0, True
    def run(self):
        while self.running:
            self.peak = max(self.peak, held())
            time.sleep(0.001)
    def advance(self, done, total):
        self.peak = max(self.peak, held())
    def check_cancelled(self):
        pass

torch.set_num_threads(1)
load_model(Path(sys.argv[1]), dtype=torch.bfloat16)  # what the first load brings along
base, watch = held(), Watch(daemon=True)
watch.start()
model = load_model(Path(sys.argv[2]), dtype=torch.bfloat16, progress=watch)
watch.running = False
watch.join()
kept = sum(p.nbytes for c in model.components.values() for p in c.parameters())
print(watch.peak - base, held() - base, kept)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's /proc")
def test_peak_memory_is_near_what_is_kept(checkpoint, tiny: Path):
    for key, value in {"hidden_size": 256, "num_experts": 48, "moe_intermediate_size": 320}.items():
        checkpoint.configure("llm_config", key, value)
    checkpoint.configure("llm_config", "num_hidden_layers", 4)
    checkpoint.configure("llm_config", "vocab_size", 4096)
    config = MingConfig.read(
        json.loads((checkpoint.big / "config.json").read_text()),
        json.loads((checkpoint.small / "config.json").read_text()),
    )
    built = Components.build(config, TorchOperations, torch.bfloat16)
    shapes = {name: place.shape for name, place in expected_tensors(config, built.named()).items()}
    for path in (*checkpoint.shards, checkpoint.index):
        path.unlink()
    save_file(
        {name: torch.full(shape, 0.01, dtype=torch.bfloat16) for name, shape in shapes.items()},
        checkpoint.big / "model.safetensors",
    )
    command = [sys.executable, "-c", MEASURE, str(tiny), str(checkpoint.folder)]
    root = Path(__file__).parents[2]
    ran = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120, cwd=root)
    peak, after, kept = (int(figure) for figure in ran.stdout.split())
    assert kept > 80e6
    assert after > 0.9 * kept  # otherwise this measures nothing
    assert peak < 1.15 * kept + 8e6
