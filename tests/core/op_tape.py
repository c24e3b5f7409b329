"""A recorder for the CPU that behaves as a device's graph: operations and addresses are baked in.

Recording leaves no trace in memory that was there before. A replay repeats the recorded operations
on the same memory and runs none of the Python around them.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

# What makes the host wait for the device, or the device for the host's memory.
WAITING = {"aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select", "aten::lift_fresh"}
READERS = ("item", "tolist", "cpu", "numpy", "__bool__", "__int__", "__float__", "__index__")


class HostRefused(TorchDispatchMode):
    """Fails at what a device could not do by itself; `.item()` and the like, and copies to it."""

    def __enter__(self):
        self._readers = {name: getattr(Tensor, name) for name in READERS}
        for name in READERS:
            setattr(Tensor, name, self._refuse(name))
        return super().__enter__()

    def __exit__(self, *raised):
        for name, reader in self._readers.items():
            setattr(Tensor, name, reader)
        return super().__exit__(*raised)

    @staticmethod
    def _refuse(name: str) -> Callable:
        def refused(*_arguments, **_options):
            raise RuntimeError(f"operation not permitted when stream is capturing: {name}")

        return refused

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.name().partition(".")[0]
        chooses = name.startswith("aten::index") and any(
            isinstance(index, Tensor) and index.dtype == torch.bool
            for index in tree_leaves(args)[1:]
        )
        if name in WAITING or chooses:
            self._refuse(name)()
        return self.do(func, args, kwargs or {})

    def do(self, func, args, kwargs):
        return func(*args, **kwargs)


class Tape(HostRefused):
    """Writes down every operation with its operands; takes back what it did."""

    def __init__(self) -> None:
        super().__init__()
        self.entries: list[tuple[Any, Any, Any, Any]] = []
        self._before: dict[int, tuple[torch.UntypedStorage, torch.UntypedStorage]] = {}

    def do(self, func, args, kwargs):
        for argument, value in zip(func._schema.arguments, args, strict=False):
            if argument.alias_info is not None and argument.alias_info.is_write:
                storage = value.untyped_storage()
                self._before.setdefault(storage.data_ptr(), (storage, storage.clone()))
        out = func(*args, **kwargs)
        self.entries.append((func, args, kwargs, out))
        return out

    def undo(self) -> None:
        for storage, before in self._before.values():
            storage.copy_(before)

    def replay(self) -> None:
        for func, args, kwargs, recorded in self.entries:
            again = func(*args, **kwargs)
            for old, new in zip(tree_leaves(recorded), tree_leaves(again), strict=True):
                if isinstance(old, Tensor) and old.data_ptr() != new.data_ptr():
                    old.copy_(new)


class TapeRecorder:
    """Records onto tapes; counts what it is asked for, and how far launching is ahead.

    `is_late`: nothing launched is done before somebody waits for it.
    """

    def __init__(self, *, is_late: bool = False) -> None:
        self.warm_ups = self.records = self.replays = self.finished = 0
        self._is_late = is_late
        self._waiting: list[Callable[[], None]] = []

    def warm_up(self, work) -> None:
        self.warm_ups += 1
        work()

    def record(self, work):
        self.records += 1
        tape = Tape()
        try:
            with tape:
                work()
        finally:
            tape.undo()

        def replay() -> None:
            self.replays += 1
            self._waiting.append(tape.replay)
            if not self._is_late:
                self.finish(self.replays)

        return replay

    def mark(self):
        launched = self.replays
        return lambda: self.finish(launched)

    def finish(self, count: int) -> None:
        """Do what was launched, up to the given number of replays."""
        while self.finished < count:
            self._waiting.pop(0)()
            self.finished += 1
