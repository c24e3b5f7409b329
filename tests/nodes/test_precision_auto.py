"""Precision auto: what the host has free decides, the user is told, and the choice is kept."""

import importlib
import logging
import shutil
from collections.abc import Callable, Iterator

import pytest
import torch

pytestmark = pytest.mark.runtime
CPU = torch.device("cpu")


@pytest.fixture
def picking(pack):
    """The file that picks."""
    return importlib.import_module(f"{pack.module.__name__}.nodes.host.precision")


@pytest.fixture
def needs(pack, checkpoint) -> dict:
    """What the tiny checkpoint needs in every precision on a device that likes bf16."""
    fitting = importlib.import_module(f"{pack.core.__name__}.fitting")
    reading = importlib.import_module(f"{pack.core.__name__}.families")
    with reading.open_checkpoint(pack.files.checkpoints().resolve(checkpoint)) as opened:
        return {need.precision: need for need in fitting.needs_of(opened, torch.bfloat16)}


@pytest.fixture
def said(picking, monkeypatch) -> list[str]:
    texts: list[str] = []
    monkeypatch.setattr(picking.HostProgress, "say", lambda self, text: texts.append(text))
    return texts


@pytest.mark.parametrize("precision", ["bf16", "int8", "int4-experts", "int4"])
def test_the_most_exact_one_that_fits_is_picked_and_said(
    pack, checkpoint, picking, needs, said, precision, monkeypatch, caplog
):
    room = pack.core.Room(needs[precision].whole, None, floats="bf16")
    monkeypatch.setattr(picking, "_room", lambda device: room)
    path = pack.files.checkpoints().resolve(checkpoint)
    with caplog.at_level(logging.INFO, "ming"):
        assert picking.automatic_precision(path, CPU) == precision
    assert said == [f"precision auto: {precision} ({said[0].split('(', 1)[1]}"]
    assert "free" in said[0]
    assert said[0] in caplog.text


def test_a_device_too_small_for_anything_is_refused_by_the_node(
    pack, checkpoint, picking, monkeypatch
):
    pack.models._loaded.clear()
    pack.models._picked.clear()
    monkeypatch.setattr(picking, "_room", lambda device: pack.core.Room(1000, None, floats="bf16"))
    with pytest.raises(pack.core.CheckpointError, match=r"no precision:\n  bf16 .*1\.0 kB free"):
        pack.run("LoadModel", checkpoint=checkpoint, precision="auto")


def test_the_choice_stands_while_the_model_is_held(
    pack, checkpoint, picking, needs, said, monkeypatch
):
    pack.models._loaded.clear()
    pack.models._picked.clear()
    rooms = [needs["int8"].whole, needs["int4"].whole]
    monkeypatch.setattr(
        picking, "_room", lambda device: pack.core.Room(rooms.pop(0), None, floats="bf16")
    )
    first = pack.run("LoadModel", checkpoint=checkpoint, precision="auto")[0]
    assert first.engine.quantisation == "int8"
    assert pack.run("LoadModel", checkpoint=checkpoint, precision="auto")[0] is first
    assert pack.run("LoadModel", checkpoint=checkpoint, precision="int8")[0] is first
    del first
    assert pack.run("LoadModel", checkpoint=checkpoint, precision="auto")[
        0
    ].engine.quantisation == ("int4")
    assert len(said) == 2


def test_what_other_models_hold_on_the_device_counts_as_free(picking, monkeypatch):
    management = picking.comfy.model_management
    device = torch.device("meta")

    class Other:
        def __init__(self, where: torch.device) -> None:
            self.device = where

        def model_loaded_memory(self) -> int:
            return 500

    monkeypatch.setattr(management, "get_free_memory", lambda where, *_: 1000)
    monkeypatch.setattr(management, "current_loaded_models", [Other(device), Other(CPU)])
    assert picking._room(device).device == 1500
    assert picking._room(CPU).device is None


def test_what_the_host_keeps_free_decides_which_but_not_whether(
    pack, checkpoint, picking, needs, said, monkeypatch
):
    path = pack.files.checkpoints().resolve(checkpoint)
    ram = needs["fp32"].weights
    monkeypatch.setattr(picking, "_room", lambda device: pack.core.Room(None, ram))
    monkeypatch.setattr(picking, "headroom", lambda: 1)
    assert picking.automatic_precision(path, CPU) == "bf16"
    monkeypatch.setattr(picking, "headroom", lambda: ram)
    assert picking.automatic_precision(path, CPU) == "fp32"


@pytest.mark.parametrize("precision", ["int8", "int4-experts", "int4"])
def test_every_quantisation_draws(pack, checkpoint, precision):
    model = pack.run("LoadModel", checkpoint=checkpoint, precision=precision)[0]
    assert model.engine.quantisation == precision
    latents = pack.run("Generate", model=model, prompt="a cat", steps=2)[1][0].values
    assert torch.isfinite(latents).all()


@pytest.fixture
def converted(pack, folders, checkpoint) -> Iterator[Callable[[str], str]]:
    """Quantise the tiny checkpoint to a folder of its own; return the name it is chosen by."""
    conversion = importlib.import_module(f"{pack.core.__name__}.families")
    target = folders / "models" / "ming_univision" / "converted"

    def convert(precision: str) -> str:
        conversion.convert(pack.files.checkpoints().resolve(checkpoint), target, quantise=precision)
        return target.name

    yield convert
    shutil.rmtree(target)


def test_a_quantised_folder_is_one_model_in_its_own_precision(pack, converted, said):
    name = converted("int8")
    first = pack.run("LoadModel", checkpoint=name, precision="int8")[0]
    assert said == []
    for precision in ("bf16", "int4"):
        assert pack.run("LoadModel", checkpoint=name, precision=precision)[0] is first
    text = "this folder holds its weights in int8; precision is for folders as published"
    assert said == [text, text]
    assert pack.run("LoadModel", checkpoint=name, precision="auto")[0] is first
