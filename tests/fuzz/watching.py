"""Watches the processes that run cases: time of the processor, memory, and their end."""

import multiprocessing
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from .targets import Target
from .worker import work

LOOK = 0.5  # seconds
MOST_SECONDS, MOST_MIB = 20.0, 1500  # of the processor, and beyond what the first cases took


@dataclass(frozen=True)
class Finding:
    """A case that did not end as it should."""

    target: str
    number: int
    what: str


class Runner:
    """Runs stretches of cases; `num_cases` counts those that ended, well or not."""

    def __init__(self, seed: int, place: Path, until: float) -> None:
        self._seed, self._place, self._until = seed, place, until
        self.num_cases: dict[str, int] = {}

    def run(self, target: Target, numbers: range) -> Iterator[Finding]:
        """Run cases of a target; a process that is stuck or ends is replaced behind that case."""
        while numbers and time.monotonic() < self._until:
            context = multiprocessing.get_context("spawn")
            ours, theirs = context.Pipe(duplex=False)
            arguments = (target, self._seed, numbers, self._place / target.name, theirs)
            process = context.Process(target=work, args=arguments, daemon=True)
            process.start()
            theirs.close()
            watched = _Watched(process, ours, numbers.start)
            yield from watched.follow(target.name, self._until)
            begun = watched.number - numbers.start + watched.has_begun
            self.num_cases[target.name] = self.num_cases.get(target.name, 0) + begun
            numbers = numbers[begun:] if watched.was_stuck else range(0)


class _Watched:
    """One process, and the case it is at."""

    def __init__(self, process: multiprocessing.Process, pipe: Connection, first: int) -> None:
        self._process, self._pipe = process, pipe
        self.number, self.has_begun, self.was_stuck = first, False, False
        self._spent, self._base = 0.0, 0.0

    def follow(self, name: str, until: float) -> Iterator[Finding]:
        """Yield what is found, until all is done, the time is over or the process is no more."""
        try:
            while time.monotonic() < until or not self.has_begun:
                if self._pipe.poll(LOOK):
                    told = self._pipe.recv()
                    if told is None:
                        return
                    if isinstance(told, tuple):
                        yield Finding(name, *told)
                    else:
                        self._begin(told)
                elif self.has_begun and (problem := self._problem()):
                    self.was_stuck = True
                    yield Finding(name, self.number, problem)
                    return
        except EOFError:
            self._process.join(5)
            if not self.has_begun:
                raise RuntimeError(f"{name}: its first inputs could not be made") from None
            self.was_stuck = True
            yield Finding(name, self.number, f"the process ended ({self._process.exitcode})")
        finally:
            self._process.kill()
            self._process.join()

    def _begin(self, number: int) -> None:
        if not self.has_begun or number % 50 == 0:
            self._base = _mib(self._process.pid)
        self.number, self.has_begun = number, True
        self._spent = _seconds(self._process.pid)

    def _problem(self) -> str:
        spent = _seconds(self._process.pid) - self._spent
        more = _mib(self._process.pid) - self._base
        if spent > MOST_SECONDS:
            return f"it hangs: {spent:.0f} s of the processor so far"
        return f"it takes {more:.0f} MiB" if more > MOST_MIB else ""


def _seconds(pid: int | None) -> float:
    """Return the processor time a process has used (Linux)."""
    text = Path(f"/proc/{pid}/stat").read_text()
    user, system = text.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def _mib(pid: int | None) -> float:
    """Return the resident memory of a process (Linux)."""
    pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE") / (1 << 20)
