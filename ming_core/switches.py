"""Switches in the environment: on unless they say 0 or off."""

import os

OFF = ("0", "off", "false", "no")


def is_switched_off(name: str) -> bool:
    """Whether a variable of the environment switches something off, in any case of letters."""
    return os.environ.get(name, "").strip().lower() in OFF
