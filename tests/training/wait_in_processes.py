"""Says from each of two processes that it runs, and waits: `python wait_in_processes.py`."""

import argparse
import time

from training.together import launch


def wait(args: argparse.Namespace) -> None:
    """Say so and wait for longer than anybody does."""
    print(f"process {args.rank}", flush=True)
    time.sleep(3600)


if __name__ == "__main__":
    launch(wait, argparse.Namespace(processes=2))
