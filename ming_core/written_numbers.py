"""Numbers and switches as people and spreadsheets write them.

Every function raises ValueError with the reason for a text it does not take; a text with two
readings is refused rather than guessed.
"""

import re
from decimal import Decimal, InvalidOperation

from .foreign_text import shown

_SHORTENED = re.compile(r"[+-]?\d\.\d{5}E[+]\d+", re.IGNORECASE)  # as Excel shows 12 digits
_GROUP_MARKS = " \u00a0\u202f'\u2019"
_GROUPS = re.compile(r"[+-]?\d{1,3}(?:([ \u00a0\u202f'\u2019,.])\d{3})(?:\1\d{3})*")
_SWITCHES = {
    **dict.fromkeys(("true", "yes", "on", "1", "1.0", "wahr", "vrai", "verdadero", "vero"), True),
    **dict.fromkeys(("false", "no", "off", "0", "0.0", "falsch", "faux", "falso"), False),
}


def whole_number(text: str) -> int:
    """Read 7, 7.0, 1E+05, 1,234 and 1 234."""
    text = text.strip()
    if _SHORTENED.fullmatch(text):
        raise ValueError(
            f"{shown(text)} is a number that a spreadsheet has shortened: format the column as a "
            "number without decimals, or as text, and save again"
        )
    grouped = _GROUPS.fullmatch(text)
    if grouped and (grouped[1] != "." or text.count(".") > 1):
        text = text.replace(grouped[1], "")
    value = _decimal(text)
    if value != value.to_integral_value():
        raise ValueError(f"{shown(text)} is not a whole number")
    return int(value)


def number(text: str) -> float:
    """Read 3.5, 3,5, 1.234,5 and 1,234.5."""
    text = text.strip()
    for mark in _GROUP_MARKS:
        text = text.replace(mark, "") if _GROUPS.fullmatch(text.split(",")[0]) else text
    has_comma, has_point = "," in text, "." in text
    if has_comma and has_point:
        decimal, group = (",", ".") if text.rindex(",") > text.rindex(".") else (".", ",")
        text = text.replace(group, "").replace(decimal, ".")
    elif text.count(",") > 1:
        text = text.replace(",", "")
    elif has_comma:
        if re.fullmatch(r"[+-]?[1-9]\d{0,2},\d{3}", text):
            raise ValueError(
                f"{shown(text)} may be {text.replace(',', '.')} or {text.replace(',', '')}"
            )
        text = text.replace(",", ".")
    return float(text)


def switch(text: str) -> bool:
    """Read true, yes, on, 1, and what Excel writes in other languages."""
    try:
        return _SWITCHES[text.strip().lower()]
    except KeyError:
        raise ValueError(f"{shown(text)} is neither true nor false") from None


def _decimal(text: str) -> Decimal:
    try:
        value = Decimal(text.replace("_", ""))
    except InvalidOperation:
        raise ValueError(f"{shown(text)} is not a number") from None
    if not value.is_finite() or value.adjusted() > 40:  # noqa: PLR2004 - no seed is as long
        raise ValueError(f"{shown(text)} is not a number that can be used")
    return value
