"""Code of other languages called from here: what it raises becomes an error of ours.

A package written in Rust raises its panics as a BaseException that is no Exception. Uncaught, such
a thing passes every guard of a host and ends the thread that works off its queue.
"""

import builtins
from asyncio import CancelledError
from collections.abc import Callable, Generator
from contextlib import contextmanager

from .errors import MingError
from .foreign_text import plain

PASSING = (KeyboardInterrupt, SystemExit, GeneratorExit, CancelledError, MemoryError, MingError)


@contextmanager
def guarded(
    error_of: Callable[[str], MingError], *own: type[Exception]
) -> Generator[None, None, None]:
    """Turn what foreign code raises into the error that `error_of` makes of its words.

    own  the package's own exceptions. Beyond them, Python's and panics are turned; what a person or
         a host ends a run with passes.
    """
    try:
        yield
    except BaseException as error:
        if not isinstance(error, own) and (isinstance(error, PASSING) or not _is_foreign(error)):
            raise
        kind = "" if isinstance(error, MingError) else f"{type(error).__name__}: "
        raise error_of(f"{kind}{plain(error)}") from error


def _is_foreign(error: BaseException) -> bool:
    """Whether no program of Python made up this kind of exception to be passed on."""
    is_panic = not isinstance(error, Exception)
    return is_panic or getattr(builtins, type(error).__name__, None) is type(error)
