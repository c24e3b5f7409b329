"""The trained sizes, the choice among them, and what is made of a picture in another size."""

import pytest
import torch
from torch.nn import functional as F

from ming_core import PromptError
from ming_core.lite_uni.sizes import (
    SAMPLE_SIZES,
    PictureSize,
    fitted,
    nearest_size,
    picture_size,
    trained_sizes,
)

# Published entries: ratio -> (height, width).
KNOWN = {
    16: {0.25: (256, 1024), 0.6: (384, 640), 1.0: (512, 512), 1.46: (608, 416), 4.0: (1024, 256)},
    32: {0.33: (576, 1728), 0.97: None, 1.07: (1024, 960), 2.5: (1600, 640), 3.0: (1728, 576)},
    64: {0.26: (1024, 3968), 2.89: (3328, 1152), 3.88: (3968, 1024)},
    128: {0.27: (2048, 7680), 1.67: (5120, 3072), 3.75: (7680, 2048)},
}


@pytest.mark.parametrize("sample_size", SAMPLE_SIZES)
def test_tables_hold_the_published_entries(sample_size: int):
    sizes = trained_sizes(sample_size)
    assert len(sizes) == (33 if sample_size < 64 else 40)
    assert list(sizes) == sorted(sizes)
    for ratio, size in KNOWN[sample_size].items():
        assert sizes.get(ratio) == size


@pytest.mark.parametrize("sample_size", SAMPLE_SIZES)
def test_all_sizes_are_multiples_of_32_of_about_the_trained_area(sample_size: int):
    area = (32 * sample_size) ** 2
    for height, width in trained_sizes(sample_size).values():
        assert height % 32 == width % 32 == 0
        assert 0.85 * area < height * width <= 1.05 * area


@pytest.mark.golden
def test_bins_are_the_recorded_ones(diffusion_set):
    for settings in diffusion_set.manifest["generate"].values():
        request = settings["height"], settings["width"]
        sample_size = diffusion_set.diffusion.sample_size
        size = picture_size(request, "binned", sample_size, 32)
        assert size == PictureSize(tuple(settings["bin_wh"][::-1]), request)


def test_landscape_and_portrait_are_not_mirrored():
    assert nearest_size((300, 100), 16) == (864, 288)
    assert nearest_size((100, 300), 16) == (288, 864)
    assert nearest_size((1536, 1000), 16) == (608, 416), "1.54 is nearer to 1.46 than to 1.67"
    assert nearest_size((1000, 1536), 16) == (416, 608), "0.65 is nearer to 0.68 than to 0.60"
    assert {(w, h) for h, w in trained_sizes(16).values()} != set(trained_sizes(16).values())


def test_the_first_of_two_equally_near_sizes_is_taken():
    assert nearest_size((97, 100), 16) == (480, 512), "0.97 lies between 0.94 and 1.00"


def test_exact_sizes_are_drawn_as_asked_or_refused():
    assert picture_size((96, 160), "exact", 16, 32) == PictureSize((96, 160), (96, 160))
    with pytest.raises(PromptError, match=r"170 x 96.*multiples of 32. Ask for 160 x 96"):
        picture_size((96, 170), "exact", 16, 32)
    with pytest.raises(PromptError, match="Ask for 64 x 32"):
        picture_size((1, 50), "exact", 16, 32)


def test_like_the_input_is_the_nearest_trained_size_as_it_is():
    assert picture_size((3000, 4000), "like input", 16, 32) == PictureSize((416, 576), (416, 576))


def test_wrong_requests_are_refused():
    with pytest.raises(PromptError, match="no pixels"):
        picture_size((0, 64), "binned", 16, 32)
    with pytest.raises(PromptError, match="'binned'|binned, exact"):
        picture_size((64, 64), "biggest", 16, 32)


def test_a_picture_of_the_right_size_is_left_alone():
    pixels = torch.randn(1, 3, 8, 8)
    assert fitted(pixels, (8, 8)) is pixels


def test_pictures_are_resized_to_cover_and_cropped_in_the_middle():
    pixels = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    resized = F.interpolate(pixels, size=(32, 48), mode="bilinear", align_corners=False)
    assert torch.equal(fitted(pixels, (32, 33)), resized[..., 7:40])


def test_sides_are_truncated_as_published():
    pixels = torch.randn(1, 3, 416, 576)
    resized = F.interpolate(pixels, size=(96, 132), mode="bilinear", align_corners=False)
    assert torch.equal(fitted(pixels, (96, 128)), resized[..., 2:130]), "132.92 becomes 132"


def test_raw_values_are_resized_before_they_are_clamped():
    pixels = torch.tensor([[3.0, -1.0], [3.0, -1.0]]).expand(1, 3, 2, 2)
    assert fitted(pixels, (1, 1)).unique().tolist() == [1.0]


@pytest.mark.slow
def test_no_size_becomes_a_strip():
    """Where truncation falls one short, the published crop leaves one row or column."""
    sides = range(256, 1537, 32)
    for height in sides:
        for width in sides:
            drawn = nearest_size((height, width), 16)
            image = fitted(torch.empty(1, 1, *drawn, device="meta"), (height, width))
            assert image.shape[2:] == (height, width)
