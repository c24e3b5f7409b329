"""Which precision a machine has room for, from what it says it needs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
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
PATIENCE = 60.0  # seconds a picture may take on a CPU before it gets fewer bits than would fit


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
class Work:
    """What drawing one picture asks of a processor.

    weights  multiplied by a few rows, each time they are read, by the format they are kept in
    calls    of anything at all
    """

    weights: Mapping[str, float]
    calls: float


@dataclass(frozen=True, slots=True)
class Speeds:
    """Seconds a processor takes: for a weight in a product of a few rows, by format; for a call."""

    weight: Mapping[str, float]
    call: float

    def seconds(self, work: Work) -> float:
        """Estimate how long some work takes."""
        reading = sum(count * self.weight[form] for form, count in work.weights.items())
        return reading + work.calls * self.call

    @property
    def floats(self) -> str:
        """What to compute in beside weights of few bits: bf16 where that is no detour."""
        return "bf16" if self.weight["bf16"] < self.weight["fp32"] else "fp32"


@dataclass(frozen=True, slots=True)
class Need:
    """Bytes that a checkpoint needs in one precision.

    weights   everything, in main memory
    drawing   of these, what a device needs to draw
    waiting   of these, what may wait in main memory until it is asked for
    working   caches and activations of an edit of one picture
    how       what asks for it: every token for some experts, or a stage for its parts
    work      of a processor that draws a picture, where it can be told
    """

    precision: str
    weights: int
    drawing: int
    waiting: int
    working: int
    how: How = How.STREAMED
    work: Work | None = field(default=None, compare=False)

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
    speeds  of the processor, where that computes
    """

    device: int | None
    ram: int | None
    spare: int = 0
    floats: str = "fp32"
    speeds: Speeds | None = None

    def seconds(self, need: Need) -> float | None:
        """Estimate how long a picture takes; None where that cannot be told."""
        if self.device is not None or self.speeds is None or need.work is None:
            return None
        # 16 bits that a processor has to widen are no work it can be measured at.
        return None if need.precision == "fp16" else self.speeds.seconds(need.work)

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

    On a CPU, of those that main memory holds, the most exact one that draws a picture within
    `PATIENCE`; where none does, the fastest.

    Raises CheckpointError with the numbers when there is none.
    """
    by_name = {need.precision: need for need in needs}
    order = [name for name in room.order if name in by_name]
    streamed = [name for name in (*STREAMED, room.floats) if name in by_name] or order
    runs = {name: room.runs(by_name[name]) for name in {*order, *streamed}}
    on_cpu = [by_name[name] for name in order if runs[name].how is How.CPU]
    for name in [_bearable(on_cpu, room)] if on_cpu else order:
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


def _bearable(needs: Sequence[Need], room: Room) -> str:
    """Return the precision of those that fit a CPU, most exact first, that is fast enough."""
    seconds = {need.precision: room.seconds(need) for need in needs}
    known = {name: taken for name, taken in seconds.items() if taken is not None}
    if len(known) < len(needs):
        return needs[0].precision
    quick = [name for name, taken in known.items() if taken <= PATIENCE]
    return quick[0] if quick else min(known, key=known.__getitem__)


def amount(count: int) -> str:
    """Write a number of bytes for people."""
    for unit, one in (("GB", 1e9), ("MB", 1e6)):
        if count >= one:
            return f"{count / one:.1f} {unit}"
    return f"{count / 1e3:.1f} kB"


def duration(seconds: float) -> str:
    """Write a time for people."""
    if seconds < 1:
        return f"{seconds:.1f} s"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def num_bytes(modules: Iterable[nn.Module]) -> int:
    """Add up parameters and buffers."""
    return sum(tensor.nbytes for module in modules for tensor in module.state_dict().values())


def _reason(need: Need, room: Room, how: How) -> str:
    if how is How.CPU:
        free = "unknown" if room.ram is None else amount(room.ram)
        text = f"{amount(need.weights)} of main memory for the weights, {free} free"
        seconds = room.seconds(need)
        return text if seconds is None else f"{text}; about {duration(seconds)} a picture"
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
