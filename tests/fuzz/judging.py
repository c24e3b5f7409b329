"""What may come of a case: a right result or an error of ours; everything else is a finding."""

from collections.abc import Generator
from contextlib import contextmanager

LONGEST_MESSAGE = 12_000  # characters: twenty lines, each naming two values


class WrongResultError(Exception):
    """An input was taken, and what came of it is not right."""


@contextmanager
def ours(*errors: type[Exception]) -> Generator[None, None, None]:
    """Let errors of ours pass; each has to be short, and such that it can be printed."""
    try:
        yield
    except errors as error:
        message = str(error)
        message.encode()
        expect(0 < len(message) <= LONGEST_MESSAGE, f"a message of {len(message)} characters")


def expect(is_so: bool, otherwise: str) -> None:  # noqa: FBT001  reads as a sentence
    """Raise WrongResultError unless something is so."""
    if not is_so:
        raise WrongResultError(otherwise)
