"""One file over HTTP: resumed where it stopped, checked, and renamed only when it is whole."""

import errno
import hashlib
import http.client
import os
import queue
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from .background import next_of
from .catalogue import DownloadError, RemoteFile, refusal
from .web import open_url

_CHUNK = 1 << 20
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_BROKEN = (OSError, http.client.HTTPException)


class Stop(Protocol):
    """May end a download."""

    def check_cancelled(self) -> None:
        """Raise when the person wants it to end; asked several times a second."""
        ...


class Watch(Stop, Protocol):
    """Is told how a download goes on, and may end it; asked by one thread."""

    def advance(self, done: int, total: int) -> None:
        """Take the bytes of the whole download."""
        ...

    def advance_file(self, name: str, done: int, total: int) -> None:
        """Take the bytes of a file that is being read."""
        ...


@dataclass(frozen=True)
class Patience:
    """How much trouble with the connection is put up with."""

    silence: float = 30.0  # seconds without a byte
    attempts: int = 6  # in a row without a byte gained
    pause: float = 1.0  # seconds before the next attempt, doubled with each that gains nothing


class SurplusError(DownloadError):
    """A server that does not stop."""


class Part:
    """The unfinished file, `NAME.part`, and the digest of what is in it."""

    def __init__(self, file: RemoteFile, target: Path, tell: Callable[[int], None]) -> None:
        self.path = target.with_name(target.name + ".part")
        self._file, self._target, self._tell = file, target, tell
        self.size, self._digest = 0, _digest_for(file)
        self._left: os.stat_result | None = None  # as this code left the file
        self._is_ours = True  # nobody else has written into it meanwhile
        if self.path.exists():
            self._left = self.path.stat()
            self.size = self._read_into_digest(self.path)
        if self.size > file.size:
            self.restart()

    def restart(self) -> None:
        """Forget what is there."""
        self.path.unlink(missing_ok=True)
        self.size, self._digest = 0, _digest_for(self._file)
        self._left, self._is_ours = None, True

    def append(self, chunks: Iterator[bytes]) -> None:
        """Write what comes, until it ends; a full disk is a DownloadError.

        Raises SurplusError for bytes beyond the announced size, which could fill the disk.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with _disk_errors(self.path), self.path.open("ab", buffering=0) as stream:
            for chunk in chunks:
                self._look(os.fstat(stream.fileno()))
                if len(chunk) > self._file.size - self.size:
                    raise SurplusError(
                        f"{self._file.path}: the server sends more than the {self._file.size} "
                        "bytes it announced. The file was removed; use another source."
                    )
                with _disk_errors(self.path):
                    written = stream.write(chunk) or 0
                self._left = os.fstat(stream.fileno())
                self._digest.update(chunk[:written])
                self.size += written
                self._tell(self.size)
                if written < len(chunk):
                    raise DownloadError(_full(self.path))

    def finish(self) -> None:
        """Check the whole file and give it its name; a wrong one is removed."""
        expected = self._file.sha256 or self._file.git_sha1
        self._look(self.path.stat())
        if not self._is_ours:
            self._digest = _digest_for(self._file)
            self.size = self._read_into_digest(self.path)
        seen = self._digest.hexdigest()
        if (expected or seen) != seen or self.size != self._file.size:
            self.restart()
            raise DownloadError(
                f"{self._target.name}: its checksum is {seen}, not {expected}, so the bytes are "
                "wrong. The file was removed; start again to fetch it anew. If that repeats, the "
                "mirror or a proxy changes files: use another source."
            )
        self.path.replace(self._target)

    def _look(self, found: os.stat_result) -> None:
        """Notice what another program did, on a disk where a lock does not keep it away."""
        names = ("st_dev", "st_ino", "st_size", "st_mtime_ns")
        left = self._left
        if left is not None and any(getattr(left, n) != getattr(found, n) for n in names):
            self._is_ours = False

    def is_there_already(self) -> bool:
        """Whether the finished file is there and right; reads it."""
        if not self._target.is_file() or self._target.stat().st_size != self._file.size:
            return False
        kept, self._digest = self._digest, _digest_for(self._file)
        self._read_into_digest(self._target)
        found, self._digest = self._digest.hexdigest(), kept
        return found == (self._file.sha256 or self._file.git_sha1 or found)

    def _read_into_digest(self, path: Path) -> int:
        done = 0
        with path.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                self._digest.update(chunk)
                done += len(chunk)
                self._tell(done)
        return done


def fetch(
    file: RemoteFile, target: Path, tell: Callable[[int], None], stop: Stop, patience: Patience
) -> None:
    """Bring one file to `target`; `tell` takes the bytes of it that are here.

    Whatever ends this early leaves `NAME.part`, from which the next call goes on.
    """
    part = Part(file, target, tell)
    if part.is_there_already():
        return
    failures = 0
    while part.size < file.size or not part.path.exists():
        before = part.size
        try:
            _read_on(file, part, stop, patience)
        except _BROKEN as error:
            failures = 0 if part.size > before else failures + 1
            if failures >= patience.attempts:
                raise DownloadError(
                    f"{target.name}: the connection broke {failures} times ({error}). Start again "
                    f"to go on from {part.size} of {file.size} bytes."
                ) from error
            _pause(patience.pause * 2 ** max(failures - 1, 0), stop)
    part.finish()


def _read_on(file: RemoteFile, part: Part, stop: Stop, patience: Patience) -> None:
    """Read until the file ends or the connection does; an early end is an OSError."""
    stream = _Stream(file, part.size, patience.silence)
    try:
        if stream.start(stop) != part.size:
            part.restart()  # the server does not resume
        part.append(stream.chunks(stop))
    except SurplusError:
        part.restart()
        raise
    finally:
        stream.stop()
    if part.size < file.size:
        raise ConnectionError("it ended too early")


class _Stream:
    """The bytes of a file from an offset, read by a thread so that the caller can leave."""

    def __init__(self, file: RemoteFile, offset: int, silence: float) -> None:
        self._file, self._offset, self._silence = file, offset, silence
        self._entries: queue.Queue[int | bytes | BaseException] = queue.Queue(maxsize=8)
        self._is_stopped = False
        threading.Thread(target=self._work, daemon=True).start()

    def start(self, stop: Stop) -> int:
        """Return the offset that the server begins at."""
        entry = self._next(stop)
        return entry if isinstance(entry, int) else 0

    def chunks(self, stop: Stop) -> Iterator[bytes]:
        """Yield what comes, until an empty chunk says that it is all."""
        while chunk := self._next(stop):
            if isinstance(chunk, bytes):
                yield chunk

    def stop(self) -> None:
        """Let the thread end, at the latest when the server has been silent long enough."""
        self._is_stopped = True

    def _next(self, stop: Stop) -> int | bytes:
        entry = next_of(self._entries, stop.check_cancelled)
        if isinstance(entry, BaseException):
            raise entry
        return entry

    def _work(self) -> None:
        try:
            self._read()
        except urllib.error.HTTPError as error:
            self._put(self._meaning_of(error))
        except Exception as error:  # noqa: BLE001 - raised again where the caller waits
            self._put(error)

    def _read(self) -> None:
        resume = {"Range": f"bytes={self._offset}-"} if self._offset else {}
        headers = {**self._file.headers, **resume}
        request = urllib.request.Request(self._file.url, headers=headers)  # noqa: S310
        with open_url(request, self._silence) as answer:
            self._put(self._offset if answer.status == 206 else 0)
            while not self._is_stopped:
                chunk = answer.read1(_CHUNK)
                self._put(chunk)
                if not chunk:
                    return

    def _meaning_of(self, error: urllib.error.HTTPError) -> Exception:
        """A server in trouble is asked again; a refusal is not."""
        if error.code >= 500:
            return ConnectionError(f"the server answered {error.code}")
        page = "{0.scheme}://{0.netloc}".format(urlsplit(self._file.url))
        wait = error.headers.get("Retry-After")
        return refusal(error.code, self._file.url, page, self._file.settings, wait)

    def _put(self, entry: int | bytes | BaseException) -> None:
        while not self._is_stopped:
            with suppress(queue.Full):
                self._entries.put(entry, timeout=1)
                return


class _disk_errors:  # noqa: N801 - reads as a phrase behind `with`
    """Turns what the disk says into a DownloadError; connection errors pass."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError) and error.errno in _FULL:
            raise DownloadError(_full(self._path)) from error
        if isinstance(error, PermissionError):
            raise DownloadError(f"{self._path} cannot be written ({error.strerror}).") from error


def _full(path: Path) -> str:
    return (
        f"The disk is full while writing {path.name}. Make room and start again: what is here "
        f"already is kept in {path.parent}."
    )


def _digest_for(file: RemoteFile) -> Any:  # noqa: ANN401
    """Return the digest that the hub names: sha256, or git's sha1 over a header and the bytes."""
    if file.sha256 is not None or file.git_sha1 is None:
        return hashlib.sha256()
    return hashlib.sha1(f"blob {file.size}\0".encode(), usedforsecurity=False)


def _pause(seconds: float, stop: Stop) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        stop.check_cancelled()
        time.sleep(min(left, 0.2))
