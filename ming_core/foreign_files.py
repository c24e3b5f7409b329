"""Files that others put there: read only if they are files, and only up to a size."""

import os
import stat
from pathlib import Path
from typing import BinaryIO

from .errors import ForeignError
from .foreign_text import is_text, plain

MOST_BYTES = 32 << 20
_NO_WAITING, _BINARY = getattr(os, "O_NONBLOCK", 0), getattr(os, "O_BINARY", 0)


def is_plain_file(path: Path) -> bool:
    """Whether a path names a file that can be read to its end: no pipe, device or folder.

    A name that the system cannot have is no file either.
    """
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (OSError, ValueError):
        return False


def is_folder(path: Path) -> bool:
    """Whether a path names a folder; one that may not be looked at is none."""
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except (OSError, ValueError):
        return False


def entries_of(folder: Path) -> list[Path]:
    """Return what lies in a folder under a name that can be shown and asked for, in order."""
    try:
        return sorted(path for path in folder.iterdir() if is_text(path.name))
    except OSError:
        return []


def subfolders(folder: Path) -> list[Path]:
    """Return the folders right inside a folder, in order."""
    return [path for path in entries_of(folder) if is_folder(path)]


def open_plain(path: Path) -> BinaryIO:
    """Open a file for reading; raises ForeignError for anything that is none, FileNotFoundError."""
    try:
        # A pipe that nobody writes to would block here for ever.
        handle = os.open(path, os.O_RDONLY | _NO_WAITING | _BINARY)
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        raise ForeignError(f"{plain(path)} cannot be read ({plain(error)}).") from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise ForeignError(f"{plain(path)} is no file but a pipe, a device or a folder.")
    return os.fdopen(handle, "rb")


def read_bytes(path: Path, most: int = MOST_BYTES) -> bytes:
    """Read a whole file; raises FileNotFoundError, or ForeignError for none or too large a one."""
    with open_plain(path) as stream:
        try:
            content = stream.read(most + 1)
        except OSError as error:
            raise ForeignError(f"{plain(path)} cannot be read ({plain(error)}).") from error
    if len(content) > most:
        raise ForeignError(f"{plain(path)} is larger than {most:,} bytes, the most that is read.")
    return content


def read_text(path: Path, most: int = MOST_BYTES) -> str:
    """Read a file as UTF-8; raises ForeignError naming it, or FileNotFoundError."""
    try:
        return read_bytes(path, most).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ForeignError(f"{plain(path)} is not UTF-8 text ({plain(error)}).") from error
