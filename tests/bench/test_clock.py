"""The clock of `ming bench`: which part takes what, on a CPU and by a card's own events."""

import sys
import time

import pytest
import torch

from ming_bench import clock, sources
from ming_bench.case import Case
from ming_bench.clock import HEAD, LANGUAGE, REST, SEMANTIC, TOKEN, Timeline, milliseconds
from ming_bench.counters import count_token

CPU = torch.device("cpu")


class Steps:
    """A clock that a test sets."""

    def __init__(self, times: list[float]) -> None:
        self.times = iter(times)

    def now(self) -> float:
        return next(self.times)

    def settle(self) -> None:
        pass

    def seconds(self, start: float, end: float) -> float:
        return end - start


def test_timeline_splits_tokens():
    line = Timeline(Steps([0, 1, 3, 6, 10, 20, 21, 23, 26, 30]))
    for name in (REST, HEAD, SEMANTIC, LANGUAGE, TOKEN, HEAD, SEMANTIC, LANGUAGE, REST, TOKEN):
        line(name)
    first, second = line.tokens()
    assert first == {HEAD: 2, SEMANTIC: 3, LANGUAGE: 4}
    assert second == {REST: 10 + 4, HEAD: 1, SEMANTIC: 2, LANGUAGE: 3}


def test_timeline_of_a_replayed_graph_leaves_out_the_first_token():
    line = Timeline(Steps([5, 7, 10]))
    for _ in range(3):
        line(TOKEN)
    assert line.tokens() == [{REST: 2}, {REST: 3}]
    assert milliseconds(line.tokens()) == {"median": 2500, "p90": 3000}


@torch.inference_mode()
def test_parts_are_marked_in_order(case: Case):
    names: list[str] = []
    case.draw(2, names.append)
    token = [HEAD, SEMANTIC, REST, LANGUAGE, REST, TOKEN]
    assert names == [LANGUAGE, REST, *token, *token]
    ends: list[str] = []
    case.draw(2, ends.append, graph=True)
    assert ends == [TOKEN, TOKEN]
    baseline: list[str] = []
    case.draw_baseline(2, baseline.append)
    assert baseline == [HEAD, SEMANTIC, REST, LANGUAGE, TOKEN] * 2


@pytest.mark.skipif(sys.platform == "win32", reason="tells processor time too coarsely")
def test_other_processes_do_not_count_on_one_thread_of_a_cpu():
    torch.set_num_threads(1)
    sleeping = clock.HostClock(CPU)
    start = sleeping.now()
    time.sleep(0.2)
    assert sleeping.seconds(start, sleeping.now()) < 0.1
    torch.set_num_threads(2)
    waiting = clock.HostClock(CPU)
    start = waiting.now()
    time.sleep(0.05)
    assert waiting.seconds(start, waiting.now()) >= 0.05


class FakeEvent:
    """A CUDA event of a device whose time passes by one millisecond per event."""

    made = 0

    def __init__(self, enable_timing: bool = False) -> None:
        assert enable_timing
        self.at: int | None = None

    def record(self) -> None:
        FakeEvent.made += 1
        self.at = FakeEvent.made

    def elapsed_time(self, other: "FakeEvent") -> float:
        return float(other.at - self.at)


def test_cuda_times_come_from_events(monkeypatch: pytest.MonkeyPatch):
    waits: list[str] = []
    monkeypatch.setattr(torch.cuda, "Event", FakeEvent)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: waits.append("wait"))
    line = Timeline(clock.clock_of(torch.device("cuda")))
    for name in (HEAD, LANGUAGE, TOKEN):
        line(name)
    assert not waits, "marks must not wait for the device"
    assert line.tokens() == [{HEAD: 1e-3, LANGUAGE: 1e-3}]
    assert waits == ["wait"]


def test_cuda_waits_come_from_its_own_warnings(monkeypatch: pytest.MonkeyPatch):
    import warnings

    modes: list[str] = []
    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", modes.append)

    def run(mark) -> None:
        mark(TOKEN)
        for text in ("called a synchronizing CUDA operation", "something else"):
            warnings.warn(text, stacklevel=1)
        mark(TOKEN)

    assert count_token(run, torch.device("cuda"))["syncs_per_token"] == 1
    assert modes == ["warn", "default"]


def test_cuda_memory_is_the_peak_on_the_card(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 3 * 10**9)
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda device: 4 * 10**9)
    found = clock.peak_memory(torch.device("cuda"))
    assert found == {"allocated": 3.0, "reserved": 4.0}


def test_devices_are_named_as_tensors_name_them(monkeypatch: pytest.MonkeyPatch):
    chosen: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 3)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    assert clock.device_named(None) == torch.device("cuda:3")
    assert clock.device_named("cuda:1") == torch.device("cuda:1")
    assert chosen == [torch.device("cuda:1")]
    assert clock.device_named("cpu") == CPU


def test_weights_that_do_not_fit_the_card_are_refused():
    source = sources.source_of(None, None, "published")
    with pytest.raises(sources.CheckpointError, match=r"bf16 weights take 38.* 24.0 GB are free"):
        source.refuse("bf16", 24 * 10**9)
    source.refuse("int8", 24 * 10**9)
    source.refuse("fp32", None)
