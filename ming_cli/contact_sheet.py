"""Draws pictures and texts in labelled rows onto one sheet. Knows nothing about runs."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

CELL, GAP, LABEL = 192, 16, 44
COLUMNS = 6
BACKGROUND, INK, FAINT = "#ffffff", "#1b1b1f", "#6b6b76"
TEXT_COLUMNS, TEXT_LINES = 26, 10


@dataclass(frozen=True)
class Cell:
    """One picture or one text, and what it is."""

    label: str
    picture: Path | Image.Image | None = None
    text: str = ""
    frame: str | None = None  # its colour

    def opened(self) -> Image.Image | None:
        """Return the picture in RGB, read from its file if need be."""
        if not isinstance(self.picture, Path):
            return self.picture and self.picture.convert("RGB")
        with Image.open(self.picture) as picture:
            return picture.convert("RGB")


@dataclass(frozen=True)
class Row:
    """Cells that belong together."""

    title: str
    cells: Sequence[Cell]


def draw_sheet(heading: str, rows: Sequence[Row]) -> Image.Image:
    """Return one picture with a band for every row, its cells wrapped after six columns."""
    width = COLUMNS * (CELL + GAP) + GAP
    heights = [_height(row) for row in rows]
    sheet = Image.new("RGB", (width, 48 + sum(heights) + GAP), BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    draw.text((GAP, 16), heading, INK, _font(16))
    top = 48
    for row, height in zip(rows, heights, strict=True):
        draw.line([(GAP, top), (width - GAP, top)], FAINT)
        draw.text((GAP, top + 8), row.title, INK, _font(20))
        for index, cell in enumerate(row.cells):
            down, across = divmod(index, COLUMNS)
            corner = (GAP + across * (CELL + GAP), top + 40 + down * (CELL + LABEL))
            _draw_cell(sheet, draw, cell, corner)
        top += height
    return sheet


def _height(row: Row) -> int:
    bands = -(-len(row.cells) // COLUMNS)
    return 40 + bands * (CELL + LABEL)


def _draw_cell(
    sheet: Image.Image, draw: ImageDraw.ImageDraw, cell: Cell, corner: tuple[int, int]
) -> None:
    left, top = corner
    picture = cell.opened()
    if picture is None:
        lines = textwrap.wrap(_printable(cell.text), TEXT_COLUMNS) or ["(empty)"]
        if len(lines) > TEXT_LINES:
            lines = [*lines[:TEXT_LINES], "…"]
        draw.rectangle([left, top, left + CELL, top + CELL], outline=FAINT)
        draw.multiline_text((left + 8, top + 8), "\n".join(lines), INK, _font(12), spacing=4)
    else:
        scale = CELL / max(picture.size)
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        if cell.frame:
            draw.rectangle([left - 4, top - 4, left + size[0] + 3, top + size[1] + 3], cell.frame)
        # A tiny model's pictures are enlarged without blur, so that every pixel stays visible.
        enlarges = scale > 1
        way = Image.Resampling.NEAREST if enlarges else Image.Resampling.LANCZOS
        sheet.paste(picture.resize(size, way), corner)
    label = "\n".join(textwrap.wrap(cell.label, TEXT_COLUMNS)[:2])
    draw.multiline_text((left, top + CELL + 4), label, FAINT, _font(12), spacing=2)


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text)


def _font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    try:
        return ImageFont.load_default(size)
    except TypeError:  # Pillow before 10.1 has one small bitmap font
        return ImageFont.load_default()
