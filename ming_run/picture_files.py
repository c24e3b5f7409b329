"""Reads picture files of any depth as the newest ComfyUI's Load Image does, or says why not.

Knows nothing about nodes. Values are floats in 0..1.
"""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile, ImageOps, ImageSequence

Floats = npt.NDArray[np.float32]
_LOG = logging.getLogger("ming")
_ANIMATED = ("GIF", "PNG", "WEBP", "AVIF")  # pages of a TIFF and views of a camera are no frames
_DEEP = ("I;16", "I;16L", "I;16B", "I;16N")
_UNBOUNDED = ("I", "F")
_WHITE = 255  # where nothing says what is
_NO_MASK = (64, 64)  # what Load Image gives for a picture without transparency


def read_picture(path: Path) -> tuple[Floats, Floats]:
    """Pixels (frames, H, W, 3), and a mask (frames, H, W) that is 1 where transparent.

    A picture that cannot be transparent has a mask of 64x64 zeros. One that is cut short is black
    or grey from there on, and that is logged. Raises ValueError for what is no picture.
    """
    try:
        with Image.open(path) as opened:
            frames = [_read_frame(frame, path) for frame in _frames(opened, path)]
    except (OSError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise ValueError(
            f"{path.name} cannot be read as a picture ({error}): it is damaged, cut short or of "
            "another kind. Open it in a program that shows it and save it as PNG."
        ) from error
    pixels = [pixels for pixels, _ in frames if pixels.shape == frames[0][0].shape]
    masks = [mask for pixels, mask in frames if pixels.shape == frames[0][0].shape]
    size = _NO_MASK if all(mask is None for mask in masks) else pixels[0].shape[:2]
    kept = [np.zeros(size, np.float32) if mask is None else mask for mask in masks]
    return np.stack(pixels), np.stack(kept)


def _frames(opened: Image.Image, path: Path) -> Iterator[Image.Image]:
    """All frames of an animation, else the one picture, whole or as far as it goes."""
    if opened.format in _ANIMATED and getattr(opened, "is_animated", False):
        for frame in ImageSequence.Iterator(opened):
            yield _loaded(frame, path)
    else:
        yield _loaded(opened, path)


def _loaded(frame: Image.Image, path: Path) -> Image.Image:
    try:
        frame.load()
    except OSError as error:
        _LOG.warning("%s is cut short (%s): the rest of it is empty.", path.name, error)
        before = ImageFile.LOAD_TRUNCATED_IMAGES
        ImageFile.LOAD_TRUNCATED_IMAGES = True
        try:
            frame.load()
        finally:
            ImageFile.LOAD_TRUNCATED_IMAGES = before
    return ImageOps.exif_transpose(frame) or frame


def _read_frame(frame: Image.Image, path: Path) -> tuple[Floats, Floats | None]:
    if frame.mode in _UNBOUNDED:
        return _grey(_bounded(np.asarray(frame), path) / _WHITE), None
    if frame.mode in _DEEP:
        return _grey(np.asarray(frame) / 65535), None
    pixels = np.asarray(frame.convert("RGB"), dtype=np.float32) / 255.0
    may_be_transparent = frame.mode == "P" or frame.has_transparency_data
    if not may_be_transparent:
        return pixels, None
    mask = 1.0 - np.asarray(frame.convert("RGBA"))[..., 3].astype(np.float32) / 255.0
    if path.suffix.lower() == ".gif":  # what the palette holds there is nobody's colour
        pixels = np.where(mask[..., None] == 1, np.float32(1), pixels)
    return pixels, mask


def _grey(values: npt.NDArray[Any]) -> Floats:
    return np.repeat(values.astype(np.float32)[..., None], 3, axis=2)


def _bounded(values: npt.NDArray[Any], path: Path) -> npt.NDArray[Any]:
    """Values of 32 bits, where they can be meant as 0 to 255."""
    lowest, highest = float(values.min()), float(values.max())
    if lowest >= 0 and (1 < highest <= _WHITE or highest == 0):
        return values
    raise ValueError(
        f"{path.name} holds values of 32 bits from {lowest:g} to {highest:g}, and nothing says "
        f"which of them is white; ComfyUI takes {_WHITE} for it and cuts off what lies outside. "
        "Save it with 8 or 16 bits."
    )
