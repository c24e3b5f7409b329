"""The pieces of work that write files: contexts, conversions, downloads, batches, training."""

import argparse
import contextlib
import io
import json
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from unittest import mock

import torch

import ming_download
from ming_bench.tiny_checkpoint.config import Sizes
from ming_bench.tiny_checkpoint.make import make_tiny
from ming_cli.__main__ import main as ming
from ming_core import (
    ImageSampling,
    MingError,
    families,
    generate,
    load_context,
    load_model,
    save_context,
)
from ming_core.component_files import COMPONENTS_NAME
from ming_run.comfyui_process import find_comfyui
from training.__main__ import command_line
from training.tokenizer import write_tokenizer

from .forking import Work

ROOT = Path(__file__).parents[2]
sys.path += [str(ROOT / "tests" / "nodes"), str(ROOT / "tests" / "host")]
from bases import make_base  # noqa: E402
from comfy_server import ComfyServer  # noqa: E402
from fake_hub import FakeHub  # noqa: E402

JOURNAL, PROMPTS = "ming-batch.jsonl", "a circle\na square\na star\ntwo squares\n"
WORKFLOW = ROOT / "workflows" / "01 Text to image.json"
REPOSITORY = "owner/tiny"
TINY_RUN = {
    **{"size": "test", "tokenizer_steps": 4, "tokenizer_batch": 8, "joint_steps": 4},
    **{"refine_steps": 4, "decoder_steps": 4, "batch": 3, "seed": 1, "device": "cpu", "rank": 0},
}
SMALL_POOLS = {
    "tokenizer_stage": {"POOL": 32, "LARGE_POOL": 16, "MEASURED": 12},
    "decoder_stage": {"MEASURED": 12},
    "rich_pictures": {"CHUNK": 16},
    "probation": {"PICTURES": 1, "QUESTIONS": 1},
}


def saving(folder: Path) -> Work:
    """Contexts written over one another, the last one last."""
    model, quick = load_model(make_tiny(folder / "tiny")), ImageSampling(steps=1)
    contexts = [
        generate(model, prompt, seeds=[1], sampling=quick)[0].context
        for prompt in PROMPTS.splitlines()
    ]

    def do(place: Path) -> None:
        for context in [*contexts * 25, contexts[0]]:
            save_context(context, place / "a.mingctx.safetensors")

    def check(place: Path) -> None:
        path = place / "a.mingctx.safetensors"
        said = [context.turns[0].prompt_text for context in contexts]
        assert not path.exists() or load_context(path).turns[0].prompt_text in said

    return Work("saving", do, check)


def converting(folder: Path) -> Work:
    """A checkpoint converted to int8."""
    source = make_tiny(folder / "tiny")

    def do(place: Path) -> None:
        families.convert(source, place / "made", quantise="int8")

    def check(place: Path) -> None:
        with contextlib.suppress(MingError):  # refused: nobody takes it for whole
            load_model(place / "made")
            assert (place / "made" / COMPONENTS_NAME).exists()

    return Work("converting", do, check)


def downloading(folder: Path) -> Work:
    """A repository fetched from a hub on this machine."""
    del folder
    files = {f"model-{i}.safetensors": bytes([i]) * 20_000_000 for i in range(4)}
    files |= {"config.json": b"{}", "README.md": b"# tiny\n"}
    hub = FakeHub({REPOSITORY: files})
    os.environ |= {"MODELSCOPE_DOMAIN": hub.url, "NO_PROXY": "*"}

    def do(place: Path) -> None:
        source = ming_download.ModelScope()
        repository = [ming_download.Repository(REPOSITORY)]
        plan = ming_download.make_plan(source, repository, place, _Watch())
        ming_download.download(plan, _Watch())

    def check(place: Path) -> None:
        for path in (place / "tiny").glob("*"):
            assert path.name not in files or path.read_bytes() == files[path.name], path

    return Work("downloading", do, check)


class _Watch:
    """Lets everything happen."""

    def advance(self, done: int, total: int) -> None: ...
    def advance_file(self, name: str, done: int, total: int) -> None: ...
    def check_cancelled(self) -> None: ...


