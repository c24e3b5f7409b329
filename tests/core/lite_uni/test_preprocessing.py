"""How a given picture is resized and cut: published sizes, and what is refused."""

import pytest
import torch

from ming_core import PromptError
from ming_core.lite_uni.preprocessing import fitted_size, to_patches


@pytest.mark.parametrize(
    ("given", "fitted"),
    [
        ((512, 512), (672, 672)),
        ((768, 1024), (560, 756)),
        ((480, 640), (588, 784)),
        ((1080, 1920), (504, 896)),
        ((300, 1900), (252, 1680)),
        ((20, 4100), (56, 9632)),
    ],
)
def test_sizes_are_the_published_ones(given, fitted):
    assert fitted_size(*given, unit=28) == fitted


def test_a_size_that_has_the_pixels_already_is_kept():
    assert fitted_size(56, 84, unit=28, pixels=4704) == (56, 84)


def test_a_long_picture_is_refused_but_for_a_thin_one():
    with pytest.raises(PromptError, match="200 times"):
        fitted_size(28, 5601, unit=28)
    assert fitted_size(27, 5500, unit=28)[0] >= 28
    with pytest.raises(PromptError, match="sliver"):
        fitted_size(1, 10**8, unit=28)


def test_two_pictures_are_refused():
    with pytest.raises(PromptError, match="2 pictures"):
        to_patches(torch.rand(2, 30, 30, 3), 14, 2, 2)


def test_patches_lie_block_by_block_and_repeat_the_frame():
    image = torch.zeros(1, 56, 56, 3)
    image[:, :14, 14:28] = 1.0  # the second patch of the first block
    patches = to_patches(image, 14, 2, 2, pixels=56 * 56)
    bright = patches.values.mean(dim=-1) > 0
    assert bright.tolist() == [False, True] + [False] * 14
    frames = patches.values.reshape(16, 3, 2, 14, 14)
    assert torch.equal(frames[:, :, 0], frames[:, :, 1])
