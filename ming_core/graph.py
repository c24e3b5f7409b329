"""Replaying: a device's work is recorded once, and from then on launched as a whole.

Knows nothing about the work but that it reads and writes the same memory each time.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import torch
from torch import Tensor

from .progress import Callback, no_callback
from .switches import is_switched_off

Launch = Callable[[], None]

SWITCH = "MING_CUDA_GRAPH"  # switched off, nothing is recorded
WARM_UPS = 2  # first libraries set themselves up, then everything has its workspace
# What devices and their drivers raise. A user's cancel is none of these, and goes on its way.
REFUSALS = (RuntimeError, OSError, ValueError, TypeError, AttributeError)
AHEAD = 2  # runs that may be launched and not finished when the next one is asked for

log = logging.getLogger("ming")


class Recorder(Protocol):
    """What can record the work of one device."""

    def warm_up(self, work: Launch) -> None:
        """Do the work where it will be recorded, so that nothing happens there first."""
        ...

    def record(self, work: Launch) -> Launch:
        """Record the work without doing it; returns what does it. Raises if it cannot be done."""
        ...

    def mark(self) -> Launch:
        """Return what waits until everything launched so far is finished."""
        ...


class GraphRecorder:
    """Records with the graphs of a device's torch module."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._module: Any = getattr(torch, device.type)
        self._stream = self._module.Stream(device)

    def warm_up(self, work: Launch) -> None:
        """Do the work on the recording stream, in order with the current one."""
        current = self._module.current_stream(self._device)
        self._stream.wait_stream(current)
        try:
            with self._module.stream(self._stream):
                work()
        finally:  # a cancelled run's memory is given to others only when it is done with
            current.wait_stream(self._stream)

    def record(self, work: Launch) -> Launch:
        """Record the work; its temporary memory belongs to what is returned."""
        graph = self._module.CUDAGraph()
        self._module.synchronize(self._device)
        self._module.empty_cache()  # a recording cannot use what the warm-up left free
        with self._module.stream(self._stream):
            # The host's other threads may use the device meanwhile.
            graph.capture_begin(capture_error_mode="thread_local")
            try:
                work()
            finally:
                graph.capture_end()
        return graph.replay

    def mark(self) -> Launch:
        """Return what waits for the current stream as it is now."""
        event = self._module.Event(blocking=True)  # waiting leaves the processor to others
        event.record(self._module.current_stream(self._device))
        return event.synchronize


def recorder_for(device: torch.device) -> Recorder | None:
    """Return what records on a device; None where nothing can, or the user wants nothing to."""
    has_graphs = hasattr(getattr(torch, device.type, None), "CUDAGraph")
    return GraphRecorder(device) if has_graphs and not is_switched_off(SWITCH) else None


class Repeated:
    """Work that is run again and again: as it is, or, where that is possible, replayed.

    A recording is bound to where the weights lie. There is none while any of them is elsewhere,
    and it is dropped when one has moved.
    """

    def __init__(
        self,
        work: Callable[[Callback], None],
        weights: Iterable[Tensor],
        device: torch.device,
        recorder: Recorder | None,
    ) -> None:
        """Prepare to run `work`, which reads `weights` and may be recorded by `recorder`.

        It is given a callback that may raise to cancel.
        """
        # Held, so that what is replaced stays as long as a recording may read it.
        self._work, self._weights = work, list(weights)
        is_resident = all(weight.device == device for weight in self._weights)
        self._recorder = recorder if is_resident else None
        self._addresses = self._find() if self._recorder else []
        self._replay: Launch | None = None
        self._warm_ups = 0
        self._marks: deque[Launch] = deque()

    def __call__(self, callback: Callback = no_callback) -> None:
        """Run once. When this returns, all runs but the last few are finished."""
        if self._recorder is not None and self._find() != self._addresses:
            self._recorder = self._replay = None
        if self._recorder is not None and self._warm_ups == WARM_UPS and self._replay is None:
            self._record(self._recorder, callback)
        if self._recorder is None:
            self._work(callback)
        elif self._replay is None:
            self._recorder.warm_up(lambda: self._work(callback))
            self._warm_ups += 1
        else:
            self._replay()
            # A replay returns at once, and the user's wish to stop must not come too late.
            self._marks.append(self._recorder.mark())
            if len(self._marks) > AHEAD:
                self._marks.popleft()()

    def _record(self, recorder: Recorder, callback: Callback) -> None:
        """Record the work; where that fails it is done as it is from then on."""
        try:
            self._replay = recorder.record(lambda: self._work(callback))
        except REFUSALS as error:
            self._recorder = None
            log.warning(
                "A picture's tokens could not be recorded as a graph, so each is computed step by "
                "step, which is slower: %s\n%s=0 in the environment skips the attempt.",
                error,
                SWITCH,
            )

    def _find(self) -> list[int]:
        return [weight.data_ptr() for weight in self._weights]
