"""The recorded sets of Ming-Lite-Uni, and the diffusion half loaded from them by hand."""

import importlib.util
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from safetensors.torch import load_file
from torch import Tensor, nn

from ming_core import TorchOperations
from ming_core.config_section import Section
from ming_core.lite_uni.autoencoder import LatentDecoder
from ming_core.lite_uni.diffusion_config import AutoencoderConfig, DiffusionConfig
from ming_core.lite_uni.diffusion_transformer import DiffusionTransformer
from ming_core.lite_uni.schedule import Schedule

GOLDEN = Path(__file__).parents[2] / "golden_lite"


def read_section(path: Path) -> Section:
    return Section(json.loads(path.read_text()), path.parent.name)


def read_tensors(folder: Path, prefix: str = "") -> dict[str, Tensor]:
    """Every tensor of a folder whose name begins with the prefix, which is cut off."""
    files = sorted(folder.glob("*.safetensors"))
    every = {name: tensor for file in files for name, tensor in load_file(file).items()}
    return {n.removeprefix(prefix): t.float() for n, t in every.items() if n.startswith(prefix)}


def filled(module: nn.Module, tensors: dict[str, Tensor]):
    """Fill a module strictly; published convolutions of 1 x 1 become matrices."""
    own = module.state_dict()
    stored = {name: name.removesuffix(".table") for name in own}
    assert sorted(stored.values()) == sorted(tensors)
    module.load_state_dict({n: tensors[stored[n]].reshape(own[n].shape) for n in own})
    return module.requires_grad_(requires_grad=False)


@dataclass(frozen=True)
class DiffusionSet:
    """The diffusion half of a recorded set, and what was recorded of it."""

    transformer: DiffusionTransformer
    diffusion: DiffusionConfig
    decoder: LatentDecoder
    autoencoder: AutoencoderConfig
    schedule: Schedule
    recorded: dict[str, Tensor]
    manifest: dict[str, Any]
    folder: Path

    @classmethod
    def load(cls, folder: Path) -> "DiffusionSet":
        model = folder / "Ming-Lite-Uni"
        diffusion = DiffusionConfig.read(read_section(model / "transformer/config.json"))
        autoencoder = AutoencoderConfig.read(read_section(model / "vae/config.json"))
        overriding = read_tensors(model / "mlp", "sana.")
        transformer = read_tensors(model / "transformer") | overriding
        return cls(
            filled(DiffusionTransformer(diffusion, TorchOperations), transformer),
            diffusion,
            filled(
                LatentDecoder(autoencoder, TorchOperations),
                read_tensors(model / "vae", "decoder."),
            ),
            autoencoder,
            Schedule.read(read_section(model / "scheduler/scheduler_config.json")),
            load_file(folder / "diffusion_io.safetensors"),
            json.loads((folder / "manifest.json").read_text()),
            folder,
        )


@pytest.fixture(scope="session", params=["a", "b"])
def diffusion_set(request: pytest.FixtureRequest) -> DiffusionSet:
    return DiffusionSet.load(GOLDEN / request.param)


@pytest.fixture(scope="session")
def error():
    """The largest difference, relative to the largest recorded magnitude."""

    def of(ours: Tensor, recorded: Tensor) -> float:
        assert ours.shape == recorded.shape
        return float((ours - recorded).abs().max() / recorded.abs().max())

    return of


@pytest.fixture(scope="session")
def tiny() -> ModuleType:
    """The maker of random checkpoints, which lies beside this file."""
    path = Path(__file__).with_name("tiny.py")
    spec = importlib.util.spec_from_file_location("lite_uni_tiny", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where its dataclasses look for their names
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def by_hand() -> SimpleNamespace:
    """What it takes to load a part without the engine's loader."""
    return SimpleNamespace(filled=filled, read_section=read_section, read_tensors=read_tensors)
