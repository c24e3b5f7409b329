"""The contact sheet shows every product of every workflow, whatever its size or kind."""

from pathlib import Path

from PIL import Image

from ming_cli.contact_sheet import CELL, COLUMNS, GAP, Cell, Row, draw_sheet


def test_sheet_grows_with_what_it_shows(tmp_path: Path):
    picture = tmp_path / "picture.png"
    Image.new("RGB", (96, 48), "#c02020").save(picture)
    few = draw_sheet("demo", [Row("one", [Cell("a", picture=picture)])])
    many = draw_sheet("demo", [Row("one", [Cell("a", picture=picture)] * (COLUMNS + 1))])
    assert few.width == many.width == COLUMNS * (CELL + GAP) + GAP
    assert many.height > few.height
    assert few.getpixel((GAP + 10, 48 + 40 + 10)) == (0xC0, 0x20, 0x20)


def test_long_or_unprintable_texts_are_no_obstacle():
    texts = ["", "word " * 500, "x" * 900, "\x00\x1b[0m", "中文 \ufffd"]
    cells = [Cell("label " * 30, text=text) for text in texts]
    assert draw_sheet("demo", [Row("texts", cells), Row("nothing", [])]).height > CELL
