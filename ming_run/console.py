"""Shows on the terminal how a run goes on: one line per node, with a bar on a real terminal."""

import time
from typing import TextIO

from .host import Job

_BAR_WIDTH = 24
_REDRAW_SECONDS = 0.1


class Console:
    """A `Watcher` that writes to a stream."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_terminal = stream.isatty()
        self._title: str | None = None
        self._progress = (0, 0)
        self._node_start = self._job_start = self._drawn = 0.0

    def say(self, line: str) -> None:
        """Write one whole line."""
        self.close_line()
        print(line, file=self._stream, flush=True)

    def begin_job(self, job: Job) -> None:
        self.say(f"\n{job.name}")
        self._job_start = time.monotonic()

    def end_job(self, *, failed: bool) -> None:
        self.close_line()
        seconds = time.monotonic() - self._job_start
        self.say(f"  {'failed' if failed else 'done'} after {seconds:.1f} s")

    def node_started(self, title: str) -> None:
        self.close_line()
        self._title, self._progress = title, (0, 0)
        self._node_start = time.monotonic()
        self._draw(is_last=False)

    def advanced(self, done: int, total: int) -> None:
        self._progress = (done, total)
        if time.monotonic() - self._drawn > _REDRAW_SECONDS:
            self._draw(is_last=False)

    def noted(self, message: str) -> None:
        self.say(f"  note: {message}")

    def close_line(self) -> None:
        """Finish the line of the node that runs, if one does."""
        if self._title is not None:
            self._draw(is_last=True)
            self._title = None

    def _draw(self, *, is_last: bool) -> None:
        """A pipe or a log file gets finished lines only."""
        self._drawn = time.monotonic()
        done, total = self._progress
        seconds = f"{self._drawn - self._node_start:6.1f} s"
        if not self._is_terminal:
            if is_last:
                print(f"  {self._title:<32} {seconds}", file=self._stream, flush=True)
            return
        filled = round(_BAR_WIDTH * done / total) if total else 0
        bar = f"[{'#' * filled:<{_BAR_WIDTH}}] {done}/{total}" if total and not is_last else ""
        end = "\n" if is_last else ""
        print(
            f"\r\x1b[K  {self._title:<32} {seconds} {bar}", end=end, file=self._stream, flush=True
        )
