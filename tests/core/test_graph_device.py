"""What is asked of a device with graphs, and in which order; a fake one writes it down."""

from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch

from ming_core.graph import GraphRecorder, recorder_for


class FakeDevice:
    """A torch module of a device with graphs, which writes down what it is asked for."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.current = FakeStream(self.log, "main")

    def Stream(self, _device):  # noqa: N802  as in torch
        return FakeStream(self.log, "side")

    def Event(self, *, blocking: bool):  # noqa: N802
        assert blocking
        return SimpleNamespace(
            record=lambda stream: self.log.append(f"event on {stream.name}"),
            synchronize=lambda: self.log.append("waited"),
        )

    def CUDAGraph(self):  # noqa: N802
        return SimpleNamespace(
            capture_begin=lambda capture_error_mode: self.log.append(f"begin {capture_error_mode}"),
            capture_end=lambda: self.log.append("end"),
            replay=lambda: self.log.append("replay"),
        )

    def current_stream(self, _device):
        return self.current

    def synchronize(self, _device) -> None:
        self.log.append("synchronize")

    def empty_cache(self) -> None:
        self.log.append("empty cache")

    @contextmanager
    def stream(self, stream):
        self.log.append(f"in {stream.name}")
        try:
            yield
        finally:
            self.log.append("out")


class FakeStream:
    def __init__(self, log: list[str], name: str) -> None:
        self.log, self.name = log, name

    def wait_stream(self, other) -> None:
        self.log.append(f"{self.name} waits for {other.name}")


@pytest.fixture
def fake_device(monkeypatch: pytest.MonkeyPatch) -> FakeDevice:
    fake = FakeDevice()
    monkeypatch.setattr(torch, "xpu", fake)
    return fake


def test_a_device_is_asked_in_the_order_it_needs(fake_device: FakeDevice):
    recorder, log = GraphRecorder(torch.device("xpu")), fake_device.log
    recorder.warm_up(lambda: log.append("work"))
    assert log == ["side waits for main", "in side", "work", "out", "main waits for side"]
    log.clear()
    replay = recorder.record(lambda: log.append("work"))
    assert log[:2] == ["synchronize", "empty cache"]
    assert log[2:] == ["in side", "begin thread_local", "work", "end", "out"]
    log.clear()
    replay()
    recorder.mark()()
    assert log == ["replay", "event on main", "waited"]


def test_work_that_is_cancelled_while_warming_up_is_waited_for(fake_device: FakeDevice):
    def cancel() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        GraphRecorder(torch.device("xpu")).warm_up(cancel)
    assert fake_device.log[-2:] == ["out", "main waits for side"]


def test_a_recording_that_fails_is_ended(fake_device: FakeDevice):
    def fail() -> None:
        raise RuntimeError("not permitted")

    with pytest.raises(RuntimeError, match="not permitted"):
        GraphRecorder(torch.device("xpu")).record(fail)
    assert fake_device.log[-2:] == ["end", "out"]


def test_only_devices_with_graphs_record_and_only_if_wanted(fake_device, monkeypatch):
    assert recorder_for(torch.device("cpu")) is None
    assert recorder_for(torch.device("privateuseone")) is None
    monkeypatch.delenv("MING_CUDA_GRAPH", raising=False)
    assert isinstance(recorder_for(torch.device("xpu")), GraphRecorder)
    monkeypatch.setenv("MING_CUDA_GRAPH", "0")
    assert recorder_for(torch.device("xpu")) is None
