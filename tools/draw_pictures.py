"""Draws the pictures the shipped workflows load, so that they are ours to give away.

    python tools/draw_pictures.py

Writes workflows/input/ming_photo.png, ming_small_photo.png and ming_subject.png.
"""

import math
import random
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter

INPUT_FOLDER = Path(__file__).resolve().parent.parent / "workflows" / "input"
SCALE = 3  # everything is drawn larger and scaled down, for smooth edges
Colour = tuple[int, int, int]


def main() -> None:
    """Draw all pictures."""
    INPUT_FOLDER.mkdir(parents=True, exist_ok=True)
    house = draw_house()
    house.save(INPUT_FOLDER / "ming_photo.png", optimize=True)
    as_old_photo(house).save(INPUT_FOLDER / "ming_small_photo.png", optimize=True)
    draw_cat().save(INPUT_FOLDER / "ming_subject.png", optimize=True)


def draw_house(width: int = 640, height: int = 512) -> Image.Image:
    """A house with a red roof, a tree and the sun over green hills."""
    picture = _gradient(width * SCALE, height * SCALE, (92, 160, 226), (206, 231, 247))
    draw = _Pen(picture)
    draw.circle((535, 88), 62, (255, 238, 170))
    draw.circle((535, 88), 46, (255, 208, 64))
    for x, y, size in ((120, 92, 1.0), (330, 60, 0.75)):
        for dx, dy, radius in ((-44, 8, 24), (-14, -8, 32), (24, -2, 28), (52, 10, 20)):
            draw.circle((x + dx * size, y + dy * size), radius * size, (250, 252, 255))
    draw.hills(300, 34, 210, (120, 170, 110))
    draw.hills(352, 22, 330, (96, 160, 78))
    draw.polygon([(250, 512), (430, 512), (365, 392), (335, 392)], (214, 190, 142))  # path
    draw.box((250, 262), (450, 402), (245, 228, 196))  # house
    draw.box((400, 172), (428, 232), (146, 84, 66))  # chimney
    draw.polygon([(228, 266), (472, 266), (350, 164)], (196, 56, 44))
    draw.box((328, 322), (374, 402), (112, 68, 44))  # door
    draw.circle((365, 364), 4, (240, 205, 96))
    for x in (272, 394):
        draw.box((x, 292), (x + 38, 334), (255, 255, 255))
        draw.box((x + 4, 296), (x + 34, 330), (126, 190, 230))
        draw.box((x + 17, 292), (x + 21, 334), (255, 255, 255))
    draw.box((108, 300), (132, 420), (108, 74, 46))  # tree
    for x, y, radius in ((120, 236, 62), (80, 272, 46), (162, 270, 48), (120, 290, 52)):
        draw.circle((x, y), radius, (44, 122, 58))
    for x, y, radius in ((104, 224, 30), (148, 256, 24), (84, 262, 20)):
        draw.circle((x, y), radius, (66, 148, 72))
    petals = ((232, 84, 98), (250, 206, 74), (240, 240, 250))
    for x, y, colour in ((60, 462, 0), (96, 484, 1), (520, 452, 2), (560, 480, 0), (488, 488, 1)):
        for step in range(5):
            angle = math.tau * step / 5
            draw.circle((x + 7 * math.cos(angle), y + 7 * math.sin(angle)), 5, petals[colour])
        draw.circle((x, y), 4, (250, 180, 40) if colour != 1 else (170, 90, 40))
    return picture.reduce(SCALE)


def as_old_photo(picture: Image.Image) -> Image.Image:
    """The same scene as a small, soft, grey photograph with some grain."""
    square = picture.crop((64, 0, 576, 512)).convert("L").resize((160, 160))
    soft = square.filter(ImageFilter.GaussianBlur(1.1))
    grain = random.Random(7)  # noqa: S311 - film grain, no secret
    values = [round(40 + 0.72 * value + grain.gauss(0, 3)) for value in soft.tobytes()]
    old = Image.frombytes("L", soft.size, bytes(min(255, max(0, value)) for value in values))
    return old.convert("RGB")


