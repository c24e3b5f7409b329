"""`ming inspect DIR`: what a checkpoint folder holds, and whether this machine can run it.

Reads headers and config files, never weights, so it takes seconds on 38 GB.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from ming_cli.machine import Machine
from ming_core.errors import CheckpointError, MingError
from ming_core.families import open_checkpoint
from ming_core.fitting import FLOATS, How, Need, Room, amount, choose, duration, needs_of
from ming_core.operations import TorchOperations
from ming_core.places import Place
from ming_core.processor_speed import measured_speeds
from ming_core.tensor_files import StoredTensor

BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1, "I8": 1, "U8": 1}
SPARE_BYTES = 600 << 20  # of the device: what ComfyUI leaves free by itself
HOW = {
    How.WHOLE: "gpu",
    How.STREAMED: "gpu, experts streamed from main memory",
    How.STAGED: "gpu, parts stage after stage",
    How.CPU: "cpu",
}


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
    device_bytes: int  # of the weights, what lies on the device while drawing, if all of it does
    working_bytes: int
    whole_bytes: int  # of the device, with room to work, when all of that lies there
    least_bytes: int  # and when what may wait comes as it is asked for
    seconds: float | None  # a picture is estimated to take, where that can be told
    how: str  # one of HOW, or "no: ..."

    @classmethod
    def of(cls, need: Need, room: Room) -> Verdict:
        """Weigh a need against the room of a machine."""
        answer = room.runs(need)
        how = HOW.get(answer.how) or f"no: {answer.reason}"
        return cls(
            need.precision,
            need.weights,
            need.drawing,
            need.working,
            need.whole,
            need.least,
            room.seconds(need),
            how,
        )

    @property
    def duration(self) -> str:
        """The seconds a picture takes, for people."""
        return "-" if self.seconds is None else duration(self.seconds)


@dataclass
class Inspection:
    """Everything `ming inspect` has to say."""

    folders: dict[str, str] = field(default_factory=dict)
    components: list[ComponentSize] = field(default_factory=list)
    particulars: dict[str, str] = field(default_factory=dict)
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
            found.folders = {name: str(place) for name, place in checkpoint.folders().items()}
            checkpoint.read_tokenizer()
            built = checkpoint.build(torch.bfloat16, TorchOperations)
            places, found.problems = checkpoint.match(built)
            found.components = component_sizes(checkpoint.stored, places)
            found.particulars = dict(checkpoint.particulars())
            room = room_of(machine)
            needs = needs_of(checkpoint, FLOATS[room.floats])
    except MingError as error:
        found.problems.append(str(error))
        return found
    found.verdicts = [Verdict.of(need, room) for need in needs]
    with suppress(CheckpointError):  # none fits: the table says by how much
        found.recommended = choose(needs, room).need.precision
    return found


def room_of(machine: Machine) -> Room:
    """Return the room of a machine, as Load MingUniVision sees it in ComfyUI."""
    if machine.free_vram is None:
        speeds = measured_speeds()
        return Room(None, machine.free_ram, floats=speeds.floats, speeds=speeds)
    floats = "bf16" if machine.has_fast_bf16 else "fp16"
    return Room(machine.free_vram, machine.free_ram, SPARE_BYTES, floats)


def component_sizes(
    stored: Mapping[str, StoredTensor], places: Mapping[str, Place]
) -> list[ComponentSize]:
    """Add up parameters and bytes per component; tensors without a place are listed apart."""
    sizes: dict[str, ComponentSize] = {}
    for name, tensor in stored.items():
        owner = places[name].component if name in places else "not used"
        sizes[owner] = sizes.get(owner, ComponentSize(owner)).plus(tensor)
    return list(sizes.values())


def describe(found: Inspection) -> str:
    """Return the report as text."""
    lines = [f"{name:15} {place}" for name, place in found.folders.items()]
    if found.components:
        total = ComponentSize(
            "total",
            sum(component.parameters for component in found.components),
            sum(component.bytes for component in found.components),
        )
        lines += ["", f"{'component':20} {'parameters':>16} {'on disk':>10}  dtypes"]
        lines += [
            f"{size.name:20} {size.parameters:16,} {amount(size.bytes):>10}  "
            f"{', '.join(size.dtypes)}".rstrip()
            for size in [*found.components, total]
        ]
    if found.particulars:
        lines += ["", *(f"{name:15} {text}" for name, text in found.particulars.items())]
    lines += _describe_machine(found)
    if found.problems:
        lines += ["", f"{len(found.problems)} problem(s):", *(f"  {p}" for p in found.problems)]
    return "\n".join(lines)


def _describe_machine(found: Inspection) -> list[str]:
    machine = found.machine
    if machine is None or not found.verdicts:
        return []
    ram = "unknown" if machine.free_ram is None else amount(machine.free_ram)
    lines = ["", f"free main memory: {ram}"]
    if machine.free_vram is not None:
        lines.append(f"{machine.accelerator}: {amount(machine.free_vram)} free")
    lines += [
        "",
        f"{'precision':12} {'weights':>10} {'to draw':>10} {'working':>10} {'on device':>10} "
        f"{'at least':>10} {'a picture':>10}  runs on this machine",
    ]
    lines += [
        f"{v.precision:12} {amount(v.weight_bytes):>10} {amount(v.device_bytes):>10} "
        f"{amount(v.working_bytes):>10} {amount(v.whole_bytes):>10} {amount(v.least_bytes):>10} "
        f"{v.duration:>10}  {v.how}"
        for v in found.verdicts
    ]
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
