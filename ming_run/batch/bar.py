"""Shows how a batch goes on: a bar with an estimate on a terminal, a line per row elsewhere."""

import time
from typing import TextIO

from ..terminal import StatusLine, progress_bar


class Bar:
    """A `Watcher` of the row that runs, and the count of those that are finished."""

    def __init__(self, stream: TextIO, total: int) -> None:
        self._line = StatusLine(stream)
        self._total, self._done, self._failed = total, 0, 0
        self._node, self._tokens = "", (0, 0)
        self._started = time.monotonic()

    def node_started(self, title: str) -> None:
        self._node, self._tokens = title, (0, 0)
        self._draw()

    def advanced(self, done: int, total: int) -> None:
        self._tokens = (done, total)
        self._draw()

    def noted(self, message: str) -> None:
        self.say(f"  note: {message}")

    def finished(self, name: str, seconds: float, error: str | None) -> None:
        """Count one row; a failed one is named at once."""
        if self._done == 0:  # what comes before the first row is no measure for the others
            self._started = time.monotonic() - seconds
        self._done += 1
        self._failed += error is not None
        if error is not None:
            self.say(f"  {name} failed: {error}")
        elif not self._line.is_terminal:
            self.say(f"  {self._done}/{self._total} {name}  {seconds:.1f} s, {self._left()}")
        self._draw(is_due=True)

    def say(self, line: str) -> None:
        """Write a whole line above the bar."""
        self._line.say(line)

    def close(self) -> None:
        """Take the bar away."""
        self._line.erase()

    def _left(self) -> str:
        elapsed = time.monotonic() - self._started
        return f"about {in_words(elapsed / self._done * (self._total - self._done))} left"

    def _draw(self, *, is_due: bool = False) -> None:
        parts = [progress_bar(self._done, self._total)]
        parts += [f"{self._failed} failed"] if self._failed else []
        parts += [self._left()] if self._done else []
        parts += [f"{self._node} {self._tokens[0]}/{self._tokens[1]}"] if self._tokens[1] else []
        self._line.show("  ".join(parts), is_due=is_due)


def in_words(seconds: float) -> str:
    """Return a duration for people."""
    whole = round(seconds)
    if whole < 90:
        return f"{whole} s"
    if whole < 5400:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
