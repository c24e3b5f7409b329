"""What tests of commands need."""

import signal

import pytest


@pytest.fixture(autouse=True)
def _commands_hear_ctrl_c():
    """A shell's background job ignores Ctrl-C, and so would every command that a test begins."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