def batch(name: str, folder: Path, *options: str, repeats: int = 1) -> Work:
    """A list of prompts, each drawn and saved under the name of its row."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = folder / "rows.txt"
    rows.write_text(PROMPTS * repeats, encoding="utf-8")
    command = ["batch", str(rows), str(WORKFLOW), *options, "--set", "AR Generate.steps=1"]

    def do(place: Path) -> None:
        tempfile.tempdir = str(folder)  # what a killed command leaves goes with the rest
        told = io.StringIO()
        with contextlib.redirect_stdout(told), contextlib.redirect_stderr(told):
            status = ming([*command, "--output", str(place)])
        assert status == 0, told.getvalue()

    def check(place: Path) -> None:
        journal = place / JOURNAL
        lines = journal.read_text().splitlines() if journal.exists() else []
        for entry in _whole_lines(lines):
            assert all((place / file).stat().st_size for file in entry["files"]), entry

    return Work(name, do, check, ignored=(JOURNAL,))


def on_server(folder: Path) -> Work:
    """A batch on a ComfyUI that runs already."""
    running = ComfyServer(_comfyui(), make_base(folder / "base"))
    url = f"http://127.0.0.1:{running.port}"
    return replace(batch("server", folder, "--server", url, repeats=6), close=running.stop)


def in_own_comfyui(folder: Path) -> Work:
    """A batch that starts a ComfyUI, which must end with it."""
    tiny = make_tiny(folder / "tiny")
    options = ("--comfyui", str(_comfyui()), "--checkpoint", str(tiny))
    work = batch("comfyui", folder, *options, repeats=6)

    def check(place: Path) -> None:
        work.check(place)
        deadline = time.monotonic() + 60
        while left := [line for line in _command_lines() if f"{folder}/ming-run-" in line]:
            assert time.monotonic() < deadline, f"still runs: {left}"
            time.sleep(0.1)

    return replace(work, check=check)


def _comfyui() -> Path:
    found = find_comfyui(ROOT)
    assert found is not None, "no ComfyUI was found: name its folder in COMFYUI_PATH"
    return found


def _command_lines() -> Iterator[str]:
    """The commands that run now (Linux)."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            yield path.read_bytes().replace(b"\0", b" ").decode(errors="replace")


def _whole_lines(lines: list[str]) -> list[Mapping[str, list[str]]]:
    found = []
    for line in lines:
        with contextlib.suppress(ValueError):
            found.append(json.loads(line))
    return found


def training(folder: Path) -> Work:
    """A training run of a few steps in every stage, saved after each."""
    write_tokenizer(folder / "tokenizer")
    words = {p.name: p.read_bytes() for p in (folder / "tokenizer").iterdir()}

    def do(place: Path) -> None:
        (place / "tokenizer").mkdir(exist_ok=True)
        for name, content in words.items():
            (place / "tokenizer" / name).write_bytes(content)
        run = _tiny_run(place)
        assert run.go()
        weights = {
            f"{name}.{path}": tensor.tolist()
            for name, module in run.components.named().items()
            for path, tensor in module.state_dict().items()
        }
        (place / "weights.json").write_text(json.dumps(weights))

    def check(place: Path) -> None:
        if (place / "state.pt").exists():
            torch.load(place / "state.pt", weights_only=True)

    return Work("training", do, check, ignored=("state.pt", "state.partial"))


def _tiny_run(place: Path):  # noqa: ANN202  of a package that is imported only here
    import importlib

    command = importlib.import_module("training.run")
    for module, figures in SMALL_POOLS.items():
        for name, figure in figures.items():
            setattr(importlib.import_module(f"training.{module}"), name, figure)
    command.PRESETS["test"] = Sizes(32, 2, 4, 2, 8, 4, 2, 16, 32, 1, 64, 1)
    real = command.Settings

    def often(*values: object, **named: object) -> object:
        return real(*values, **named, save_every=0.0)

    warnings.simplefilter("ignore")
    with mock.patch.object(command, "Settings", often):
        args = vars(command_line().parse_args([str(place)]))
        return command.Run(argparse.Namespace(**{**args, **TINY_RUN}))


WORKS: Mapping[str, Callable[[Path], Work]] = {
    "saving": saving,
    "converting": converting,
    "downloading": downloading,
    "training": training,
    "batch": lambda folder: batch(
        "batch", folder, "--headless", "--checkpoint", str(make_tiny(folder / "tiny"))
    ),
    "server": on_server,
    "comfyui": in_own_comfyui,
    "ray": lambda folder: batch(
        "ray", folder, "--ray", "local", "--checkpoint", str(make_tiny(folder / "tiny"))
    ),
}
