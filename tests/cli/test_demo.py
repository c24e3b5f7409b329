"""The demo gathers what the workflows gave, and says plainly what it ran on."""

import json
from pathlib import Path

import pytest
from PIL import Image

from ming_cli import demo
from ming_cli.__main__ import main


@pytest.fixture
def fake_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Stand in for `ming run`: one picture, one text, one failure."""

    def run(*options: object) -> int:
        given = dict(zip(options, options[1:], strict=False))
        assert (given["--checkpoint"] / "Ming-UniVision" / "config.json").is_file()
        Image.new("RGB", (8, 8), "red").save(tmp_path / "picture_00001_.png")
        products = [
            {"node": "1", "title": "Save Image", "file": "picture_00001_.png"},
            {"node": "2", "title": "Answer", "text": "a red square"},
        ]
        report = [
            {"file": "02 Describe and ask", "products": products},
            {"file": "01 Text to image", "products": [], "error": "it broke"},
        ]
        given["--report"].write_text(json.dumps(report))
        return 1

    monkeypatch.setattr(demo, "run_workflows", run)


@pytest.mark.usefixtures("fake_run")
def test_results_are_gathered_and_a_failure_is_not_hidden(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["demo", "--output", str(tmp_path)]) == 1
    shown = capsys.readouterr().out
    assert "2 workflows, 1 files, 1 texts" in shown
    assert "FAILED: 01 Text to image" in shown
    assert "small bundled model" in shown
    assert "not the Ming-Lite-Uni that they ask for: 09 Lite-Uni text to image" in shown
    assert "a red square" in (tmp_path / "02 Describe and ask.txt").read_text()
    assert (tmp_path / demo.SHEET).is_file()


def test_every_shipped_workflow_can_be_shown():
    files = sorted(demo.WORKFLOWS.glob("*.json"))
    assert files
    assert any(demo.given_pictures(file.stem) for file in files)


def test_a_generic_title_gives_way_to_the_file_name(tmp_path: Path):
    product = {"node": "1", "title": "Save Image", "file": "ming/branch_a_00001_.png"}
    assert demo.cell_of(product, tmp_path).label == "branch_a"
    assert demo.cell_of(product | {"title": "Edited"}, tmp_path).label == "Edited"
