"""The README's first workflow does what it says with the model that is there without downloads."""

import runpy
import sys
from pathlib import Path

import pytest

from ming_exam.expectations import Expected, Wanted
from ming_exam.sight import look

ROOT = Path(__file__).resolve().parents[2]

SHOWN = [
    Expected((Wanted("circle", "red", "middle", "large"),), "blue"),
    Expected((Wanted("circle", "yellow", "middle", "large"),), "blue"),
    Expected((Wanted("star", "green", "middle", "large"),), "blue"),
]


def test_the_first_workflow_draws_what_it_says(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "path", [*sys.path])  # the tool adds the root, which hides the host
    tool = runpy.run_path(str(ROOT / "tools" / "draw_first_workflow.py"))
    assert len(tool["prompts"]()) == len(SHOWN)
    for expected, picture in zip(SHOWN, tool["pictures"](), strict=True):
        assert expected.is_met(look(picture))
