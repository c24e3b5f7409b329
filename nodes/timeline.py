"""Draws a conversation as one picture: a numbered card per turn, on a line from top to bottom.

Knows nothing about the host or the engine: it gets texts and thumbnails.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

Part = str | Image.Image | None  # words, a picture, or a picture that cannot be shown

WIDTH, MARGIN, PAD, LINE_X = 960, 28, 16, 44
THUMBNAIL, GAP = 176, 12
MAX_CHARACTERS = 1200  # of one text; the rest is cut off with an ellipsis
PAPER, CARD, EDGE, INK = "#eef0f4", "#ffffff", "#d5d9e2", "#1d2330"
FAINT, ASKED, REPLIED, FRAME = "#6b7385", "#4457c9", "#1f8a5f", "#e3e6ee"

# The first of these that can draw Chinese is taken; names as the systems install them.
FONTS = (
    "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/noto-cjk/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/google-noto-cjk/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/truetype/wqy/wqy-microhei.ttc",
    "/usr/share/fonts/truetype/wqy/wqy-zenhei.ttc",
    "/usr/share/fonts/truetype/arphic/uming.ttc",
    "/usr/share/fonts/truetype/droid/DroidSansFallbackFull.ttf",
    "/System/Library/Fonts/PingFang.ttc",
    "/System/Library/Fonts/Hiragino Sans GB.ttc",
    "/System/Library/Fonts/STHeiti Light.ttc",
    "/Library/Fonts/Arial Unicode.ttf",
    "C:/Windows/Fonts/msyh.ttc",
    "C:/Windows/Fonts/simhei.ttf",
    "C:/Windows/Fonts/simsun.ttc",
)


@dataclass(frozen=True)
class Card:
    """One turn: what the user said and showed, what came back, and the figures below."""

    asked: Sequence[Part]
    replied: Sequence[Part]
    facts: str


@dataclass(frozen=True)
class _Row:
    """A line of words or a row of pictures, placed in a card; y counts from the card's top."""

    y: int
    height: int
    words: str = ""
    pictures: tuple[Image.Image | None, ...] = ()
    ink: str = INK
    size: int = 17


def draw_timeline(cards: Sequence[Card], title: str) -> Image.Image:
    """Return the whole conversation as one picture of fixed width."""
    laid_out = [_lay_out(card) for card in cards]
    heights = [rows[-1].y + rows[-1].height + PAD for rows in laid_out]
    top = MARGIN + 40
    sheet = Image.new("RGB", (WIDTH, top + sum(heights) + len(cards) * MARGIN + 8), PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN, MARGIN - 8), title, INK, _font(21))
    if cards:
        draw.line((LINE_X, top + 20, LINE_X, sheet.height - MARGIN), EDGE, 3)
    for number, (rows, height) in enumerate(zip(laid_out, heights, strict=True), start=1):
        _draw_card(sheet, (top, height), number, rows)
        top += height + MARGIN
    return sheet


@lru_cache(maxsize=1)
def find_font() -> Path | None:
    """Return a font file of this system that can draw Chinese, if there is one."""
    for name in FONTS:
        path = Path(name)
        if path.is_file() and _draws_chinese(path):
            return path
    return None


def _draws_chinese(path: Path) -> bool:
    """Whether a character looks other than the box a font draws for what it lacks."""
    try:
        font = ImageFont.truetype(str(path), 20)
    except OSError:
        return False
    known, lacking = (_drawn(font, char) for char in ("\u4e2d", "\U0010fffd"))
    return known != lacking


def _drawn(font: ImageFont.FreeTypeFont, char: str) -> bytes:
    """Return how a character looks."""
    picture = Image.new("L", (32, 32))
    ImageDraw.Draw(picture).text((0, 0), char, 255, font)
    return picture.tobytes()


@lru_cache(maxsize=8)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    path = find_font()
    return ImageFont.truetype(str(path), size) if path else ImageFont.load_default(size)


