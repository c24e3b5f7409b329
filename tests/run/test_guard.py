"""A server that we start ends with us, also when we are killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ming_run.comfyui_process import GUARD

GUARDED = [sys.executable, "-I", str(GUARD), sys.executable, "-c"]
SAY_AND_SLEEP = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
STARTER = f"""
import subprocess, sys, time
subprocess.Popen({[*GUARDED, SAY_AND_SLEEP]!r}, stdin=subprocess.PIPE)
time.sleep(600)
"""


def has_ended(process: int) -> bool:
    """Whether a process has gone, given some time to do so; zombies have."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if ") Z" in Path(f"/proc/{process}/stat").read_text():
                return True
        except OSError:
            return True
        time.sleep(0.02)
    return False


def test_the_exit_code_is_that_of_the_command():
    with subprocess.Popen([*GUARDED, "raise SystemExit(7)"], stdin=subprocess.PIPE) as started:
        assert started.wait() == 7


@pytest.mark.skipif(
    not Path("/proc/self").exists(), reason="looks at processes as Linux shows them"
)
@pytest.mark.parametrize("is_killed", [True, False])
def test_the_command_ends_with_the_one_who_started_it(is_killed):
    command = [sys.executable, "-c", STARTER] if is_killed else [*GUARDED, SAY_AND_SLEEP]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, **pipes, text=True) as started:
        child = int(started.stdout.readline())
        if is_killed:
            os.kill(started.pid, signal.SIGKILL)
        else:
            started.stdin.close()
        assert has_ended(child)
