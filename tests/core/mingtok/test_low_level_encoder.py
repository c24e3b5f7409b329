"""The encoder: patches, the class token, and positions on other grids."""

import math

import pytest
import torch
from torch import Tensor

from ming_core import Latents, MingModel, PromptError, decode_pixels, expand
from ming_core.univision.mingtok.low_level_encoder import LowLevelEncoder


@pytest.fixture(scope="module")
def encoder(model: MingModel) -> LowLevelEncoder:
    return model.parts.low_level_encoder


def noise(height: int, width: int, images: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(images, 3, height, width, generator=generator) * 2 - 1


def cubic(x: float) -> float:
    """The bicubic kernel with a = -0.75, as torch and the published code have it."""
    x, a = abs(x), -0.75
    if x <= 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a if x < 2 else 0.0


def axis_weights(trained: int, wanted: int) -> Tensor:
    """Weights (wanted, trained) of resizing one axis by the factor (wanted + 0.1) / trained."""
    weights = torch.zeros(wanted, trained)
    for place in range(wanted):
        at = (place + 0.5) * trained / (wanted + 0.1) - 0.5
        for tap in range(math.floor(at) - 1, math.floor(at) + 3):
            weights[place, min(max(tap, 0), trained - 1)] += cubic(at - tap)
    return weights


@pytest.mark.parametrize("grid", [(3, 6), (6, 3), (12, 12), (7, 5), (1, 1), (1, 20)])
def test_positions_are_resized_bicubically_axis_by_axis(encoder: LowLevelEncoder, grid):
    table = encoder.pos_embed[0, :-1].view(6, 6, -1)
    rows, columns = (axis_weights(6, wanted) for wanted in grid)
    expected = torch.einsum("ai,bj,ijd->abd", rows, columns, table).flatten(0, 1)
    ours = encoder._positions(grid)
    assert ours.shape == (1, grid[0] * grid[1] + 1, 64)
    assert torch.allclose(ours[0, :-1], expected, atol=1e-5)
    assert torch.equal(ours[0, -1], encoder.pos_embed[0, -1])


def test_the_trained_grid_is_used_as_it_is(encoder: LowLevelEncoder):
    assert encoder._positions((6, 6)) is encoder.pos_embed


@torch.inference_mode()
@pytest.mark.parametrize(("height", "width"), [(96, 96), (48, 96), (16, 160), (32, 16)])
def test_an_image_of_any_shape_gives_a_latent_per_patch_and_decodes(model, height, width):
    encoder, pixels = model.parts.low_level_encoder, noise(height, width)
    raw, grid = encoder(pixels), encoder.grid(pixels)
    assert grid == (height // 16, width // 16)
    assert raw.shape == (1, grid[0] * grid[1] + 1, 32)
    features = expand(model, Latents(encoder.normalised(raw)[:, :-1], grid))
    assert decode_pixels(model, features).shape == (1, height, width, 3)


@torch.inference_mode()
def test_the_class_token_is_last_and_the_patches_come_in_raster_order(encoder, watch):
    inputs = watch(encoder.blocks[0])
    pixels = noise(48, 96)
    encoder(pixels)
    x = inputs[0][0][0] - encoder._positions((3, 6))
    assert torch.allclose(x[:, -1], encoder.cls_token[:, 0], atol=1e-6)
    patch = encoder.patch_embed(pixels[:, :, 16:32, 80:96]).flatten()  # row 1, column 5
    assert torch.allclose(x[0, 1 * 6 + 5], patch, atol=1e-5)


@torch.inference_mode()
def test_the_shortcut_averages_neighbouring_channels(encoder: LowLevelEncoder, watch):
    outputs, pixels = watch(encoder.blocks[-1]), noise(32, 32)
    raw = encoder(pixels)
    x = outputs[0][1]
    branch = encoder.out_proj(torch.nn.functional.gelu(encoder.out_norm(x)))
    expected = torch.stack((x[..., 0::2], x[..., 1::2])).mean(0)
    assert torch.allclose(raw - branch, expected, atol=1e-5)


@torch.inference_mode()
def test_images_of_a_batch_do_not_mix(encoder: LowLevelEncoder):
    pixels = noise(96, 96, images=3)
    whole = encoder(pixels)
    for i in range(3):
        assert torch.allclose(encoder(pixels[i : i + 1])[0], whole[i], atol=1e-5)


@pytest.mark.parametrize(("height", "width"), [(97, 96), (96, 15), (0, 16)])
def test_sizes_that_cannot_be_cut_are_refused(encoder: LowLevelEncoder, height, width):
    with pytest.raises(PromptError, match=f"{width}x{height}.* 16"):
        encoder(torch.zeros(1, 3, height, width))
