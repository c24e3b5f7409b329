"""Says from each of two processes that it runs, and waits: `python wait_in_processes.py`."""

import argparse
import sys
import time

from training.together import launch


def wait(args: argparse.Namespace) -> None:
    """Say so and wait for longer than anybody does."""
    # In one piece: unbuffered, `print` writes the line's end apart, and both write at once.
    sys.stdout.write(f"process {args.rank}\n")
    sys.stdout.flush()
    time.sleep(3600)


if __name__ == "__main__":
    launch(wait, argparse.Namespace(processes=2))
