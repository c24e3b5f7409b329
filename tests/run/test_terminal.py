"""The status line: on a terminal drawn anew in its place, never in a log."""

import io

from ming_run.console import Console
from ming_run.host import Job
from ming_run.terminal import ERASE, StatusLine


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_keeps_whole_lines_and_loses_the_status():
    stream = Terminal()
    with StatusLine(stream) as line:
        line.show("half", is_due=True)
        line.show("not due")
        line.say("a whole line")
        line.show("all", is_due=True)
    assert stream.getvalue() == f"{ERASE}half{ERASE}a whole line\n{ERASE}all{ERASE}"


def test_a_log_gets_whole_lines_alone():
    stream = io.StringIO()
    with StatusLine(stream) as line:
        line.show("half", is_due=True)
        line.say("a whole line")
    assert stream.getvalue() == "a whole line\n"


def test_a_run_leaves_a_line_per_node():
    stream = io.StringIO()
    console = Console(stream)
    console.begin_job(Job("one", {}))
    console.node_started("AR Generate")
    console.advanced(3, 36)
    console.noted("a remark")
    console.node_started("Save Image")
    console.end_job(failed=False)
    lines = [line.strip().split("  ")[0] for line in stream.getvalue().splitlines()]
    assert lines[:-1] == ["", "one", "AR Generate", "note: a remark", "Save Image"]
    assert lines[-1].startswith("done after")