def _lay_out(card: Card) -> list[_Row]:
    """Place the parts of a card one below the other."""
    rows: list[_Row] = []
    y = PAD
    for label, ink, parts in (("You", ASKED, card.asked), ("Model", REPLIED, card.replied)):
        rows.append(_Row(y, 24, label, ink=ink, size=15))
        y += 24
        for row in _rows_of(parts, y):
            rows.append(row)
            y = row.y + row.height
        y += 10
    for line in _wrapped(card.facts, 14):
        rows.append(_Row(y, 20, line, ink=FAINT, size=14))
        y += 20
    return rows


def _rows_of(parts: Sequence[Part], y: int) -> Iterator[_Row]:
    """Yield the words and pictures of one side; neighbouring pictures share a row."""
    per_row = (_text_width() + GAP) // (THUMBNAIL + GAP)
    pictures: list[Image.Image | None] = []
    for part in [*parts, ""]:
        if pictures and (isinstance(part, str) or len(pictures) == per_row):
            yield _Row(y, THUMBNAIL + GAP, pictures=tuple(pictures))
            y += THUMBNAIL + GAP
            pictures = []
        if not isinstance(part, str):
            pictures.append(part)
            continue
        for line in _wrapped(part, 17):
            yield _Row(y, 25, line)
            y += 25


def _draw_card(sheet: Image.Image, span: tuple[int, int], number: int, rows: list[_Row]) -> None:
    """Draw one card at (top, height) with its number on the line."""
    top, height = span
    draw = ImageDraw.Draw(sheet)
    left = LINE_X + 36
    draw.rounded_rectangle((left, top, WIDTH - MARGIN, top + height), 10, CARD, EDGE)
    draw.ellipse((LINE_X - 17, top + 8, LINE_X + 17, top + 42), ASKED)
    draw.text((LINE_X, top + 25), str(number), "#ffffff", _font(17), anchor="mm")
    for row in rows:
        if row.pictures:
            _draw_pictures(sheet, (left + PAD, top + row.y), row.pictures)
        else:
            draw.text((left + PAD, top + row.y), row.words, row.ink, _font(row.size))


def _draw_pictures(
    sheet: Image.Image, corner: tuple[int, int], pictures: tuple[Image.Image | None, ...]
) -> None:
    """Draw a row of thumbnails from a corner on; a picture that cannot be shown is a frame."""
    draw = ImageDraw.Draw(sheet)
    x, y = corner
    for picture in pictures:
        box = (x, y, x + THUMBNAIL - 1, y + THUMBNAIL - 1)
        draw.rectangle(box, FRAME, EDGE)
        if picture is None:
            draw.text((x + THUMBNAIL // 2, y + THUMBNAIL // 2), "picture", FAINT, _font(15), "mm")
        else:
            small = ImageOps.contain(picture.convert("RGB"), (THUMBNAIL, THUMBNAIL))
            room = (THUMBNAIL - small.width) // 2, (THUMBNAIL - small.height) // 2
            sheet.paste(small, (x + room[0], y + room[1]))
        x += THUMBNAIL + GAP


def _text_width() -> int:
    return WIDTH - MARGIN - PAD - (LINE_X + 36 + PAD)


def _wrapped(text: str, size: int) -> Iterator[str]:
    """Yield lines that fit a card, broken at spaces, or between characters where there are none."""
    font, width = _font(size), _text_width()
    if len(text) > MAX_CHARACTERS:
        text = text[:MAX_CHARACTERS] + " ..."
    for paragraph in text.splitlines():
        rest = paragraph.strip()
        while rest:
            end = _fitting(rest, font, width)
            space = rest.rfind(" ", 0, end + 1)
            if end < len(rest) and space > 0:
                end = space
            yield rest[:end]
            rest = rest[end:].lstrip()


def _fitting(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> int:
    """Return how many characters fit into a width, at least one."""
    low, high = 1, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if font.getlength(text[:middle]) <= width:
            low = middle
        else:
            high = middle - 1
    return low