def draw_cat(size: int = 512) -> Image.Image:
    """An orange cat on a carpet before a wall with a window."""
    picture = _gradient(size * SCALE, size * SCALE, (196, 214, 206), (222, 230, 216))
    draw = _Pen(picture)
    draw.box((0, 392), (512, 512), (170, 122, 86))
    draw.ellipse((60, 404), (452, 500), (118, 66, 92))
    draw.ellipse((84, 414), (428, 490), (150, 90, 118))
    draw.box((40, 50), (190, 220), (255, 255, 255))
    draw.box((50, 60), (180, 210), (150, 200, 236))
    draw.box((111, 60), (119, 210), (255, 255, 255))
    draw.box((50, 131), (180, 139), (255, 255, 255))
    fur, dark, pale = (232, 140, 52), (186, 98, 30), (252, 228, 196)
    draw.arc((316, 300), (448, 456), 250, 160, 26, fur)  # tail
    draw.ellipse((166, 236), (352, 462), fur)  # body
    draw.ellipse((214, 290), (304, 450), pale)
    for x in (200, 286):
        draw.ellipse((x, 424), (x + 50, 468), pale)  # paws
    for tip, left, right in (((186, 92), 176, 246), ((332, 92), 272, 342)):
        draw.polygon([tip, (left, 190), (right, 160)], fur)
        draw.polygon(
            [(tip[0] + (259 - tip[0]) * 0.12, 112), (left + 12, 178), (right - 12, 158)],
            (244, 178, 160),
        )
    draw.ellipse((166, 132), (352, 288), fur)  # head
    for x in (236, 256, 276):
        draw.box((x, 134), (x + 7, 168), dark)  # stripes
    for x in (206, 280):
        draw.ellipse((x, 186), (x + 32, 222), (250, 250, 240))
        draw.ellipse((x + 6, 188), (x + 26, 220), (84, 150, 70))
        draw.ellipse((x + 12, 190), (x + 20, 218), (16, 20, 16))
    draw.ellipse((222, 224), (264, 262), pale)
    draw.ellipse((254, 224), (296, 262), pale)
    draw.polygon([(248, 222), (270, 222), (259, 236)], (226, 110, 110))
    for y, end in ((236, 228), (244, 246), (252, 264)):
        draw.line([(226, y), (152, end)], (90, 60, 40), 2)
        draw.line([(292, y), (366, end)], (90, 60, 40), 2)
    return picture.reduce(SCALE)


class _Pen:
    """Draws in unscaled coordinates onto the larger picture."""

    def __init__(self, picture: Image.Image) -> None:
        self._draw = ImageDraw.Draw(picture)
        self._size = picture.size

    def circle(self, centre: tuple[float, float], radius: float, colour: Colour) -> None:
        x, y = centre
        self.ellipse((x - radius, y - radius), (x + radius, y + radius), colour)

    def ellipse(
        self, corner: tuple[float, float], opposite: tuple[float, float], colour: Colour
    ) -> None:
        self._draw.ellipse(_scaled([corner, opposite]), colour)

    def box(
        self, corner: tuple[float, float], opposite: tuple[float, float], colour: Colour
    ) -> None:
        self._draw.rectangle(_scaled([corner, opposite]), colour)

    def polygon(self, points: list[tuple[float, float]], colour: Colour) -> None:
        self._draw.polygon(_scaled(points), colour)

    def line(self, points: list[tuple[float, float]], colour: Colour, width: int) -> None:
        self._draw.line(_scaled(points), colour, width * SCALE)

    def arc(
        self,
        corner: tuple[float, float],
        opposite: tuple[float, float],
        start: float,
        end: float,
        width: int,
        colour: Colour,
    ) -> None:
        self._draw.arc(_scaled([corner, opposite]), start, end, colour, width * SCALE)

    def hills(self, height: float, depth: float, length: float, colour: Colour) -> None:
        """Fill everything below a wavy line."""
        width, bottom = self._size[0] / SCALE, self._size[1] / SCALE
        line = [
            (float(x), height + depth * math.sin(x / length * math.tau))
            for x in range(0, round(width) + 8, 8)
        ]
        self.polygon([*line, (width, bottom), (0.0, bottom)], colour)


def _scaled(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    return [(x * SCALE, y * SCALE) for x, y in points]


def _gradient(width: int, height: int, top: Colour, bottom: Colour) -> Image.Image:
    """From one colour above to another below."""
    column = Image.new("RGB", (1, height))
    for y in range(height):
        share = y / (height - 1)
        mixed = [round(a + (b - a) * share) for a, b in zip(top, bottom, strict=True)]
        column.putpixel((0, y), tuple(mixed))
    return column.resize((width, height))


if __name__ == "__main__":
    main()
