"""python -m tests.kill --times 50: kill each piece of work so often, and compare what it leaves."""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from random import Random

import torch

from ming_run.comfyui_process import terminated_as_interrupted

from .forking import Tally, kill_often
from .works import WORKS


def main() -> int:
    """Print a line for every piece of work; a failure raises AssertionError."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--times", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", action="append", default=[], choices=WORKS)
    args = parser.parse_args()
    torch.set_num_threads(1)  # threads do not survive a fork
    for name in args.only or WORKS:
        with tempfile.TemporaryDirectory() as place, terminated_as_interrupted():
            work = WORKS[name](Path(place) / "first")
            started = time.monotonic()
            try:
                dice, killed = Random(args.seed), Path(place) / "killed"
                tally = kill_often(work, killed, args.times, dice, _tell_how_far)
            finally:
                work.close()
        spent = time.monotonic() - started
        print(
            f"{name}: killed {tally.killed} times, carried to its end {tally.finished} times with "
            f"the same bytes each time, nothing half-done taken for whole ({spent:.0f} s)",
            flush=True,
        )
    return 0


def _tell_how_far(tally: Tally) -> None:
    print(f"  {tally.killed} killed, {tally.finished} carried to its end", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
