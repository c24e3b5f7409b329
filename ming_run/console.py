"""Shows how a run goes on: one line per node, with a bar on a real terminal."""

import time
from typing import TextIO

from .host import Job
from .terminal import StatusLine, progress_bar


class Console:
    """A `Watcher` that writes to a stream."""

    def __init__(self, stream: TextIO) -> None:
        self._line = StatusLine(stream)
        self._title: str | None = None
        self._node_start = self._job_start = 0.0

    def say(self, line: str) -> None:
        """Write one whole line."""
        self.close_line()
        self._line.say(line)

    def begin_job(self, job: Job) -> None:
        self.say(f"\n{job.name}")
        self._job_start = time.monotonic()

    def end_job(self, *, failed: bool) -> None:
        seconds = time.monotonic() - self._job_start
        self.say(f"  {'failed' if failed else 'done'} after {seconds:.1f} s")

    def node_started(self, title: str) -> None:
        self.close_line()
        self._title, self._node_start = title, time.monotonic()
        self._line.show(self._node(), is_due=True)

    def advanced(self, done: int, total: int) -> None:
        self._line.show(f"{self._node()} {progress_bar(done, total)}")

    def noted(self, message: str) -> None:
        self.say(f"  note: {message}")

    def close_line(self) -> None:
        """Finish the line of the node that runs, if one does."""
        if self._title is not None:
            self._line.say(self._node())
            self._title = None

    def _node(self) -> str:
        return f"  {self._title or '':<32} {time.monotonic() - self._node_start:6.1f} s"
