"""Numbers and switches are read as spreadsheets of several countries write them."""

import pytest

from ming_core import number, switch, whole_number


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("7", 7), (" 7 ", 7), ("7.0", 7), ("7,0", None), ("1E+05", 100_000), ("-3", -3)),
        *(("1,234", 1234), ("1,234,567", 1234567), ("1.234.567", 1234567), ("1 234", 1234)),
        *(("1\u202f234", 1234), ("1'234", 1234), ("18446744073709551615", 2**64 - 1)),
        *(("1.5", None), ("x", None), ("nan", None), ("inf", None), ("1e99", None), ("", None)),
        *(("1,23", None), ("1.234", None)),
    ],
)
def test_whole_numbers(text, value):
    if value is None:
        with pytest.raises(ValueError, match="not a"):
            whole_number(text)
    else:
        assert whole_number(text) == value


def test_a_shortened_number_is_refused_with_the_remedy():
    with pytest.raises(ValueError, match="shortened: format the column as a number"):
        whole_number("1.23457E+11")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("3.5", 3.5), ("3,5", 3.5), (" 3 ", 3.0), ("1.234,5", 1234.5), ("1,234.5", 1234.5)),
        *(("0,500", 0.5), ("1,234,567", 1234567.0), ("1 234,5", 1234.5), ("1e-3", 0.001)),
        *(("-0,25", -0.25), ("x", None), ("1,234", None), ("", None)),
    ],
)
def test_numbers(text, value):
    if value is None:
        with pytest.raises(ValueError, match="convert|may be 1.234 or 1234"):
            number(text)
    else:
        assert number(text) == value


@pytest.mark.parametrize("text", ["true", "TRUE", " Yes ", "1", "WAHR", "VRAI"])
def test_switches_that_are_on(text):
    assert switch(text) is True


@pytest.mark.parametrize("text", ["false", "FALSCH", "0", "off"])
def test_switches_that_are_off(text):
    assert switch(text) is False


def test_a_word_is_no_switch():
    with pytest.raises(ValueError, match="neither true nor false"):
        switch("maybe")
