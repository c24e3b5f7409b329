"""Targets that misbehave on purpose: what the fuzzer has to find."""

import os
from pathlib import Path
from random import Random

from .checkpoints import Case


def raises(_folder: Path) -> Case:
    """Now and then something that is no error of ours."""

    def case(dice: Random) -> None:
        if dice.random() < 0.5:
            raise KeyError(dice.random())

    return case


def writes_outside(folder: Path) -> Case:
    """A file where none should be."""
    return lambda _dice: (folder.parent / "elsewhere").touch()


def ends_the_process(_folder: Path) -> Case:
    """As code of another language may."""
    return lambda dice: os._exit(3) if dice.random() < 0.3 else None
