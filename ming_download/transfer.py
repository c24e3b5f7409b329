"""One file over HTTP: resumed where it stopped, checked, and renamed only when it is whole."""

import errno
import hashlib
import http.client
import queue
import ssl
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
from .catalogue import DownloadError, RemoteFile, refusal, said

_CHUNK = 1 << 20
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_BROKEN = (OSError, http.client.HTTPException)


class Watch(Protocol):
    """Is told how a download goes on, and may end it."""

    def advance(self, done: int, total: int) -> None:
        """Take the bytes of the whole download."""
        ...

    def advance_file(self, name: str, done: int, total: int) -> None:
        """Take the bytes of the file that is being read."""
        ...

    def check_cancelled(self) -> None:
        """Raise when the person wants it to end; asked several times a second."""
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
        if self.path.exists():
            self.size = self._read_into_digest(self.path)
        if self.size > file.size:
            self.restart()

    def restart(self) -> None:
        """Forget what is there."""
        self.path.unlink(missing_ok=True)
        self.size, self._digest = 0, _digest_for(self._file)

    def append(self, chunks: Iterator[bytes]) -> None:
        """Write what comes, until it ends; a full disk is a DownloadError.

        Raises SurplusError for bytes beyond the announced size, which could fill the disk.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with _disk_errors(self.path), self.path.open("ab", buffering=0) as stream:
            for chunk in chunks:
                if len(chunk) > self._file.size - self.size:
                    raise SurplusError(
                        f"{self._file.path}: the server sends more than the {self._file.size} "
                        "bytes it announced. The file was removed; use another source."
                    )
                with _disk_errors(self.path):
                    written = stream.write(chunk) or 0
                self._digest.update(chunk[:written])
                self.size += written
                self._tell(self.size)
                if written < len(chunk):
                    raise DownloadError(_full(self.path))

    def finish(self) -> None:
        """Check the whole file and give it its name; a wrong one is removed."""
        expected = self._file.sha256 or self._file.git_sha1
        seen = self._digest.hexdigest()
        if expected is not None and seen != expected:
            self.restart()
            raise DownloadError(
                f"{self._target.name}: its checksum is {seen}, not {expected}, so the bytes are "
                "wrong. The file was removed; start again to fetch it anew. If that repeats, the "
                "mirror or a proxy changes files: use another source."
            )
        self.path.replace(self._target)

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
    file: RemoteFile, target: Path, tell: Callable[[int], None], watch: Watch, patience: Patience
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
            _read_on(file, part, watch, patience)
        except _BROKEN as error:
            failures = 0 if part.size > before else failures + 1
            if failures >= patience.attempts:
                raise DownloadError(
                    f"{target.name}: the connection broke {failures} times ({error}). Start again "
                    f"to go on from {part.size} of {file.size} bytes."
                ) from error
            _pause(patience.pause * 2 ** max(failures - 1, 0), watch)
    part.finish()


def open_url(request: urllib.request.Request, limit: float) -> Any:  # noqa: ANN401
    """Open a web address; sign-in headers stay with the server they are for."""
    if not request.has_header("User-agent"):
        request.add_header("User-Agent", "ming-univision-nodes")
    opener = urllib.request.build_opener(
        _SecretsStay(), urllib.request.HTTPSHandler(context=_trusted())
    )
    return opener.open(request, timeout=limit)


class _SecretsStay(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but none out of https, and with Authorization to the same server only."""

    def http_error_302(self, req: Any, fp: Any, code: int, msg: str, headers: Any) -> Any:  # noqa: ANN401
        """Follow, without reading what stands beside the address, however long."""
        fp.close()
        return super().http_error_302(req, fp, code, msg, headers)

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302

    def redirect_request(self, req: Any, *others: Any) -> urllib.request.Request | None:  # noqa: ANN401
        following = super().redirect_request(req, *others)
        if following is not None:
            before, after = (urlsplit(r.full_url) for r in (req, following))
            if after.scheme not in ("https", before.scheme):
                raise DownloadError(
                    f"{before.netloc} sends on from {before.scheme} to {said(after.scheme)}, where "
                    "others could read or change what comes. Use another source."
                )
            if (before.scheme, before.netloc) != (after.scheme, after.netloc):
                following.remove_header("Authorization")
        return following


def _trusted() -> ssl.SSLContext:
    """The certificates of certifi where it is installed: some Pythons come without any."""
    try:
        import certifi
    except ImportError:
        return ssl.create_default_context()
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


def _read_on(file: RemoteFile, part: Part, watch: Watch, patience: Patience) -> None:
    """Read until the file ends or the connection does; an early end is an OSError."""
    stream = _Stream(file, part.size, patience.silence)
    try:
        if stream.start(watch) != part.size:
            part.restart()  # the server does not resume
        part.append(stream.chunks(watch))
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

    def start(self, watch: Watch) -> int:
        """Return the offset that the server begins at."""
        entry = self._next(watch)
        return entry if isinstance(entry, int) else 0

    def chunks(self, watch: Watch) -> Iterator[bytes]:
        """Yield what comes, until an empty chunk says that it is all."""
        while chunk := self._next(watch):
            if isinstance(chunk, bytes):
                yield chunk

    def stop(self) -> None:
        """Let the thread end, at the latest when the server has been silent long enough."""
        self._is_stopped = True

    def _next(self, watch: Watch) -> int | bytes:
        entry = next_of(self._entries, watch.check_cancelled)
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
        return refusal(error.code, self._file.url, page, error.headers.get("Retry-After"))

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


def _pause(seconds: float, watch: Watch) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        watch.check_cancelled()
        time.sleep(min(left, 0.2))
