"""Where the model that is measured comes from: a checkpoint, or random weights of some size."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from ming_core import CheckpointError, MingModel, TorchOperations, load_model, stored_quantisation
from ming_core.fitting import FLOATS, amount, num_bytes
from ming_core.quantisation import QUANTISATIONS, operations_for
from ming_core.tensor_files import read_json
from ming_core.univision.config import MingConfig
from ming_core.univision.folders import find_checkpoint
from ming_core.univision.model import Components

from .random_model import SIZES, random_model

# precision: dtype that is computed in, and how the large matrices are quantised
PRECISIONS: dict[str, tuple[torch.dtype, str | None]] = {
    **{name: (dtype, None) for name, dtype in FLOATS.items()},
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

    def refuse(self, precision: str, free: int | None) -> None:
        """Raise CheckpointError where the folder holds another precision, or `free` is too little.

        free  bytes where the weights will lie; None where nobody knows
        """
        if self.stored not in (None, precision):
            raise CheckpointError(
                f"{self.name} holds {self.stored}, not {precision}; give the published folder, or "
                f"--precision {self.stored}."
            )
        needed = weight_bytes(self.config, precision)
        if free is not None and needed > free:
            raise CheckpointError(
                f"{self.name}: {precision} weights take {amount(needed)}, {amount(free)} are free. "
                "Choose a smaller --precision or --size, or another device."
            )


def source_of(folder: Path | None, configs: Path | None, size: str) -> Source:
    """Choose a source: a checkpoint folder, the config files of one, or a named size."""

    def load(precision: str, device: torch.device) -> MingModel:
        dtype, quantise = PRECISIONS[precision]
        own, on_cpu = folder or Path(), device.type == "cpu"
        loaded = load_model(own, dtype=dtype, quantise=quantise, on_processor=on_cpu)
        return loaded.to(device)

    def draw(precision: str, device: torch.device) -> MingModel:
        dtype, quantise = PRECISIONS[precision]
        return random_model(config, dtype, device, operations_for(TorchOperations, quantise))

    if folder is not None:
        stored = stored_quantisation(folder)
        return Source(str(folder), read_config(folder), load, is_trained=True, stored=stored)
    config = read_config(configs) if configs is not None else SIZES[size]
    return Source(f"random weights, {configs or size}", config, draw)


def read_config(folder: Path) -> MingConfig:
    """Read the two config.json files of a checkpoint, whose weights need not be there."""
    found = find_checkpoint(folder)
    files = (found.univision, found.mingtok)
    return MingConfig.read(*(read_json(file / "config.json") for file in files))


def weight_bytes(config: MingConfig, precision: str) -> int:
    """Return the bytes of the weights in a precision; nothing is allocated."""
    dtype, quantise = PRECISIONS[precision]
    operations = operations_for(TorchOperations, quantise)
    return num_bytes(Components.build(config, operations, dtype).named().values())
