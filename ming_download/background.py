"""Waits for slow calls without becoming deaf: the caller is asked about cancelling meanwhile."""

import queue
import threading
from collections.abc import Callable
from typing import TypeVar

LOOK = 0.2  # seconds between two looks at whether to stop
Result = TypeVar("Result")


def in_background(call: Callable[[], Result], check: Callable[[], None]) -> Result:
    """Return what `call` returns, asking `check` often; its exception leaves the call behind."""
    answers: queue.SimpleQueue[tuple[Result | None, BaseException | None]] = queue.SimpleQueue()

    def work() -> None:
        try:
            answers.put((call(), None))
        except BaseException as error:  # noqa: BLE001 - raised again where the caller waits
            answers.put((None, error))

    threading.Thread(target=work, daemon=True).start()
    result, error = next_of(answers, check)
    if error is not None:
        raise error
    return result  # type: ignore[return-value]


def next_of(
    answers: "queue.Queue[Result] | queue.SimpleQueue[Result]", check: Callable[[], None]
) -> Result:
    """Return the next entry of a queue, asking `check` while there is none."""
    while True:
        check()
        try:
            return answers.get(timeout=LOOK)
        except queue.Empty:
            continue
