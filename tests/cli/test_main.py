"""`ming` reaches its tools, and says where those are that the package leaves out."""

import sys
from pathlib import Path

import pytest

from ming_cli.__main__ import IN_REPOSITORY, main

IGNORED = (Path(__file__).parents[2] / ".comfyignore").read_text(encoding="utf-8").split()


@pytest.mark.parametrize(("tool", "part"), [("bench", "ming_bench"), ("eval", "ming_shapes")])
def test_a_tool_that_is_not_packaged_is_in_the_repository(
    tool: str, part: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    assert f"{part}/" in IGNORED
    for name in [n for n in sys.modules if n.split(".")[0] == part or n == f"ming_cli.{tool}"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, part, None)
    assert main([tool]) == 1
    shown = capsys.readouterr().err
    assert part in shown
    assert "in the repository" in shown


def test_another_missing_module_is_not_explained_away(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delitem(sys.modules, "ming_cli.convert", raising=False)
    monkeypatch.setitem(sys.modules, "ming_core.quantisation", None)
    with pytest.raises(ModuleNotFoundError):
        main(["convert"])


def test_what_is_in_the_repository_only_is_what_the_package_leaves_out():
    assert {f"{part}/" for part in IN_REPOSITORY} == {i for i in IGNORED if i.startswith("ming_")}
