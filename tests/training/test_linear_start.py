"""A tokenizer that begins linear shows pictures before it has learnt anything."""

import pytest
import torch

from ming_bench.tiny_checkpoint.config import Sizes, ming_config
from training.build import fresh_components
from training.linear_start import start_linear
from training.rich_pictures import PicturePool
from training.stage import Settings


def reconstruction(components, pixels: torch.Tensor) -> float:
    """PSNR in dB, mean over pictures."""
    encoder = components.low_level_encoder
    features = components.semantic_decoder(encoder(pixels)[:, :-1])
    painted = components.pixel_decoder(features, encoder.grid(pixels)).clamp(-1, 1)
    error = ((painted - pixels) / 2).pow(2).flatten(1).mean(1)
    return float((-10 * error.log10()).mean())


@pytest.mark.parametrize("width", [64, 128])
@torch.no_grad()
def test_it_reconstructs_unseen_pictures_at_once(tmp_path, vocabulary, width: int):
    config = ming_config(Sizes(vision_width=width, vision_depth=1), vocabulary[1])
    components = fresh_components(config, seed=1)
    unseen = PicturePool(32, 6, Settings(tmp_path, seed=5)).take(torch.arange(32)).pixels
    before = reconstruction(components, unseen)
    pool = PicturePool(160, 6, Settings(tmp_path, seed=6))
    start_linear(components, pool, torch.Generator().manual_seed(0))
    # Flat patches of 8 pixels, the plateau of a random start, give 23 dB.
    assert reconstruction(components, unseen) > 20 > 12 > before


@torch.no_grad()
def test_latents_begin_with_unit_spread_and_tell_the_place(tmp_path, vocabulary):
    components = fresh_components(ming_config(Sizes(vision_depth=1), vocabulary[1]), seed=1)
    pool = PicturePool(160, 6, Settings(tmp_path, seed=6))
    start_linear(components, pool, torch.Generator().manual_seed(0))
    raw = components.low_level_encoder(pool.take(torch.arange(64)).pixels)[:, :-1]
    assert 0.7 < float(raw.std()) < 1.4
    rows = raw[..., -2].mean(dim=0).view(6, 6)
    assert torch.allclose(rows.mean(dim=1), torch.linspace(-1.5, 1.5, 6), atol=0.35)
