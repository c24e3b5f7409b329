"""Which precision a machine has room for, from what it says it needs."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar, Protocol

import torch
from torch import nn

from .errors import CheckpointError

FLOATS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
# Most exact first.
ON_A_CPU = ("fp32", "bf16", "int8", "int4-experts", "int4")
ON_A_DEVICE = ("int8", "int4-experts", "int4")
# What cannot lie on the device is copied for every token, so there few bits come first.
STREAMED = ("int4-experts", "int4", "int8")


class How(str, Enum):
    """How a machine runs a model."""

    WHOLE = "whole"  # all that drawing needs lies on the device
    STREAMED = "streamed"  # experts are copied as they are asked for
    STAGED = "staged"  # parts come when their stage begins, and go
    CPU = "cpu"
    NOT = "not"


@dataclass(frozen=True, slots=True)
class Answer:
    """How a need is met on a machine; where it is not, `reason` says why."""

    how: How
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Need:
    """Bytes that a checkpoint needs in one precision.

    weights   everything, in main memory
    drawing   of these, what a device needs to draw
    waiting   of these, what may wait in main memory until it is asked for
    working   caches and activations of an edit of one picture
    how       what asks for it: every token for some experts, or a stage for its parts
    """

    precision: str
    weights: int
    drawing: int
    waiting: int
    working: int
    how: How = How.STREAMED

    @property
    def whole(self) -> int:
        """Bytes of the device when all of it lies there."""
        return self.drawing + self.working

    @property
    def least(self) -> int:
        """Bytes of the device when what may wait is copied as it is asked for."""
        return self.whole - self.waiting


@dataclass(frozen=True, slots=True)
class Room:
    """Free bytes of a machine; None where unknown.

    device  free on the accelerator; None computes on the CPU
    spare   of the device, to be left alone: what a host and its driver take for themselves
    floats  the precision that the device computes in: bf16, fp16 or fp32
    """

    device: int | None
    ram: int | None
    spare: int = 0
    floats: str = "fp32"

    @property
    def order(self) -> tuple[str, ...]:
        """The precisions to try, most exact first."""
        return ON_A_CPU if self.device is None else (self.floats, *ON_A_DEVICE)

    def runs(self, need: Need) -> Answer:
        """Say how a need is met here, or why not."""
        if self.ram is not None and self.ram < need.weights:
            needed, free = amount(need.weights), amount(self.ram)
            return Answer(How.NOT, f"{needed} of main memory needed, {free} free")
        if self.device is None:
            is_slow = need.precision == "fp16"
            return Answer(How.NOT, "too slow on a CPU") if is_slow else Answer(How.CPU)
        room = self.device - self.spare
        if room >= need.whole:
            return Answer(How.WHOLE)
        if room >= need.least:
            return Answer(need.how)
        least = need.least + self.spare
        needed, free = amount(least), amount(self.device)
        return Answer(How.NOT, f"{needed} of the device needed, {free} free")


@dataclass(frozen=True, slots=True)
class Choice:
    """A precision picked for a machine, and the reason in words."""

    need: Need
    runs: How
    reason: str


class Measurable(Protocol):
    """A checkpoint that can say what it needs."""

    quantisations: ClassVar[Sequence[str]]  # that differ for it

    @property
    def quantisation(self) -> str | None:
        """How its files are quantised already."""
        ...

    def need(self, precision: str, floats: torch.dtype) -> Need:
        """Return what it needs in a precision."""
        ...


def needs_of(checkpoint: Measurable, floats: torch.dtype) -> list[Need]:
    """Return what a checkpoint needs in every precision it can be loaded in.

    floats  what quantised weights are computed with. Nothing is allocated.
    """
    stored = checkpoint.quantisation
    names = (stored,) if stored is not None else (*FLOATS, *checkpoint.quantisations)
    return [checkpoint.need(name, floats) for name in names]


def choose(needs: Sequence[Need], room: Room) -> Choice:
    """Pick the most exact precision that lies on the device as a whole, else in part.

    Where parts come by stages, which is once a picture, the most exact is the first choice again.

    Raises CheckpointError with the numbers when there is none.
    """
    by_name = {need.precision: need for need in needs}
    order = [name for name in room.order if name in by_name]
    streamed = [name for name in (*STREAMED, room.floats) if name in by_name] or order
    runs = {name: room.runs(by_name[name]) for name in {*order, *streamed}}
    for name in order:
        how = runs[name].how
        if how in (How.WHOLE, How.CPU):
            return Choice(by_name[name], how, _reason(by_name[name], room, how))
    for name in streamed:
        if runs[name].how is How.STREAMED:
            return Choice(by_name[name], How.STREAMED, _reason(by_name[name], room, How.STREAMED))
    for name in order:
        if runs[name].how is How.STAGED:
            return Choice(by_name[name], How.STAGED, _reason(by_name[name], room, How.STAGED))
    lines = "\n".join(f"  {name:12} {runs[name].reason}" for name in order)
    raise CheckpointError(
        f"This checkpoint fits this machine in no precision:\n{lines}\n"
        "Free some memory, or use a machine with more."
    )


def amount(count: int) -> str:
    """Write a number of bytes for people."""
    for unit, one in (("GB", 1e9), ("MB", 1e6)):
        if count >= one:
            return f"{count / one:.1f} {unit}"
    return f"{count / 1e3:.1f} kB"


def num_bytes(modules: Iterable[nn.Module]) -> int:
    """Add up parameters and buffers."""
    return sum(tensor.nbytes for module in modules for tensor in module.state_dict().values())


def _reason(need: Need, room: Room, how: How) -> str:
    if how is How.CPU:
        free = "unknown" if room.ram is None else amount(room.ram)
        return f"{amount(need.weights)} of main memory for the weights, {free} free"
    free = amount(room.device or 0)
    if how is How.WHOLE:
        return f"{amount(need.whole + room.spare)} of the device with room to work, {free} free"
    least = f"{amount(need.least + room.spare)} of the device"
    if how is How.STAGED:
        return f"{least} for the largest stage, {free} free; parts come when their stage begins"
    return (
        f"{least} without the experts, {free} free; "
        f"{amount(need.waiting)} of experts are copied as they are needed"
    )
