"""Every template has a thumbnail that the editor shows."""

import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "workflows").glob("*.json"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_thumbnail_lies_beside_the_workflow(path: Path):
    thumbnail = path.with_suffix(".jpg")
    with Image.open(thumbnail) as picture:
        assert picture.size == (512, 512) and picture.format == "JPEG"
        assert any(low != high for low, high in picture.getextrema())
    assert thumbnail.stat().st_size < 200_000


def test_no_thumbnail_is_left_over():
    names = {path.stem for path in FILES}
    assert {path.stem for path in (ROOT / "workflows").glob("*.jpg")} == names


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 9, 10])
def test_any_number_of_cells_fits(count: int, tmp_path: Path, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.setattr(sys, "path", [str(ROOT / "tools"), *sys.path])
    import draw_thumbnails

    picture = tmp_path / "p.png"
    Image.new("RGB", (40, 20), (200, 30, 30)).save(picture)
    cells = [draw_thumbnails.Cell("given: p", picture=picture)]
    cells += [draw_thumbnails.Cell("answer", text="word " * 90)] * (count - 1)
    drawn = draw_thumbnails.draw_thumbnail(cells)
    assert drawn.size == (512, 512)
    colours = {colour for _, colour in drawn.getcolors(1 << 18)}
    assert (200, 30, 30) in colours
