"""Pictures read without ComfyUI, as the Load Image of ComfyUI 0.33.0 gives them, or told.

Recorded with that node: shapes, masks and values; its greys of 8 bits are up to 0.6 of 255 darker.
"""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ming_run.picture_files import read_picture

CASES = Path(__file__).parent / "cases" / "images"
GREY = (np.mgrid[0:6, 0:8].sum(0) * 19).astype(np.uint8)
RGB = np.stack([GREY, 255 - GREY, GREY // 2], axis=-1)


def saved(path, values, **options):
    picture = values if isinstance(values, Image.Image) else Image.fromarray(values)
    picture.save(path, **options)
    return path


@pytest.mark.parametrize(
    ("name", "values", "is_lossy"),
    [
        *(("a.png", RGB, False), ("a.jpg", RGB, True), ("a.webp", RGB, True)),
        *(("grey.png", GREY, False), ("16.png", GREY.astype(np.uint16) * 257, False)),
        *(("16.tif", GREY.astype(np.uint16) * 257, False), ("32.tif", GREY.astype("i4"), False)),
        *(("float.tif", GREY.astype("f4"), False), ("bit.png", GREY > 100, False)),
    ],
)
def test_every_depth_is_read_at_its_own_white(tmp_path, name, values, is_lossy):
    pixels, mask = read_picture(saved(tmp_path / name, values))
    whitest = {np.dtype(np.uint16): 65535, np.dtype(np.bool_): 1}.get(values.dtype, 255)
    expected = values.astype(np.float32) / whitest
    expected = expected if expected.ndim == 3 else np.stack([expected] * 3, axis=-1)
    assert mask.shape == (1, 64, 64) and not mask.any()
    assert pixels.dtype == np.float32
    assert np.abs(pixels[0] - expected).max() < (0.3 if is_lossy else 1e-6)


def test_the_16_bits_of_a_scan_are_kept():
    pixels, _ = read_picture(CASES / "gray16.png")
    assert pixels.shape == (1, 96, 128, 3) and pixels.mean() == pytest.approx(0.49999237, abs=1e-6)


@pytest.mark.parametrize("values", [GREY.astype("i4") * 257, -GREY.astype("f4"), GREY / 300.0])
def test_32_bits_without_a_known_white_are_refused(tmp_path, values):
    path = saved(tmp_path / "x.tif", values.astype(np.int32 if values.dtype == "i4" else "f4"))
    with pytest.raises(ValueError, match="32 bits from .* to .*which of them is white.*8 or 16"):
        read_picture(path)


def test_a_palette_may_be_transparent_and_always_has_a_mask(tmp_path):
    palette = Image.fromarray(RGB).quantize(4)
    for options, count in (({}, 0), ({"transparency": 2}, int((np.asarray(palette) == 2).sum()))):
        pixels, mask = read_picture(saved(tmp_path / "x.png", palette, **options))
        assert np.array_equal(pixels[0], np.asarray(palette.convert("RGB"), np.float32) / 255)
        assert mask.shape == (1, 6, 8) and mask.sum() == count


def test_what_is_transparent_in_a_gif_is_white(tmp_path):
    palette = Image.fromarray(RGB).quantize(4)
    pixels, mask = read_picture(saved(tmp_path / "x.gif", palette, transparency=2))
    assert mask.any() and (pixels[mask == 1] == 1).all()


def test_transparency_is_the_mask(tmp_path):
    alpha = np.dstack([RGB, GREY])
    _, mask = read_picture(saved(tmp_path / "x.png", alpha))
    assert np.allclose(mask[0], 1 - GREY / 255.0)


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.webp"])
def test_an_animation_gives_all_its_frames(tmp_path, name):
    frames = [Image.fromarray(np.roll(RGB, shift, axis=0)) for shift in range(3)]
    path = saved(tmp_path / name, frames[0], save_all=True, append_images=frames[1:], lossless=True)
    pixels, mask = read_picture(path)
    expected = np.stack([np.asarray(frame) for frame in frames]) / 255.0
    assert np.abs(pixels - expected).max() < 2 / 255 and len(mask) == 3 and not mask.any()


def test_the_pages_of_a_scan_are_no_frames(tmp_path):
    pages = [Image.fromarray(RGB), Image.fromarray(255 - RGB)]
    path = saved(tmp_path / "x.tif", pages[0], save_all=True, append_images=pages[1:])
    pixels, _ = read_picture(path)
    assert np.array_equal(pixels, RGB[None].astype(np.float32) / 255)


def test_the_animation_of_the_case_is_whole():
    pixels, _ = read_picture(CASES / "anim.gif")
    assert pixels.shape == (3, 96, 128, 3) and pixels.mean() == pytest.approx(0.267, abs=2e-3)


def test_a_picture_that_is_cut_short_is_told(caplog):
    pixels, _ = read_picture(CASES / "cut.png")
    assert pixels.mean() == pytest.approx(0.24346407, abs=1e-6)
    assert "cut.png is cut short" in caplog.text


def test_a_rotated_picture_stands_upright(tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    pixels, _ = read_picture(saved(tmp_path / "x.png", RGB, exif=exif))
    assert np.array_equal(pixels[0], np.rot90(RGB, -1).astype(np.float32) / 255)


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"\xff\xd8\xff"]
)
def test_what_is_no_picture_is_named(tmp_path, content):
    (tmp_path / "x.png").write_bytes(content)
    with pytest.raises(ValueError, match=r"x\.png cannot be read as a picture"):
        read_picture(tmp_path / "x.png")
