"""One convention for every switch in the environment."""

import pytest

from ming_core.switches import is_switched_off


@pytest.mark.parametrize("text", ["0", "off", "OFF", " Off ", "false", "no"])
def test_these_words_switch_off(monkeypatch, text):
    monkeypatch.setenv("MING_KERNELS", text)
    assert is_switched_off("MING_KERNELS")


@pytest.mark.parametrize("text", ["", "1", "on", "yes", "anything"])
def test_all_others_leave_it_on(monkeypatch, text):
    monkeypatch.setenv("MING_KERNELS", text)
    assert not is_switched_off("MING_KERNELS")


def test_it_is_on_where_nothing_is_said(monkeypatch):
    monkeypatch.delenv("MING_KERNELS", raising=False)
    assert not is_switched_off("MING_KERNELS")
