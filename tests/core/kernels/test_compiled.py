"""The Triton kernels through the real compiler, which needs no accelerator to compile for one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
KERNELS = 6
SMALLEST_SHARED = 99 * 1024  # bytes a program may have on consumer devices


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "stored", "rows"),
    [("bf16", "dense", 3), ("fp32", "dense", 24), ("bf16", "int8", 24), ("bf16", "int4", 3)],
)
def test_every_kernel_compiles_and_fits(number: str, stored: str, rows: int, tmp_path: Path):
    pytest.importorskip("triton", reason="the fused kernels need Triton, which is not installed")
    command = [sys.executable, str(HERE / "compile_all.py"), "86", number, stored, str(rows)]
    paths = os.pathsep.join([str(HERE.parents[2]), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"TRITON_CACHE_DIR": str(tmp_path), "PYTHONPATH": paths}
    environment.pop("TRITON_INTERPRET", None)
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert run.returncode == 0, run.stderr[-2000:]
    lines = [line.split() for line in run.stdout.splitlines()]
    assert len(lines) == KERNELS
    assert all(int(shared) <= SMALLEST_SHARED for _, _, shared in lines)
