"""`ming inspect DIR`: what a checkpoint folder holds, and whether this machine can run it.

Reads headers and config files, never weights, so it takes seconds on 38 GB.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ming_core.checkpoint import OpenCheckpoint, open_checkpoint, read_tokenizer
from ming_core.checkpoint_files import StoredTensor
from ming_core.errors import MingError
from ming_core.key_map import Place
from ming_core.model import Components
from ming_core.operations import TorchOperations

from .machine import Machine

BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1, "I8": 1, "U8": 1}
WORKING_BYTES = 2 << 30  # activations, a long context's cache and the decoder's peak, roundly
STREAMING_BYTES = 4 << 30  # what the host needs on the device to stream layers from main memory


@dataclass(frozen=True)
class ComponentSize:
    """What one component takes on disk."""

    name: str
    parameters: int = 0
    bytes: int = 0
    dtypes: tuple[str, ...] = ()

    def plus(self, tensor: StoredTensor) -> ComponentSize:
        """Count one more tensor."""
        dtypes = tuple(sorted({*self.dtypes, tensor.dtype}))
        size = self.bytes + tensor.num_elements * BYTES.get(tensor.dtype, 4)
        return ComponentSize(self.name, self.parameters + tensor.num_elements, size, dtypes)


@dataclass(frozen=True)
class Verdict:
    """Whether and how this machine runs the model in one precision."""

    precision: str
    weight_bytes: int
    how: str  # "gpu", "gpu, streamed from main memory", "cpu", or "no: ..."

    @property
    def is_possible(self) -> bool:
        """True when the model can run so."""
        return not self.how.startswith("no")


@dataclass
class Inspection:
    """Everything `ming inspect` has to say."""

    univision: str = ""
    mingtok: str = ""
    components: list[ComponentSize] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    recommended: str | None = None
    machine: Machine | None = None

    @property
    def is_usable(self) -> bool:
        """True when the folder is whole and this machine can run it in some precision."""
        return not self.problems and self.recommended is not None


def inspect(folder: Path, machine: Machine) -> Inspection:
    """Read the headers of a checkpoint and weigh them against a machine."""
    found = Inspection(machine=machine)
    try:
        with open_checkpoint(folder) as checkpoint:
            found.univision = str(checkpoint.folder.univision)
            found.mingtok = str(checkpoint.folder.mingtok)
            read_tokenizer(checkpoint.folder, checkpoint.config)
            built = checkpoint.build(torch.bfloat16, TorchOperations)
            places, found.problems = checkpoint.match(built)
            found.components = component_sizes(checkpoint.stored, places)
            weights = weights_by_precision(checkpoint, built)
    except MingError as error:
        found.problems.append(str(error))
        return found
    found.verdicts = [
        Verdict(precision, size, how_it_runs(size, precision, machine))
        for precision, size in weights.items()
    ]
    found.recommended = recommend(found.verdicts, machine)
    return found


def weights_by_precision(checkpoint: OpenCheckpoint, built: Components) -> dict[str, int]:
    """Return the bytes of the weights in every precision this checkpoint can be loaded in.

    built  the model in 16 bit, as the checkpoint has it; nothing is allocated
    """
    as_built = num_bytes(built.named().values())
    if checkpoint.converted is not None and checkpoint.converted.is_int8:
        return {"int8": as_built}
    small = checkpoint.build(torch.bfloat16, TorchOperations, quantise=True)
    exact = sum(p.numel() * 4 for part in built.named().values() for p in part.parameters())
    return {
        "int8": num_bytes(small.named().values()),
        "bf16": as_built,
        "fp16": as_built,
        "fp32": exact,
    }


def num_bytes(modules: Iterable[nn.Module]) -> int:
    """Add up parameters and buffers."""
    return sum(tensor.nbytes for module in modules for tensor in module.state_dict().values())


def component_sizes(
    stored: Mapping[str, StoredTensor], places: Mapping[str, Place]
) -> list[ComponentSize]:
    """Add up parameters and bytes per component; tensors without a place are listed apart."""
    sizes: dict[str, ComponentSize] = {}
    for name, tensor in stored.items():
        owner = places[name].component if name in places else "not used"
        sizes[owner] = sizes.get(owner, ComponentSize(owner)).plus(tensor)
    return list(sizes.values())


def how_it_runs(weights: int, precision: str, machine: Machine) -> str:
    """Say how a machine runs weights of this many bytes."""
    ram, vram = machine.free_ram, machine.free_vram
    if ram is not None and ram < weights:
        return f"no: loading needs {gigabytes(weights)} of main memory, {gigabytes(ram)} are free"
    if vram is None:
        return "no: too slow on a CPU" if precision == "fp16" else "cpu"
    if vram >= weights + WORKING_BYTES:
        return "gpu"
    if vram >= STREAMING_BYTES:
        return "gpu, streamed from main memory"
    return "cpu"


def recommend(verdicts: list[Verdict], machine: Machine) -> str | None:
    """Return the precision to use: the most exact one that runs well, else one that runs."""
    order = ("fp32", "bf16", "int8")
    if machine.free_vram is not None:
        order = ("bf16", "fp16", "int8") if machine.has_fast_bf16 else ("fp16", "bf16", "int8")
    possible = {verdict.precision: verdict for verdict in verdicts if verdict.is_possible}
    resident = [precision for precision, verdict in possible.items() if verdict.how == "gpu"]
    return next((p for wanted in (resident, possible) for p in order if p in wanted), None)


def gigabytes(count: int) -> str:
    """Write a number of bytes for people."""
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count / 1e3:.1f} kB"


def describe(found: Inspection) -> str:
    """Return the report as text."""
    lines = [f"Ming-UniVision  {found.univision or '-'}", f"MingTok-Vision  {found.mingtok or '-'}"]
    if found.components:
        total = ComponentSize(
            "total",
            sum(component.parameters for component in found.components),
            sum(component.bytes for component in found.components),
        )
        lines += ["", f"{'component':20} {'parameters':>16} {'on disk':>10}  dtypes"]
        lines += [
            f"{size.name:20} {size.parameters:16,} {gigabytes(size.bytes):>10}  "
            f"{', '.join(size.dtypes)}".rstrip()
            for size in [*found.components, total]
        ]
    lines += _describe_machine(found)
    if found.problems:
        lines += ["", f"{len(found.problems)} problem(s):", *(f"  {p}" for p in found.problems)]
    return "\n".join(lines)


def _describe_machine(found: Inspection) -> list[str]:
    machine = found.machine
    if machine is None or not found.verdicts:
        return []
    ram = "unknown" if machine.free_ram is None else gigabytes(machine.free_ram)
    lines = ["", f"free main memory: {ram}"]
    if machine.free_vram is not None:
        lines.append(f"{machine.accelerator}: {gigabytes(machine.free_vram)} free")
    lines += ["", f"{'precision':10} {'weights':>10}  runs on this machine"]
    lines += [f"{v.precision:10} {gigabytes(v.weight_bytes):>10}  {v.how}" for v in found.verdicts]
    advice = found.recommended or "none: this machine cannot run it"
    return [*lines, "", f"recommended precision: {advice}"]


def as_json(found: Inspection) -> dict[str, Any]:
    """Return the report as plain values."""
    return {**asdict(found), "is_usable": found.is_usable}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line of `ming inspect`."""
    parser.add_argument("folder", type=Path, help="the checkpoint folder, or one around it")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def main(args: argparse.Namespace) -> int:
    """Print the report; exit code 1 when the folder or the machine will not do."""
    found = inspect(args.folder, Machine.here())
    print(json.dumps(as_json(found), indent=1) if args.json else describe(found))
    if not found.is_usable:
        print("\nThis checkpoint cannot be used here.", file=sys.stderr)
    return 0 if found.is_usable else 1
