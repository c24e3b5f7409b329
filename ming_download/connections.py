"""Several files at once, each over a connection of its own; one thread watches over them."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path

from .catalogue import RemoteFile
from .transfer import Patience, Watch, fetch

CONNECTIONS = 8
_LOOK_SECONDS = 0.1
FileAndTarget = tuple[RemoteFile, Path]


class Tally:
    """How much of each file is here: connections write it, the watching thread passes it on."""

    def __init__(self, files: Sequence[FileAndTarget], watch: Watch) -> None:
        self._files = {target: file for file, target in files}
        self._total = sum(file.size for file, _ in files)
        self._done: dict[Path, int] = {}
        self._finished: deque[Path] = deque()
        self._watch = watch

    def take(self, target: Path, done: int) -> None:
        """Take the bytes of a file that are here."""
        self._done[target] = done

    def finish(self, target: Path) -> None:
        """Take a file as whole."""
        self._done[target] = self._files[target].size
        self._finished.append(target)

    def report(self) -> None:
        """Tell the watch: files that are whole, the first of those being read, and the sum."""
        while self._finished:
            file = self._files[self._finished.popleft()]
            self._watch.advance_file(file.path, file.size, file.size)
        for target, done in list(self._done.items()):
            file = self._files[target]
            if done < file.size:
                self._watch.advance_file(file.path, done, file.size)
                break
        self._watch.advance(min(sum(self._done.copy().values()), self._total), self._total)


class _Ended(Exception):  # noqa: N818 - no fault: another thread has one, or was told to stop
    """Ends a connection."""


class _Stop:
    """What a connection asks instead of the watch, whose answer is for one thread only."""

    def __init__(self) -> None:
        self.event = threading.Event()

    def check_cancelled(self) -> None:
        if self.event.is_set():
            raise _Ended


def fetch_all(
    files: Sequence[FileAndTarget],
    tally: Tally,
    watch: Watch,
    patience: Patience,
    num_connections: int,
) -> None:
    """Bring files to their places; the first error ends all, and what is here of them is kept."""
    stop = _Stop()

    def work(file: RemoteFile, target: Path) -> None:
        try:
            stop.check_cancelled()
            fetch(file, target, _teller(tally, target, stop), stop, patience)
        except BaseException:
            stop.event.set()  # at once, or a next file would begin
            raise
        tally.finish(target)

    with ThreadPoolExecutor(num_connections, thread_name_prefix="ming-download") as pool:
        running = {pool.submit(work, *entry) for entry in files}
        try:
            while running:
                watch.check_cancelled()
                done, running = wait(running, _LOOK_SECONDS, return_when=FIRST_COMPLETED)
                tally.report()
                errors = [ended.exception() for ended in done]
                for error in errors:
                    if error is not None and not isinstance(error, _Ended):
                        raise error
        except BaseException:
            stop.event.set()
            pool.shutdown(cancel_futures=True)
            raise


def _teller(tally: Tally, target: Path, stop: _Stop) -> Callable[[int], None]:
    def tell(done: int) -> None:
        stop.check_cancelled()
        tally.take(target, done)

    return tell
