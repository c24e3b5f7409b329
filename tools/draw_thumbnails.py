"""Draws the templates' thumbnails from what the workflows really give.

    python tools/draw_thumbnails.py [CHECKPOINT]     write workflows/*.jpg

Runs the shipped workflows as `ming demo` does: on the given checkpoint, else on the bundled
model. Run it again when the model changes. Workflows of a family that the checkpoint is not of show
what they are given and asked for, and no picture in place of one.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageOps

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from ming_cli.contact_sheet import Cell  # noqa: E402
from ming_cli.demo import (  # noqa: E402
    chosen_model,
    given_pictures,
    row_of,
    run_workflows,
    workflows_for,
)

WORKFLOWS = ROOT / "workflows"
SIDE, GAP, QUALITY = 512, 8, 80
PAPER, CARD, INK = "#20242e", "#f4f5f8", "#1d2330"
GIVEN, DRAWN = "#7f93ff", "#4fc08d"
TEXT_SIZE, LINE = 15, 20
WORDS = ("prompts", "prompt", "instruction", "question")  # widgets with words to the model
PLAIN = str.maketrans(" -", "__")
# The one workflow that draws nothing, and would ask a hub.
DOWNLOAD = "16 Download the model"
DOWNLOAD_TEXT = "Ming-UniVision-16B-A3B, about 38 GB; MingTok-Vision, about 1.5 GB. confirm is off."
SHEETS = ("ming_timeline", "Context Timeline")  # a sheet of small cards says nothing so small


def draw_thumbnail(cells: Sequence[Cell]) -> Image.Image:
    """Return a square with a cell for every picture and text, in the order of the graph."""
    picture = Image.new("RGB", (SIDE, SIDE), PAPER)
    columns = next(n for n in range(1, 9) if n * n >= len(cells))
    rows = -(-len(cells) // columns)
    width, height = ((SIDE - GAP) // n - GAP for n in (columns, rows))
    side = min(width, height)
    top = (SIDE - rows * (side + GAP) + GAP) // 2
    for index, cell in enumerate(cells):
        down, across = divmod(index, columns)
        in_row = min(columns, len(cells) - down * columns)
        left = (SIDE - in_row * (side + GAP) + GAP) // 2
        corner = (left + across * (side + GAP), top + down * (side + GAP))
        picture.paste(_drawn(cell, side), corner)
    return picture


def _drawn(cell: Cell, side: int) -> Image.Image:
    """Return a picture or a text in a frame whose colour tells what was given from the rest."""
    picture = cell.opened()
    if picture is None:
        inner = _text(cell.text, side - 6)
    else:
        way = Image.Resampling.NEAREST if max(picture.size) < side else Image.Resampling.LANCZOS
        inner = ImageOps.pad(picture, (side - 6, side - 6), way, color=CARD)
    return ImageOps.expand(inner, 3, GIVEN if cell.label.startswith("given") else DRAWN)


def _text(words: str, side: int) -> Image.Image:
    card = Image.new("RGB", (side, side), CARD)
    draw = ImageDraw.Draw(card)
    words = "".join(char if char.isascii() and char.isprintable() else " " for char in words)
    lines, line = [], ""
    for word in words.split():
        longer = f"{line} {word}".strip()
        if line and draw.textlength(longer, font_size=TEXT_SIZE) > side - 20:
            lines.append(line)
            longer = word
        line = longer
    room = (side - 20) // LINE
    for number, row in enumerate([*lines, line][:room]):
        draw.text((10, 10 + number * LINE), row, INK, font_size=TEXT_SIZE)
    return card


def _cells(entry: dict[str, Any], output: Path) -> list[Cell]:
    """Return what a thumbnail shows of a run: the pictures given, drawn, and the texts."""
    cells = row_of(entry, output).cells
    files = [cell for cell in cells if cell.picture is not None or cell.text.strip()]
    return [
        cell
        for cell in files
        if not cell.label.startswith(SHEETS) and ".safetensors" not in cell.text
    ]


def _asked(name: str) -> list[Cell]:
    """Return what a workflow that is not run is given, and what it asks for in words."""
    given = [Cell(f"given: {path.name}", picture=path) for path in given_pictures(name)]
    path = WORKFLOWS / "api" / f"{name.lower().replace(',', '').translate(PLAIN)}.json"
    nodes = json.loads(path.read_text(encoding="utf-8")).values()
    words = [(node["inputs"].get(key), node) for node in nodes for key in WORDS]
    return given + [
        Cell(_heading(node), text=f"{_heading(node)}: {text}")
        for text, node in words
        if isinstance(text, str) and text
    ]


def _heading(node: dict[str, Any]) -> str:
    return node["_meta"]["title"]


def main() -> int:
    """Run the workflows and write a thumbnail beside each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("checkpoint", nargs="?", type=Path)
    arguments = parser.parse_args()
    _write(DOWNLOAD, [Cell("Download", text=DOWNLOAD_TEXT)])
    model = chosen_model(arguments.checkpoint)
    with tempfile.TemporaryDirectory() as folder:
        output, report = Path(folder) / "output", Path(folder) / "report.json"
        options = ("--checkpoint", model.folder, "--output", output, "--report", report)
        files, others = workflows_for(model)
        code = run_workflows(*files, *options, "--headless")
        if code:
            return code
        for entry in json.loads(report.read_text(encoding="utf-8")):
            _write(entry["file"], _cells(entry, output))
    for name in sorted({name for names in others.values() for name in names}):
        _write(name, _asked(name))
    return 0


def _write(name: str, cells: Sequence[Cell]) -> None:
    target = WORKFLOWS / f"{name}.jpg"
    draw_thumbnail(cells).save(target, quality=QUALITY, optimize=True)
    sys.stdout.write(f"written: {target.name}\n")


if __name__ == "__main__":
    sys.exit(main())
