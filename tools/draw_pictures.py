"""Draws the pictures the shipped workflows load, in the world the bundled model knows.

    python tools/draw_pictures.py

Writes workflows/input/ming_shapes.png, ming_small_grey.png, ming_subject.png and
ming_two_circles.png, which is wide and whose left circle is masked.
"""

import sys
from pathlib import Path

from PIL import Image, ImageDraw

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
TWO = Scene("white", tuple(thing("circle", "red", "large", (1, column)) for column in (0, 2)))
BRUSH, WIDTH = 98, 600  # pixels about the centre of the left circle


def main() -> None:
    """Draw all pictures."""
    INPUT_FOLDER.mkdir(parents=True, exist_ok=True)
    drawn(SHAPES, SIZE).save(INPUT_FOLDER / "ming_shapes.png", optimize=True)
    small = drawn(OLD, SMALL, Effect.GREY)
    small.reduce(3).save(INPUT_FOLDER / "ming_small_grey.png", optimize=True)
    drawn(SUBJECT, SIZE).save(INPUT_FOLDER / "ming_subject.png", optimize=True)
    masked(drawn(TWO, WIDTH)).save(INPUT_FOLDER / "ming_two_circles.png", optimize=True)


def masked(picture: Image.Image) -> Image.Image:
    """Cut a picture to a wide one, and mask its left thing as the host's mask editor does."""
    wide = picture.crop((0, WIDTH // 6, WIDTH, WIDTH - WIDTH // 6))
    mask = Image.new("L", wide.size, 255)
    x, y = wide.width // 6, wide.height // 2
    box = (max(0, x - BRUSH), y - BRUSH, x + BRUSH, y + BRUSH)
    ImageDraw.Draw(mask).rectangle(box, fill=0)
    wide.putalpha(mask)
    return wide


def drawn(scene: Scene, size: int, effect: Effect = Effect.NONE) -> Image.Image:
    """Draw a scene as a picture of size x size pixels."""
    pixels = render(pack([scene], [effect]), size).pixels
    return Image.fromarray(to_bytes(pixels)[0].numpy())


if __name__ == "__main__":
    main()
