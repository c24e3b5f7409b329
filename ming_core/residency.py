"""Which experts of a layer rest on the device, when there is room for some of them only.

Knows nothing about layers: it is shown stacks of tensors and asked for one index of them.
"""

from collections import Counter
from dataclasses import dataclass

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
