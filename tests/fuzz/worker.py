"""Runs cases one after another in a process of its own, which may be ended from outside.

Says on its pipe which case begins, and what was found; whoever reads that notices when it is stuck.
"""

import os
import shutil
import threading
import traceback
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random

from .checkpoints import Case
from .targets import Target

OUTSIDE = "outside.txt"
LAST_LINES, WIDEST = 1500, 200  # characters of a traceback, and of a line


def work(target: Target, seed: int, numbers: range, place: Path, pipe: Connection) -> None:
    """Run cases of one target in a folder made for it; the last thing said is None."""
    shutil.rmtree(place, ignore_errors=True)
    folder = place / "inside"
    folder.mkdir(parents=True)
    (place / OUTSIDE).write_text("as it was")
    dead: list[str] = []
    threading.excepthook = lambda told: dead.append(repr(told.exc_value))
    case = target.prepare(folder)
    os.chdir(folder)
    for number in numbers:
        pipe.send(number)
        found = _run(case, target.dice(seed, number)) or _left(place) or "".join(dead)
        dead.clear()
        if found:
            pipe.send((number, found))
    pipe.send(None)


def _run(case: Case, dice: Random) -> str:
    """Run one case; return how it failed, or nothing."""
    try:
        case(dice)
    except BaseException:  # noqa: BLE001  a panic of another language is none of Exception
        lines = traceback.format_exc().splitlines()
        return "\n".join(line[:WIDEST] for line in lines)[-LAST_LINES:]
    return ""


def _left(place: Path) -> str:
    """Say what a case has left where it has no business."""
    names = sorted(path.name for path in place.iterdir())
    if names != ["inside", OUTSIDE] or (place / OUTSIDE).read_text() != "as it was":
        return f"files outside: {names}"
    if threading.active_count() > 1:
        return f"threads that go on: {threading.enumerate()}"
    return ""
