"""A contact sheet of everything drawn in an evaluation, failures framed in red."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from .judge import Array

SIDE, GAP, TEXT = 96, 8, 44
COLUMNS = 8
GOOD, BAD, INK = "#2e7d32", "#d32f2f", "#1b1b1f"


@dataclass(frozen=True)
class Tile:
    """One drawn picture: the line it belongs to, its words, what was given, and if it is right."""

    line: str
    words: str
    picture: Array
    given: Array | None
    is_right: bool


def draw_tiles(tiles: Sequence[Tile]) -> Image.Image:
    """Return one picture of all tiles, what was given beside what was drawn."""
    width, height = 2 * SIDE + 3 * GAP, SIDE + TEXT + GAP
    rows = -(-len(tiles) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * width + GAP, max(1, rows) * height + GAP), "white")
    pen = ImageDraw.Draw(sheet)
    for number, tile in enumerate(tiles):
        row, column = divmod(number, COLUMNS)
        left, top = GAP + column * width, GAP + row * height
        _draw_tile(sheet, pen, tile, (left, top))
    return sheet


def _draw_tile(
    sheet: Image.Image, pen: ImageDraw.ImageDraw, tile: Tile, corner: tuple[int, int]
) -> None:
    left, top = corner
    colour = GOOD if tile.is_right else BAD
    if tile.given is not None:
        sheet.paste(Image.fromarray(tile.given), (left, top))
    drawn_at = left + SIDE + GAP
    pen.rectangle([drawn_at - 3, top - 3, drawn_at + SIDE + 2, top + SIDE + 2], fill=colour)
    sheet.paste(Image.fromarray(tile.picture), (drawn_at, top))
    words = tile.words.removeprefix("Please generate the corresponding image based on the ")
    readable = "".join(char if char.isascii() else "·" for char in f"{tile.line}: {words}")
    lines = "\n".join(textwrap.wrap(readable, 36)[:4])
    pen.multiline_text((left, top + SIDE + 4), lines, INK, font_size=9, spacing=1)
