"""Draws the pictures the shipped workflows load, in the world the bundled model knows.

    python tools/draw_pictures.py

Writes workflows/input/ming_shapes.png, ming_small_grey.png and ming_subject.png.
"""

import sys
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from ming_shapes.render import Effect, pack, render, to_bytes  # noqa: E402
from ming_shapes.scene import SIZES, Cell, Scene, Thing, placed  # noqa: E402

INPUT_FOLDER = ROOT / "workflows" / "input"
SIZE, SMALL = 480, 96  # pixels; the small picture is then shrunk to a third


def thing(shape: str, colour: str, size: str, cell: Cell) -> Thing:
    """Return a thing in a cell (row, column)."""
    return placed(Thing(shape, colour, size, 0, 0, SIZES[size]), cell)


SHAPES = Scene(
    "white",
    (thing("circle", "red", "large", (0, 1)), thing("square", "green", "medium", (2, 2))),
)
OLD = Scene("blue", (thing("star", "yellow", "large", (1, 1)),))
SUBJECT = Scene(
    "purple",
    (thing("heart", "red", "large", (1, 1)), thing("circle", "white", "small", (2, 0))),
)


def main() -> None:
    """Draw all pictures."""
    INPUT_FOLDER.mkdir(parents=True, exist_ok=True)
    drawn(SHAPES, SIZE).save(INPUT_FOLDER / "ming_shapes.png", optimize=True)
    small = drawn(OLD, SMALL, Effect.GREY)
    small.reduce(3).save(INPUT_FOLDER / "ming_small_grey.png", optimize=True)
    drawn(SUBJECT, SIZE).save(INPUT_FOLDER / "ming_subject.png", optimize=True)


def drawn(scene: Scene, size: int, effect: Effect = Effect.NONE) -> Image.Image:
    """Draw a scene as a picture of size x size pixels."""
    pixels = render(pack([scene], [effect]), size).pixels
    return Image.fromarray(to_bytes(pixels)[0].numpy())


if __name__ == "__main__":
    main()
