"""Host images of every kind, and the two rules of resizing."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from ming_core import MingModel, PromptError, encode_image
from ming_core.pixels import to_image, to_pil, to_pixels

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
