"""All checks of a GPU in one run, rehearsed on a processor: no part is lost with another."""

import json
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

TOOL = Path(__file__).resolve().parents[2] / "tools" / "gpu_check.py"
TIES = "ties in the router"
CPU = torch.device("cpu")


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    monkeypatch.setattr(sys, "argv", ["", "--rehearse"])
    monkeypatch.setenv("OUT", str(tmp_path))
    return runpy.run_path(str(TOOL))["main"].__globals__


def test_what_fails_leaves_its_reason_and_the_next_part_runs(
    tool: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setitem(tool, "PARTS", {"unheard of": None, TIES: None})
    assert tool["main"]() == 1
    report = json.loads((tmp_path / "gpu_check.json").read_text())
    assert "unheard of" in report["unheard of"]["failed"]
    assert report[TIES]["as_cpu"] is True
    told = (tmp_path / "gpu_check.md").read_text()
    assert "| unheard of | FAILED: " in told and f"| {TIES} | is_lowest: " in told


def test_a_part_that_hangs_is_stopped(tool: dict[str, Any]):
    found = tool["outcome_of"](TIES, 0.01, rehearse=True)
    assert found["failed"] == "not done within 0 s" and found["seconds"] < 60


def test_parts_without_time_left_are_named(
    tool: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setitem(tool, "WHOLE", -1)
    assert tool["main"]() == 1
    report = json.loads((tmp_path / "gpu_check.json").read_text())
    assert list(report) == list(tool["PARTS"])
    assert {found["failed"] for found in report.values()} == {"no time was left"}


def test_graphs_and_streamed_experts_are_held_against_what_they_stand_for(tool: dict[str, Any]):
    assert tool["graphs"](CPU, "quick") == {"equal": True, "off": 0.0}
    assert tool["streamed"](CPU, "quick")["off"] == 0


@pytest.mark.parametrize("name", ["calibrated against 16", "8 pictures against 1"])
def test_times_come_with_what_the_table_needs(name: str, tool: dict[str, Any]):
    found = tool["PARTS"][name](CPU, "quick")
    fewer = found["cases"]
    assert len(fewer) == 2 and len({case["name"] for case in fewer}) == 2
    lines = tool["table"]({name: found | {"seconds": 1.0}})
    assert len(lines) == 2 + 2
    assert all("ms, " in line and "x floor" in line for line in lines[2:])


@pytest.mark.slow
def test_kernels_are_right_in_tritons_interpreter(tool: dict[str, Any]):
    pytest.importorskip("triton", reason="needs Triton")
    found = tool["outcome_of"]("kernels", 300, rehearse=True)
    assert found.get("all_right") is True, found
    assert len(found["cases"]) == 2 * 3 * 3
