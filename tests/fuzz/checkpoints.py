"""Checkpoint folders of both families with one file wrong: found, opened, compared, loaded."""

import importlib.util
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random

import torch

from ming_bench.tiny_checkpoint.make import make_tiny
from ming_core import MingError, Room, families
from ming_core.operations import TorchOperations

from .judging import expect, ours
from .mutators import mutated_bytes, mutated_json, mutated_safetensors

Case = Callable[[Random], None]
LITE_TINY = Path(__file__).parents[1] / "core" / "lite_uni" / "tiny.py"
JSON_SHARE, LOADED = 0.7, 0.05  # of the cases change JSON; of those that fit are loaded


def univision(folder: Path) -> Case:
    """Published and converted folders of the first family."""
    make_tiny(folder / "published")
    families.convert(folder / "published", folder / "converted", quantise="int8")
    return _cases(folder, ("published", "converted"))


def lite_uni(folder: Path) -> Case:
    """Folders of the second family, one of them in shards."""
    module = _lite_tiny()
    module.make_tiny(folder / "published")
    module.make_tiny(folder / "shards", module.Variant(shards=("transformer", "qwen2_5_llm")))
    return _cases(folder, ("published", "shards"))


def odd_entries(folder: Path) -> Case:
    """A models folder in which things lie that are no files, or have names that are no text."""
    make_tiny(folder / "good")

    def case(dice: Random) -> None:
        names = (b"a", b"\xff", "\N{PURPLE HEART}".encode(), b"x" * 255, b"a\nb", b"config.json")
        above = dice.choice((folder, folder / "good", folder / "good" / "Ming-UniVision"))
        path = above / os.fsdecode(dice.choice(names)) if above == folder else above / "odd"
        _put_something_odd(dice, path)
        try:
            expect("good/Ming-UniVision" in families.list_checkpoints(folder), "a folder is lost")
            families.unreadable_configs(folder)
            expect(families.looks_whole(folder / "good"), "a whole folder is not")
        finally:
            _remove(path)

    return case


def _put_something_odd(dice: Random, path: Path) -> None:
    match dice.randrange(5):
        case 0:
            os.mkfifo(path)
        case 1:
            path.symlink_to(path)
        case 2:
            path.symlink_to("/dev/zero")
        case 3:
            path.mkdir()
            os.mkfifo(path / "config.json")
        case _:
            path.mkdir()
            (path / "config.json").write_bytes(mutated_json(dice, {"a": {"b": [1]}}))


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _lite_tiny():  # noqa: ANN202  a module
    spec = importlib.util.spec_from_file_location("fuzz_lite_tiny", LITE_TINY)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where its dataclasses look for their names
    spec.loader.exec_module(module)
    return module


def _cases(folder: Path, names: tuple[str, ...]) -> Case:
    kept = {
        path: path.read_bytes()
        for name in names
        for path in sorted((folder / name).rglob("*"))
        if path.is_file()
    }
    jsons = [path for path in kept if path.suffix == ".json"]
    weights = [path for path in kept if path.suffix == ".safetensors"]

    def case(dice: Random) -> None:
        path = dice.choice(jsons if dice.random() < JSON_SHARE else weights)
        try:
            path.write_bytes(_mutated(dice, path, kept[path]))
            _use(dice, folder, next(folder / name for name in names if name in path.parts))
        finally:
            path.write_bytes(kept[path])

    return case


def _mutated(dice: Random, path: Path, content: bytes) -> bytes:
    if path.suffix == ".safetensors":
        return mutated_safetensors(dice, content)
    if path.name == "tokenizer.json":
        # Beyond JSON itself this is the package's own: what it does with a wrong one is guarded.
        return mutated_bytes(dice, content)
    return mutated_json(dice, json.loads(content))


def _use(dice: Random, root: Path, checkpoint: Path) -> None:
    families.list_checkpoints(root)
    families.unreadable_configs(root)
    is_whole = families.looks_whole(checkpoint)
    with ours(MingError):
        families.stored_quantisation(checkpoint)
        families.pick_precision(checkpoint, Room(device=None, ram=1 << 40))
    with ours(MingError), families.open_checkpoint(checkpoint) as opened:
        expect(is_whole, "a folder that opens does not look whole")
        parts = opened.build(torch.float32, TorchOperations)
        _, problems = opened.match(parts)
        expect(len("\n".join(problems)) < 1 << 20, "problems as long as a book")
        if problems or dice.random() > LOADED:
            return
    with ours(MingError):
        model = families.load_model(checkpoint)
        filled = [tensor for part in model.components.values() for tensor in part.parameters()]
        expect(not any(tensor.is_meta for tensor in filled), "something is not filled")
