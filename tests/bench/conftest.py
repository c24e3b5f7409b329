"""What the tests of `ming bench` share: a model of random weights at a tiny size."""

from pathlib import Path

import pytest
import torch

from ming_bench.case import Case
from ming_bench.random_model import SIZES, random_model
from ming_bench.tiny_checkpoint.make import make_tiny
from ming_core import MingModel

CPU = torch.device("cpu")
CONTEXT = 12


@pytest.fixture(scope="module")
def model() -> MingModel:
    return random_model(SIZES["quick"], torch.float32, CPU)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def case(model: MingModel) -> Case:
    return Case.read(model, 3, CONTEXT)


@pytest.fixture(autouse=True)
def small_buffer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ming_bench.traffic.CPU_BYTES", 1 << 16)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)
