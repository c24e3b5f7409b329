"""The last line of a terminal, drawn anew as work goes on; elsewhere whole lines alone."""

from __future__ import annotations

import time
from typing import TextIO

BAR_WIDTH = 24
REDRAW_SECONDS = 0.1
ERASE = "\r\x1b[K"


class StatusLine:
    """One line of a stream that says how something goes on; a pipe or a file never gets it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.is_terminal = stream.isatty()
        self._drawn = 0.0

    def show(self, text: str, *, is_due: bool = False) -> None:
        """Draw the line anew, unless that was done a moment ago and `is_due` is not set."""
        now = time.monotonic()
        if self.is_terminal and (is_due or now - self._drawn > REDRAW_SECONDS):
            self._drawn = now
            print(ERASE + text, end="", file=self._stream, flush=True)

    def say(self, line: str) -> None:
        """Write a whole line in its place."""
        print((ERASE if self.is_terminal else "") + line, file=self._stream, flush=True)

    def erase(self) -> None:
        """Take the line away."""
        self.show("", is_due=True)

    def __enter__(self) -> StatusLine:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.erase()


def progress_bar(done: int, total: int) -> str:
    """Write how much is done as a bar and as numbers."""
    filled = round(BAR_WIDTH * done / total) if total else BAR_WIDTH
    return f"[{'#' * filled:<{BAR_WIDTH}}] {done}/{total}"
