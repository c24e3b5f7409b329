"""Runs a command until it ends, or until whoever started this has gone, however they went.

Run as a script with the command behind it, and with a pipe for its standard input, into which
nobody writes: it closes when the process that holds the other end ends, by kill -9 too.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Sequence

PATIENCE = 10.0  # seconds for a polite end


def run(command: Sequence[str]) -> int:
    """Run a command and return its exit code; ends it when the standard input closes."""
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)

    def end_with_the_starter() -> None:
        while os.read(0, 1):  # sys.stdin has a lock, which a waiting thread would keep at the end
            pass
        end(child)

    threading.Thread(target=end_with_the_starter, daemon=True).start()
    return child.wait()


def end(process: "subprocess.Popen[bytes]") -> None:
    """End a process, gently first."""
    process.terminate()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
