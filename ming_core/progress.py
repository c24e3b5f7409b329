"""How long work reports that it advances and learns that it was cancelled: by callbacks."""

from collections.abc import Callable
from typing import Protocol

from torch import Tensor

Callback = Callable[[], None]  # called between the layers of a long pass; may raise to cancel


def no_callback() -> None:
    """Be the callback of a pass that nobody follows."""


class Preview(Protocol):
    """Pictures in the making, which cost nothing to look at until they are painted."""

    @property
    def num_paintable(self) -> int:
        """Visual tokens that painting now would decode, those of all pictures counted."""
        ...

    @property
    def version(self) -> int:
        """A figure that changes when painting would show something new."""
        ...

    def paint(self) -> Tensor:
        """Decode them to host images (pictures, H, W, 3) in [0, 1], grey where none is drawn."""
        ...


class Progress:
    """The callbacks of one piece of work, which do nothing here; any may raise to cancel it."""

    def advance(self, done: int, total: int) -> None:
        """Hear of `done` of `total` steps; called after every visual or text token."""

    def check_cancelled(self) -> None:
        """Cancel between two reports, if that is wanted; called often, must be cheap."""

    def drawing(self, preview: Preview) -> None:
        """Be offered the pictures as far as they are drawn, after every visual token."""

    def writing(self, read: Callable[[], str]) -> None:
        """Be offered the text as far as it is written, after every text token."""


class ProgressBar:
    """Counts the steps of one call towards a total, and reports each."""

    def __init__(self, progress: Progress | None = None, total: int = 0) -> None:
        self._progress = Progress() if progress is None else progress
        self._total, self._done = total, 0

    @classmethod
    def of(cls, progress: "Progress | ProgressBar | None", total: int) -> "ProgressBar":
        """Return a bar for a piece of work; one that counts other pieces as well is used as it is.

        progress  what hears of it, or such a bar, whose total has these steps in it already
        """
        return progress if isinstance(progress, ProgressBar) else cls(progress, total)

    def extend(self, steps: int) -> None:
        """Raise the total by steps that were not foreseen."""
        self._total += steps

    def update(self) -> None:
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

    def drawing(self, preview: Preview) -> None:
        """Offer the pictures as far as they are drawn."""
        self._progress.drawing(preview)

    def writing(self, read: Callable[[], str]) -> None:
        """Offer the text as far as it is written."""
        self._progress.writing(read)
