"""Latents and features know their shape."""

import pytest
import torch

from ming_core import Features, Latents, PromptError


@pytest.mark.parametrize("kind", [Latents, Features])
@pytest.mark.parametrize(
    ("shape", "grid"),
    [((6, 4), (2, 3)), ((1, 6, 4), (2, 2)), ((1, 0, 4), (0, 5)), ((0, 6, 4), (2, 3))],
    ids=["no batch", "other grid", "no tokens", "no images"],
)
def test_other_shapes_are_refused_naming_both(kind: type, shape: tuple, grid: tuple):
    with pytest.raises(PromptError, match=f"{grid[0]}x{grid[1]}") as refused:
        kind(torch.zeros(shape), grid)
    assert str(shape) in str(refused.value)


def test_images_are_split_in_order_and_share_memory():
    values = torch.arange(24.0).view(3, 2, 4)
    images = Features(values, (1, 2)).images()
    assert [image.values.data_ptr() for image in images] == [v.data_ptr() for v in values]
    assert all(image.values.shape == (1, 2, 4) and image.grid == (1, 2) for image in images)
