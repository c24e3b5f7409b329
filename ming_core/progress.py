"""How long work reports that it advances and learns that it was cancelled."""

from collections.abc import Callable
from typing import Protocol

from torch import Tensor

Tick = Callable[[], None]  # called between the layers of a long pass; may raise to cancel


def unwatched() -> None:
    """Be the tick of a pass that nobody watches."""


class Sketch(Protocol):
    """Pictures in the making, which cost nothing to look at until they are painted."""

    @property
    def num_paintable(self) -> int:
        """Visual tokens that painting now would decode, those of all pictures counted."""
        ...

    def paint(self) -> Tensor:
        """Decode them to host images (pictures, H, W, 3) in [0, 1], grey where none is drawn."""
        ...


class Progress(Protocol):
    """Receiver of progress; any method may raise to cancel the work."""

    def advance(self, done: int, total: int) -> None:
        """Report `done` of `total` steps; called after every visual or text token."""
        ...

    def check_cancelled(self) -> None:
        """Give a chance to cancel between two reports; called often, must be cheap."""
        ...

    def drawing(self, sketch: Sketch) -> None:
        """Offer the pictures as far as they are drawn, after every visual token."""
        ...

    def writing(self, read: Callable[[], str]) -> None:
        """Offer the text as far as it is written, after every text token."""
        ...


class SilentProgress:
    """Progress that goes nowhere and never cancels."""

    def advance(self, done: int, total: int) -> None:
        """Ignore the report."""

    def check_cancelled(self) -> None:
        """Never cancel."""

    def drawing(self, sketch: Sketch) -> None:
        """Ignore the pictures."""

    def writing(self, read: Callable[[], str]) -> None:
        """Ignore the text."""


class Meter:
    """Counts the steps of one call towards a total, and reports each."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress: Progress = SilentProgress() if progress is None else progress
        self._total, self._done = total, 0

    def extend(self, steps: int) -> None:
        """Raise the total by steps that were not foreseen."""
        self._total += steps

    def tick(self) -> None:
        """Report one more step."""
        self._done += 1
        self._progress.advance(self._done, self._total)

    def skip(self, steps: int) -> None:
        """Report steps that turned out not to be needed as done."""
        if steps > 0:
            self._done += steps
            self._progress.advance(self._done, self._total)

    def check_cancelled(self) -> None:
        """Give a chance to cancel."""
        self._progress.check_cancelled()

    def drawing(self, sketch: Sketch) -> None:
        """Offer the pictures as far as they are drawn."""
        self._progress.drawing(sketch)

    def writing(self, read: Callable[[], str]) -> None:
        """Offer the text as far as it is written."""
        self._progress.writing(read)
