"""Where the model that is measured comes from: a checkpoint, or random weights of some size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from ming_cli.machine import Machine
from ming_core import (
    CheckpointError,
    MingModel,
    TorchOperations,
    load_model,
    stored_quantisation,
)
from ming_core.fitting import amount, num_bytes
from ming_core.quantisation import QUANTISATIONS, operations_for
from ming_core.tensor_files import read_json
from ming_core.univision.config import MingConfig
from ming_core.univision.folders import find_checkpoint
from ming_core.univision.model import Components

from .random_model import SIZES, random_model

# precision: dtype that is computed in, and how the large matrices are quantised
PRECISIONS: dict[str, tuple[torch.dtype, str | None]] = {
    "fp32": (torch.float32, None),
    "bf16": (torch.bfloat16, None),
    "fp16": (torch.float16, None),
    **{name: (torch.bfloat16, name) for name in QUANTISATIONS},
}
EXACT = "fp32"


@dataclass(frozen=True)
class Source:
    """A model that can be made in any precision, of the same weights each time."""

    name: str
    config: MingConfig
    make: Callable[[str, torch.device], MingModel]
    is_trained: bool = False
    stored: str | None = None  # what its folder was quantised to: nothing else can be made of it


def checkpoint_source(folder: Path) -> Source:
    """Take the weights of a checkpoint folder."""

    def make(precision: str, device: torch.device) -> MingModel:
        dtype, quantise = PRECISIONS[precision]
        return load_model(folder, dtype=dtype, quantise=quantise).to(device)

    stored = stored_quantisation(folder)
    return Source(str(folder), read_config(folder), make, is_trained=True, stored=stored)


def random_source(name: str, config: MingConfig) -> Source:
    """Make random weights of a config on the device."""

    def make(precision: str, device: torch.device) -> MingModel:
        dtype, quantise = PRECISIONS[precision]
        operations = operations_for(TorchOperations, quantise)
        return random_model(config, dtype, device, operations)

    return Source(f"random weights, {name}", config, make)


def source_of(folder: Path | None, configs: Path | None, size: str) -> Source:
    """Choose a source: a checkpoint folder, the config files of one, or a named size."""
    if folder is not None:
        return checkpoint_source(folder)
    if configs is not None:
        return random_source(f"config of {configs}", read_config(configs))
    return random_source(size, SIZES[size])


def read_config(folder: Path) -> MingConfig:
    """Read the two config.json files of a checkpoint, whose weights need not be there."""
    found = find_checkpoint(folder)
    univision, mingtok = found.univision / "config.json", found.mingtok / "config.json"
    return MingConfig.read(read_json(univision), read_json(mingtok))


def weight_bytes(config: MingConfig, precision: str) -> int:
    """Return the bytes of the weights in a precision; nothing is allocated."""
    dtype, quantise = PRECISIONS[precision]
    operations = operations_for(TorchOperations, quantise)
    return num_bytes(Components.build(config, operations, dtype).named().values())


def shortage(config: MingConfig, precision: str, device: torch.device) -> str | None:
    """Say what is missing for the weights to fit the device; None when they do, or none can say."""
    machine, needed = Machine.here(), weight_bytes(config, precision)
    free = machine.free_vram if device.type == "cuda" else machine.free_ram
    if free is None or needed <= free:
        return None
    return f"{precision} weights take {amount(needed)}, {amount(free)} are free on {device}"


def refuse_unusable(source: Source, precision: str, device: torch.device) -> None:
    """Raise CheckpointError where the folder holds another precision, or the weights cannot fit."""
    if source.stored not in (None, precision):
        raise CheckpointError(
            f"{source.name} holds {source.stored}, not {precision}; give the published folder, or "
            f"--precision {source.stored}."
        )
    lacking = shortage(source.config, precision, device)
    if lacking is not None:
        raise CheckpointError(
            f"{source.name}: {lacking}. Choose a smaller --precision or --size, or another device."
        )
