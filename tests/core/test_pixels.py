"""Host images of every kind, and the two rules of resizing."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from ming_core import (
    MingModel,
    PromptError,
    Window,
    as_given,
    decode_pixels,
    edit,
    encode_image,
    expand,
    generate,
    load_context,
    save_context,
)
from ming_core.pixels import FITS, Frame, restored, to_image, to_mask, to_pil, to_pixels

EVERY_BYTE = torch.arange(256).view(1, 16, 16, 1)


def host_image(height: int, width: int, channels: int = 3, images: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(height * 1000 + width)
    return torch.rand(images, height, width, channels, generator=generator)


def test_bytes_survive_the_way_in_and_out():
    image = torch.cat((EVERY_BYTE, EVERY_BYTE.flip(1), EVERY_BYTE.flip(2)), dim=-1)
    pictures = to_pil(image / 255)
    assert np.array_equal(np.asarray(pictures[0]), image[0].numpy())
    pixels = to_pixels(image / 255, "edit", 16)
    assert torch.equal((to_image(pixels) * 255).round().long(), image)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_float_dtypes_are_read(dtype: torch.dtype):
    image = torch.tensor([0.0, 0.5, 1.0]).view(1, 1, 3, 1).to(dtype)
    assert np.asarray(to_pil(image)[0])[0, :, 0].tolist() == [0, 128, 255]


def test_values_beyond_the_range_are_clamped():
    image = torch.tensor([-3.0, 1.7, 0.2]).view(1, 1, 1, 3)
    assert np.asarray(to_pil(image)[0]).flatten().tolist() == [0, 255, 51]


def test_alpha_lies_over_white():
    colour = torch.tensor([0.2, 0.4, 0.6])
    alpha = torch.tensor([0.0, 0.5, 1.0])
    image = torch.cat((colour.expand(1, 1, 3, 3), alpha.view(1, 1, 3, 1)), dim=-1)
    pixels = np.asarray(to_pil(image)[0])[0].tolist()
    assert pixels == [[255, 255, 255], [153, 178, 204], [51, 102, 153]]


def test_grey_becomes_three_equal_channels():
    picture = np.asarray(to_pil(host_image(5, 7, channels=1))[0])
    assert picture.shape == (5, 7, 3)
    assert (picture == picture[..., :1]).all()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("channel", [0, 3])
def test_values_that_are_no_numbers_are_refused(value: float, channel: int):
    image = host_image(4, 4, channels=4)
    image[0, 2, 2, channel] = value
    with pytest.raises(PromptError, match="NaN"):
        to_pixels(image, "edit", 16)


@pytest.mark.parametrize(
    "shape", [(4, 4, 3), (1, 4, 4, 2), (1, 3, 4, 5), (1, 0, 4, 3), (0, 4, 4, 3), (1, 1, 4, 4, 3)]
)
def test_other_shapes_are_refused_and_named(shape: tuple[int, ...]):
    with pytest.raises(PromptError) as refused:
        to_pixels(torch.zeros(shape), "understand", 16)
    assert str(shape) in str(refused.value)


def test_an_unknown_use_is_refused(model: MingModel):
    with pytest.raises(PromptError, match="'draw'.*edit, understand"):
        encode_image(model, host_image(4, 4), "draw")


@pytest.mark.parametrize("use", ["edit", "understand"])
@pytest.mark.parametrize(
    ("height", "width"), [(1, 1), (1, 2), (3, 1), (97, 31), (32, 33), (1, 3000), (2000, 3)]
)
def test_every_size_gives_the_wanted_square(use, height: int, width: int):
    pixels = to_pixels(host_image(height, width, images=2), use, 32)
    assert pixels.shape == (2, 3, 32, 32)
    assert float(pixels.abs().max()) <= 1


@pytest.mark.parametrize(("height", "width"), [(70, 53), (53, 70), (32, 48), (31, 32 * 31)])
def test_edits_crop_the_middle_of_a_truncated_resize(height: int, width: int):
    image = (host_image(height, width) * 255).round() / 255
    picture = Image.fromarray((image[0] * 255).round().byte().numpy())
    short, long = min(height, width), max(height, width)
    side = int(32 * long / short)
    resized = picture.resize(
        (32, side) if width <= height else (side, 32), Image.Resampling.BICUBIC
    )
    start = round((side - 32) / 2)
    left, top = (0, start) if width <= height else (start, 0)
    expected = np.asarray(resized)[top : top + 32, left : left + 32]
    ours = (to_image(to_pixels(image, "edit", 32))[0] * 255).round().byte().numpy()
    assert np.array_equal(ours, expected)


def test_very_long_pictures_keep_their_middle():
    """At 1 to 100 the far ends are cut before resizing; the middle must stay the middle."""
    image = torch.zeros(1, 4, 400, 3)
    image[:, :, 198:202] = 1.0
    pixels = to_pixels(image, "edit", 16)
    assert torch.equal(pixels, pixels.flip(-1))
    assert float(pixels[..., 4:12].min()) > 0.9
    ramp = torch.linspace(0, 1, 400).view(1, 1, 400, 1).expand(1, 4, 400, 3)
    assert float(to_pixels(ramp, "edit", 16).mean()) == pytest.approx(0.0, abs=0.01)


def test_very_long_pictures_take_little_memory(monkeypatch: pytest.MonkeyPatch):
    areas = []
    resize = Image.Image.resize

    def recording(self: Image.Image, size: tuple[int, int], *rest: object) -> Image.Image:
        areas.append(size[0] * size[1])
        return resize(self, size, *rest)

    monkeypatch.setattr(Image.Image, "resize", recording)
    to_pixels(host_image(1, 60000), "edit", 32)
    assert areas
    assert max(areas) <= 32 * 32 * 40


def test_understanding_keeps_the_whole_picture():
    image = torch.zeros(1, 10, 40, 3)
    image[:, :, 20:] = 1.0
    pixels = to_pixels(image, "understand", 16)
    assert float(pixels[..., :6].max()) == -1
    assert float(pixels[..., 10:].min()) == 1


def test_an_image_is_left_as_it_was():
    image = host_image(9, 9, channels=4)
    before = image.clone()
    to_pixels(image, "edit", 16)
    assert torch.equal(image, before)


@pytest.mark.parametrize(("use", "tokens"), [("edit", 36), ("understand", 144)])
def test_encoding_gives_normalised_latents_of_the_whole_batch(model, use, tokens: int):
    latents = encode_image(model, host_image(50, 61, images=3), use)
    assert latents.values.shape == (3, tokens, 32)
    assert latents.grid == (tokens**0.5, tokens**0.5)
    alone = encode_image(model, host_image(50, 61, images=3)[2:], use)
    assert torch.allclose(latents.values[2:], alone.values, atol=1e-5)


def ramp(height: int, width: int) -> Tensor:
    """A host image that grows redder to the right and greener downwards."""
    across, down = (torch.linspace(0, 1, side) for side in (width, height))
    red, green = torch.meshgrid(across, down, indexing="xy")
    return torch.stack((red, green, torch.full_like(red, 0.5)), dim=-1)[None]


@pytest.mark.parametrize(("height", "width"), [(64, 96), (96, 64), (50, 50), (40, 200)])
@pytest.mark.parametrize("fit", ["pad", "squash"])
def test_a_picture_comes_back_in_its_size_and_shape(fit, height: int, width: int):
    image = ramp(height, width)
    square = to_image(to_pixels(image, "edit", 128, fit))
    back = restored(square, Frame(height, width, fit))
    assert back.shape == image.shape
    assert (back - image).abs().mean() < 0.02


def test_of_a_cropped_picture_the_middle_comes_back_in_its_own_size():
    image = ramp(64, 96)
    square = to_image(to_pixels(image, "edit", 128, "crop"))
    back = restored(square, Frame(64, 96, "crop"))
    assert back.shape == (1, 64, 64, 3)
    assert (back - image[:, :, 16:80]).abs().mean() < 0.02


def test_bands_have_the_colour_of_the_rim_and_the_whole_picture_lies_between_them():
    image = torch.zeros(1, 40, 80, 3)
    image[:, 10:30, 10:70] = 1.0
    image[:, :, :, 2] = 0.2  # blue everywhere
    square = to_image(to_pixels(image, "edit", 80, "pad"))[0]
    assert (square[:20] - torch.tensor([0.0, 0.0, 0.2])).abs().max() < 0.01
    assert (square[20:60] - image[0]).abs().max() < 0.01
    assert torch.equal(square[:20], square[60:])


@pytest.mark.parametrize("size", [(1, 60000), (60000, 1)])
@pytest.mark.parametrize("fit", list(FITS))
def test_the_longest_pictures_fit_too(fit, size: tuple[int, int]):
    assert to_pixels(host_image(*size), "edit", 32, fit).shape == (1, 3, 32, 32)


def test_an_unknown_fit_is_refused_naming_those_there_are():
    for unknown in ("stretch", ["pad"]):
        with pytest.raises(PromptError, match="fit is .*use one of crop, pad, squash"):
            to_pixels(host_image(8, 8), "edit", 16, unknown)


def test_a_mask_is_fitted_as_its_picture_was():
    mask = torch.zeros(1, 64, 96)
    mask[:, :, :24] = 1.0  # the left quarter
    seen = {fit: to_mask(mask, Frame(64, 96, fit), 96) for fit in FITS}
    assert [bool(seen["pad"][row].any()) for row in (0, 15, 16, 79, 80)] == [0, 0, 1, 1, 0]
    for fit, columns in (("pad", 24), ("squash", 24), ("crop", 12)):
        rows, across = torch.nonzero(seen[fit], as_tuple=True)
        assert across.min() == 0 and abs(int(across.max()) + 1 - columns) <= 1
    assert torch.equal(to_mask(mask[0], None, 96), seen["crop"])


def test_a_square_mask_is_of_the_square_that_is_drawn():
    mask = torch.zeros(48, 48)
    mask[24:, 24:] = 0.6
    wide = to_mask(mask, Frame(64, 96, "pad"), 96)
    assert wide.sum() == pytest.approx(48 * 48, rel=0.05) and wide[95, 95]


@pytest.mark.parametrize(
    ("mask", "said"),
    [
        (torch.zeros(64, 96), "marks nothing"),
        (torch.full((64, 96), 0.4), "marks nothing"),
        (torch.full((64, 96), float("nan")), "marks nothing"),
        (torch.ones(2, 64, 96), r"shape \(2, 64, 96\)"),
        (torch.ones(64, 0), r"shape \(64, 0\)"),
        (torch.ones(1, 64, 96, 3), "expected one mask"),
    ],
)
def test_a_mask_that_says_nothing_is_refused(mask: Tensor, said: str):
    with pytest.raises(PromptError, match=said):
        to_mask(mask, None, 96)


def test_edits_go_back_to_the_size_of_what_was_given(model: MingModel, quick, tmp_path):
    latents = encode_image(model, ramp(60, 90), "edit", fit="pad")
    shown = expand(model, latents)
    assert as_given(decode_pixels(model, shown), shown).shape == (1, 60, 90, 3)
    assert latents.frame == shown.images()[0].frame == Frame(60, 90, "pad")
    first = edit(model, "make it red", seed=1, sampling=quick, features=shown)
    second = edit(model, "and blue", seed=2, sampling=quick, context=first.context)
    save_context(second.context, tmp_path / "c")
    loaded = load_context(tmp_path / "c")
    third = edit(model, "and grey", seed=3, sampling=quick, context=loaded, window=Window(0))
    for made in (first, second, third):
        assert as_given(decode_pixels(model, made.features), made.features).shape[1:3] == (60, 90)


def test_what_no_picture_was_given_for_has_no_size_to_go_back_to(model: MingModel, quick):
    drawn = generate(model, "a circle", seeds=[1], sampling=quick)[0].features
    with pytest.raises(PromptError, match="no size to go back to"):
        as_given(decode_pixels(model, drawn), drawn)
