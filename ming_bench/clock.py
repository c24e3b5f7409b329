"""Time and memory of the device that computes: marks between the parts of a token."""

import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import dropwhile, pairwise
from typing import Any

import torch

# Parts of a visual token; TOKEN is the mark at its end.
LANGUAGE, HEAD, SEMANTIC, REST = "language_model", "head", "semantic_decoder", "rest"
PARTS = (LANGUAGE, HEAD, SEMANTIC, REST)
TOKEN = "token"  # noqa: S105  not a password

FINE = 1e-4  # seconds; Windows counts processor time in steps of 16 ms

Mark = Callable[[str], None]
Seconds = dict[str, float]  # of each part of one token


def unmarked(_name: str) -> None:
    """Mark nothing."""


class HostClock:
    """The clock of devices without events; on a CPU work is done when its call returns.

    Of one thread on a CPU it counts the processor's time, which others who use the machine do not
    take part in, if the system tells it finely enough.
    """

    def __init__(self, device: torch.device) -> None:
        self._waits = device.type != "cpu"
        is_fine = time.get_clock_info("process_time").resolution < FINE
        is_alone = not self._waits and torch.get_num_threads() == 1
        self._read = time.process_time if is_alone and is_fine else time.perf_counter

    def now(self) -> float:
        """Note a moment."""
        self.settle()
        return self._read()

    def settle(self) -> None:
        """Wait for the device, if it works on its own."""
        if self._waits:
            torch.accelerator.synchronize()

    def seconds(self, start: float, end: float) -> float:
        """Return the time between two moments."""
        return end - start


class CudaClock:
    """Events on the stream: noting a moment neither waits nor keeps the CPU from running ahead."""

    def now(self) -> torch.cuda.Event:
        """Note a moment."""
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def settle(self) -> None:
        """Wait for the device, before the time between moments can be told."""
        torch.cuda.synchronize()

    def seconds(self, start: torch.cuda.Event, end: torch.cuda.Event) -> float:
        """Return the time between two moments."""
        return start.elapsed_time(end) / 1e3


Clock = HostClock | CudaClock


def clock_of(device: torch.device) -> Clock:
    """Return the clock for a device."""
    return CudaClock() if device.type == "cuda" else HostClock(device)


class Timeline:
    """Marks along a drawing: each opens a part of a token, TOKEN closes one."""

    def __init__(self, clock: Clock) -> None:
        self._clock: Any = clock  # reads its own moments only
        self._marks: list[tuple[str, Any]] = []

    def __call__(self, name: str) -> None:
        """Note that a part begins, or a token ends."""
        self._marks.append((name, self._clock.now()))

    def tokens(self) -> list[Seconds]:
        """Return the seconds of every whole token, part by part.

        The first token begins with its flow head. Where nothing marks that (a replayed graph), it
        is left out: what came before it would count as its own.
        """
        self._clock.settle()
        tokens: list[Seconds] = []
        current: Seconds = defaultdict(float)
        known = dropwhile(lambda mark: mark[0] not in (HEAD, TOKEN), self._marks)
        for (name, start), (following, end) in pairwise(known):
            current[REST if name == TOKEN else name] += self._clock.seconds(start, end)
            if following == TOKEN:
                tokens.append(current)
                current = defaultdict(float)
        return tokens


def drawn(clock: Clock, draw: Callable[[Mark], object]) -> list[Seconds]:
    """Return the seconds of every token of a drawing."""
    line = Timeline(clock)
    draw(line)
    return line.tokens()


def timed(clock: Clock, work: Callable[[], object], repeats: int = 3) -> list[float]:
    """Return the seconds of some work each time it is done, after doing it once to warm up."""
    work()
    line = Timeline(clock)
    line(TOKEN)
    for _ in range(repeats):
        work()
        line(TOKEN)
    return [token[REST] for token in line.tokens()]


def milliseconds(tokens: Sequence[Seconds]) -> dict[str, float]:
    """Sum tokens up: median and 90th percentile, and the median of each part that was marked."""
    totals = sorted(1e3 * sum(token.values()) for token in tokens)
    p90 = totals[min(len(totals) - 1, int(0.9 * len(totals)))]
    marked = {part for token in tokens for part in token} != {REST}
    split = {
        part: 1e3 * statistics.median(token.get(part, 0.0) for token in tokens)
        for part in PARTS
        if marked
    }
    return {"median": statistics.median(totals), "p90": p90, **split}


def device_named(name: str | None) -> torch.device:
    """Return a device as tensors name it, made the current one; None picks CUDA, else the CPU."""
    device = torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))
    if device.type != "cuda":
        return device
    if device.index is None:
        return torch.device("cuda", torch.cuda.current_device())
    torch.cuda.set_device(device)
    return device


def reset_peak_memory(device: torch.device) -> None:
    """Begin a new reading of the most memory in use, of what is really in use."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory(device: torch.device) -> dict[str, float]:
    """Return the most memory in use, in GB: on the card, else of the whole process so far."""
    if device.type == "cuda":
        allocated = torch.cuda.max_memory_allocated(device) / 1e9
        return {"allocated": allocated, "reserved": torch.cuda.max_memory_reserved(device) / 1e9}
    try:
        import resource
    except ImportError:  # Windows
        return {}
    unit = 1 if sys.platform == "darwin" else 1024
    return {"process": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9}
