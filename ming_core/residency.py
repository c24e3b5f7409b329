"""Which experts of a layer rest on the device, when there is room for some of them only.

Knows nothing about layers: it is shown stacks of tensors and asked for one index of them. The
host decides on the room (docs/decisions/0019).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

MEMORY = 64  # uses per slot after which every count is halved, so that habits can change


@dataclass(slots=True)
class Traffic:
    """What slots were asked for, and what that copied [bytes]."""

    asked: int = 0
    found: int = 0
    bytes_copied: int = 0


class ExpertSlots:
    """Room on a device for some experts of one stack; the most used ones come to rest there.

    An expert without a slot is copied when asked for. The copy takes the slot of the least used
    one if it was itself used more often, so that promoting costs nothing beyond that copy.
    """

    def __init__(self, stacks: tuple[Tensor, ...], num_slots: int, device: torch.device) -> None:
        self.traffic = Traffic()
        self._device = device
        self._room = tuple(
            torch.empty(num_slots, *stack.shape[1:], dtype=stack.dtype, device=device)
            for stack in stacks
        )
        self._free = list(range(num_slots))
        self._slot_of: dict[int, int] = {}
        self._uses: Counter[int] = Counter()
        self._until_halved = MEMORY * max(1, num_slots)

    @property
    def nbytes(self) -> int:
        """The bytes of the room."""
        return sum(room.nbytes for room in self._room)

    @property
    def resident(self) -> frozenset[int]:
        """The experts that rest here."""
        return frozenset(self._slot_of)

    def take(self, expert: int, stacks: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return one expert of every stack on the device, valid until the next call."""
        self._count(expert)
        slot = self._slot_of.get(expert)
        if slot is not None:
            self.traffic.found += 1
            return tuple(room[slot] for room in self._room)
        parts = tuple(stack[expert] for stack in stacks)
        self.traffic.bytes_copied += sum(part.nbytes for part in parts)
        slot = self._earned(expert)
        if slot is None:
            return tuple(part.to(self._device, non_blocking=True) for part in parts)
        for room, part in zip(self._room, parts, strict=True):
            room[slot].copy_(part, non_blocking=True)
        self._slot_of[expert] = slot
        return tuple(room[slot] for room in self._room)

    def _earned(self, expert: int) -> int | None:
        """Return a slot that is free, or that a less used expert gives up."""
        if self._free:
            return self._free.pop()
        if not self._slot_of:
            return None
        least = min(self._slot_of, key=self._uses.__getitem__)
        if self._uses[least] >= self._uses[expert]:
            return None
        return self._slot_of.pop(least)

    def _count(self, expert: int) -> None:
        self.traffic.asked += 1
        self._uses[expert] += 1
        self._until_halved -= 1
        if self._until_halved == 0:
            self._uses = Counter({one: uses // 2 for one, uses in self._uses.items()})
            self._until_halved = MEMORY * max(1, len(self._slot_of))


class Stacked(Protocol):
    """A layer whose tensors hold an expert at every index."""

    slots: ExpertSlots | None

    def stacks(self) -> tuple[Tensor, ...]:
        """Return the stacked tensors."""
        ...


def slots_within(layers: Sequence[Stacked], room: float) -> int:
    """Return how many experts of every layer fit into so many bytes, beside one in passing."""
    stacks = [stack for layer in layers for stack in layer.stacks()]
    one_of_each = sum(stack[0].nbytes for stack in stacks)
    passing = max(sum(stack[0].nbytes for stack in layer.stacks()) for layer in layers)
    return min(len(stacks[0]), max(0, int(room - passing) // one_of_each))


def give_slots(layers: Sequence[Stacked], num_slots: int, device: torch.device) -> int:
    """Let every layer keep so many experts on a device; returns the bytes. 0 takes them back."""
    for layer in layers:
        layer.slots = None  # first, so that old and new room never add up
    for layer in layers if num_slots else ():
        layer.slots = ExpertSlots(layer.stacks(), num_slots, device)
    return sum(layer.slots.nbytes for layer in layers if layer.slots is not None)
