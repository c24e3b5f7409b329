"""The bar of a batch: rows counted, the rest estimated, failures named at once."""

import io

import pytest

from ming_run import terminal
from ming_run.batch.bar import Bar, in_words


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(terminal.time, "monotonic", lambda: now[0])
    return now


def test_a_log_gets_a_line_per_row_with_an_estimate(clock):
    stream = io.StringIO()
    bar = Bar(stream, 5)
    clock[0] += 60  # loading the model: no measure for the rows
    bar.finished("0001", 2.0, None)
    clock[0] += 4
    bar.finished("0002", 4.0, None)
    bar.finished("0003", 4.0, "it broke")
    assert stream.getvalue().splitlines() == [
        "  1/5 0001  2.0 s, about 8 s left",
        "  2/5 0002  4.0 s, about 9 s left",
        "  0003 failed: it broke",
    ]


def test_a_terminal_gets_one_line_that_is_drawn_anew(clock):
    stream = Terminal()
    bar = Bar(stream, 2)
    bar.node_started("AR Generate")
    clock[0] += 1
    bar.advanced(9, 36)
    bar.finished("0001", 1.0, None)
    bar.close()
    drawn = stream.getvalue().split("\r\x1b[K")
    assert any(line.startswith("[" + " " * 24 + "] 0/2") and "9/36" in line for line in drawn)
    assert any(line.startswith("[" + "#" * 12) and "about 1 s left" in line for line in drawn)
    assert "\n" not in stream.getvalue() and drawn[-1] == ""


def test_durations_are_words():
    assert [in_words(s) for s in (0.4, 89, 150, 7300)] == ["0 s", "89 s", "2 min 30 s", "2 h 1 min"]
