"""The pixel decoder: order of the unfolding, and fp32."""

import pytest
import torch
from torch import nn

from ming_core import Features, MingModel, decode_pixels
from ming_core.operations import TorchOperations
from ming_core.univision.config import MingTokConfig, VisionStageConfig
from ming_core.univision.mingtok.pixel_decoder import PixelDecoder


@pytest.fixture
def see_through() -> PixelDecoder:
    """Patches of 6 and 2 pixels, whose blocks and norm do nothing."""
    encoder = VisionStageConfig(64, 1, 6, is_swiglu=False)
    pixel = VisionStageConfig(64, 1, 2, is_swiglu=False)
    config = MingTokConfig(12, 32, encoder, encoder, pixel, 0.0, 1.0)
    decoder = PixelDecoder(config, TorchOperations)
    decoder.blocks, decoder.norm = nn.ModuleList(), nn.Identity()
    return decoder


@torch.inference_mode()
@pytest.mark.parametrize("grid", [(2, 3), (1, 4), (3, 1)])
def test_every_value_lands_on_its_pixel(see_through: PixelDecoder, grid: tuple[int, int]):
    decoder = see_through
    features = torch.randn(2, grid[0] * grid[1], 64)
    ours = decoder(features, grid)
    assert ours.shape == (2, 3, grid[0] * 6, grid[1] * 6)
    for h in range(grid[0]):
        for w in range(grid[1]):
            values = decoder.sem_to_pix(features[:, h * grid[1] + w]).view(2, 3, 3, 64)
            for x in range(3):
                for y in range(3):
                    patch = decoder.head(values[:, x, y]).view(2, 2, 2, 3)  # row, column, channel
                    top, left = (h * 3 + x) * 2, (w * 3 + y) * 2
                    painted = ours[:, :, top : top + 2, left : left + 2]
                    assert torch.allclose(painted, patch.permute(0, 3, 1, 2), atol=1e-5)


@torch.inference_mode()
def test_tokens_attend_in_both_directions(model: MingModel):
    features = torch.randn(1, 4, 128, generator=torch.Generator().manual_seed(0))
    changed = features.clone()
    changed[:, 3] += 1
    decoder = model.parts.pixel_decoder
    before, after = decoder(features, (2, 2)), decoder(changed, (2, 2))
    assert not torch.allclose(before[..., :16, :16], after[..., :16, :16], atol=1e-4)


def test_a_host_image_comes_out_clamped_in_fp32_on_the_cpu(model: MingModel):
    features = torch.randn(2, 12, 128, generator=torch.Generator().manual_seed(0))
    wild = decode_pixels(model, Features(features.bfloat16() * 30, (3, 4)))
    assert wild.shape == (2, 48, 64, 3)
    assert (wild.dtype, wild.device.type) == (torch.float32, "cpu")
    assert wild.is_contiguous()
    assert float(wild.min()) >= 0
    assert float(wild.max()) <= 1
    exact = model.parts.pixel_decoder(features, (3, 4)).clamp(-1, 1) / 2 + 0.5
    ours = decode_pixels(model, Features(features, (3, 4)))
    assert torch.allclose(ours.permute(0, 3, 1, 2), exact, atol=1e-6)
