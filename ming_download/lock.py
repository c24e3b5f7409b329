"""One download at a time into a folder: by this machine or, where the disk keeps locks, by any."""

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from .catalogue import DownloadError, said

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

LOCK_NAME = ".ming-download.lock"
_TAKEN = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EINVAL, errno.ENOSYS)


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a folder; raises DownloadError while another download does. Ends with its process."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOCK_NAME
    stream = _locked(path)
    try:
        yield
    finally:
        with suppress(OSError):  # Windows keeps what is open
            path.unlink()
        stream.close()


def _locked(path: Path) -> IO[bytes]:
    while True:
        stream = path.open("a+b")
        try:
            _lock(stream)
        except OSError as error:
            if error.errno in _TAKEN:
                holder = _holder(stream)
                stream.close()
                raise DownloadError(
                    f"Another download is writing into {path.parent}{holder}. Wait until it has "
                    "ended, then start again: what it brought is checked and kept."
                ) from error
            if error.errno not in _NO_LOCKS:  # the finished file is looked at in any case
                stream.close()
                raise
        if _is_still_there(stream, path):
            stream.truncate(0)
            stream.write(f" process {os.getpid()} on {socket.gethostname()}".encode())
            stream.flush()
            return stream
        stream.close()  # who held it has just removed it


def _lock(stream: IO[bytes]) -> None:
    if fcntl is not None:
        fcntl.flock(stream.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        return
    import msvcrt

    stream.seek(0)
    msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)  # pyright: ignore[reportAttributeAccessIssue]


def _holder(stream: IO[bytes]) -> str:
    """Name who holds it, where that can be read; Windows does not give the locked byte."""
    try:
        stream.seek(1)
        written = stream.read(200).decode(errors="replace")
    except OSError:
        return ""
    return f" ({said(written)})" if written else ""


def _is_still_there(stream: IO[bytes], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(stream.fileno()), path.stat())
    except FileNotFoundError:
        return False
