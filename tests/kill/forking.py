"""Ends work by kill -9 at random moments, and lets it go on until it is through (needs fork)."""

import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

LONGEST = 600.0  # seconds for one whole piece of work
EARLY = 0.1  # of the kills may come before the work has written anything


@dataclass(frozen=True)
class Work:
    """A piece of work, begun again and again in one folder until it is through.

    do     does all of it, or goes on where it was
    check  raises AssertionError where something half-done is taken for whole
    close  ends what the work needs beside it
    """

    name: str
    do: Callable[[Path], None]
    check: Callable[[Path], None] = lambda _folder: None
    ignored: tuple[str, ...] = ()  # files that say when and how, beside the results
    close: Callable[[], None] = lambda: None


@dataclass
class Tally:
    """What came of killing a piece of work: moments hit, and times it was carried to its end."""

    killed: int = 0
    finished: int = 0


def kill_often(
    work: Work,
    folder: Path,
    times: int,
    dice: Random,
    tell: Callable[[Tally], None] = lambda _tally: None,
) -> Tally:
    """Kill so many runs; raises AssertionError where a check fails or the results differ.

    tell  is told how far it has come, each time the work was carried to its end
    """
    reference, tally, round_ = folder / "whole", Tally(), 0
    reference.mkdir(parents=True)
    begins, takes = _time(work, reference)
    expected = contents(reference, work.ignored)
    while tally.killed < times:
        place, round_ = folder / f"round {round_}", round_ + 1
        place.mkdir()
        started, before = time.monotonic(), tally.killed
        while not _run(work, place, _moment(dice, begins, takes)):
            tally.killed += 1
            work.check(place)
            if tally.killed >= times:
                _run(work, place, LONGEST)
                break
        if tally.killed == before:  # the machine, or a cache, is faster than it was at first
            takes = min(takes, time.monotonic() - started)
            begins = min(begins, takes / 2)
        made = contents(place, work.ignored)
        names = {name for name in made | expected if made.get(name) != expected.get(name)}
        assert not names, f"{work.name}: other bytes in {sorted(names)}"
        tally.finished += 1
        tell(tally)
    return tally


def _time(work: Work, folder: Path) -> tuple[float, float]:
    """Do all of the work; the seconds until it has written something, and until its end."""
    started, began = time.monotonic(), 0.0

    def look() -> None:
        nonlocal began
        if not began and any(folder.iterdir()):
            began = time.monotonic() - started

    assert _run(work, folder, LONGEST, look), f"{work.name} takes too long"
    return began, time.monotonic() - started


def _moment(dice: Random, begins: float, takes: float) -> float:
    """Draw when to kill: mostly while there is something half-done."""
    return dice.uniform(0 if dice.random() < EARLY else begins, takes)


def contents(folder: Path, ignored: tuple[str, ...]) -> dict[str, bytes]:
    """Return the bytes of every file in a folder."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name not in ignored]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def _run(work: Work, folder: Path, seconds: float, look: Callable[[], None] = lambda: None) -> bool:
    """Do the work in a process that is killed after so many seconds; whether it ended before."""
    child = os.fork()
    if child == 0:
        _do_and_leave(work, folder)
    deadline = time.monotonic() + seconds
    try:
        while time.monotonic() < deadline:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                assert status == 0, f"{work.name} failed by itself: {status}, see above"
                return True
            look()
            time.sleep(0.002)
    except KeyboardInterrupt:
        os.kill(child, signal.SIGKILL)
        raise
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or status == 0, f"{work.name} failed by itself: {status}"
    return not os.WIFSIGNALED(status)


def _do_and_leave(work: Work, folder: Path) -> None:
    """Do the work and end this process, without what others have registered for its end."""
    status = 1
    try:
        work.do(folder)
        status = 0
    except BaseException:  # noqa: BLE001  told to the parent by the status
        import traceback

        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)
