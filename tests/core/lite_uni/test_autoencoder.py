"""The decoder of latents: recorded pictures, its config's variants, and what it refuses."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from ming_core import ConfigError, TorchOperations
from ming_core.config_section import Section
from ming_core.lite_uni.autoencoder import LatentDecoder
from ming_core.lite_uni.diffusion_config import AutoencoderConfig
from ming_core.lite_uni.sizes import fitted, picture_size


@pytest.mark.golden
def test_a_latent_is_decoded_as_recorded(diffusion_set, error):
    recorded = diffusion_set.recorded
    assert error(diffusion_set.decoder(recorded["vae.latent"]), recorded["vae.decoded"]) <= 1e-5


@pytest.mark.golden
def test_recorded_latents_become_the_recorded_pictures(diffusion_set, error):
    every = 32 if diffusion_set.diffusion.sample_size == 32 else 16
    for case, settings in diffusion_set.manifest["generate"].items():
        if f"{case}.decoded" not in diffusion_set.recorded:
            continue
        pixels = diffusion_set.decoder(diffusion_set.recorded[f"{case}.latents"][-1:])
        points = pixels[0, :, 3::every, 5::every]
        assert error(points, diffusion_set.recorded[f"{case}.decoded"]) <= 1e-5, case
        request = settings["height"], settings["width"]
        size = picture_size(request, "binned", diffusion_set.diffusion.sample_size, 32)
        image = (fitted(pixels, size.final) / 2 + 0.5).clamp(0, 1).mul(255).round()
        path = diffusion_set.folder / f"image_{case}.png"
        expected = torch.from_numpy(np.array(Image.open(path)).astype(np.float32))
        off = (image[0].permute(1, 2, 0) - expected).abs()
        assert off.max() <= 1 and off.gt(0).float().mean() <= 1e-3, case


def test_pictures_of_a_batch_are_those_decoded_alone(diffusion_set, error):
    latents = torch.randn(2, *diffusion_set.recorded["vae.latent"].shape[1:])
    together = diffusion_set.decoder(latents)
    for latent, pixels in zip(latents, together, strict=True):
        assert error(diffusion_set.decoder(latent[None])[0], pixels) <= 1e-5


def test_the_clock_ticks_for_every_block(diffusion_set):
    ticks = []
    diffusion_set.decoder(diffusion_set.recorded["vae.latent"], lambda: ticks.append(1))
    stages = diffusion_set.autoencoder.stages
    assert len(ticks) == sum(stage.num_blocks for stage in stages) + len(stages) - 1


@pytest.fixture
def figures(diffusion_set) -> dict:
    return json.loads((diffusion_set.folder / "Ming-Lite-Uni/vae/config.json").read_text())


def read(figures: dict) -> AutoencoderConfig:
    return AutoencoderConfig.read(Section(figures, "vae"))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("_class_name", "AutoencoderKL"),
        ("in_channels", 4),
        ("decoder_in_shortcut", False),
        ("decoder_conv_act_fn", "silu"),
        ("decoder_norm_types", "batch_norm"),
        ("decoder_act_fns", "mish"),
        ("decoder_block_types", "DownBlock"),
        ("decoder_block_out_channels", []),
        ("decoder_block_out_channels", [8, 8, 8, 8, 16, 17]),
        ("decoder_block_out_channels", [3, 16, 8, 8, 16, 16]),
        ("decoder_layers_per_block", [1, 1]),
        ("decoder_layers_per_block", [0, 1, 1, 1, 1, 1]),
        ("decoder_qkv_multiscales", [[], [], [], [4], [5], [5]]),
        ("decoder_qkv_multiscales", [1, 2, 3, 4, 5, 6]),
        ("attention_head_dim", 32),
        ("upsample_block_type", "deconvolution"),
        ("scaling_factor", 0),
    ],
)
def test_what_is_not_implemented_or_wrong_is_refused_by_name(figures: dict, key: str, value):
    with pytest.raises(ConfigError, match=key):
        read(figures | {key: value})


def test_a_word_stands_for_all_stages_and_missing_keys_for_the_librarys_defaults(figures: dict):
    attentive = figures | {"decoder_block_types": "EfficientViTBlock", "attention_head_dim": 4}
    config = read({"latent_channels": 32})
    assert [stage.channels for stage in config.stages] == [128, 256, 512, 512, 1024, 1024]
    assert {stage.num_blocks for stage in config.stages} == {3}
    assert not any(stage.is_attentive for stage in config.stages)
    assert not config.is_interpolating and config.scaling_factor == 1
    assert all(s.is_attentive for s in read(attentive).stages)


def test_the_number_of_stages_says_how_many_pixels_a_latent_stands_for(figures: dict):
    assert read(figures).pixels_per_latent == 32
    fewer = {
        k: v[2:] if isinstance(v, list) and k.startswith("decoder") else v
        for k, v in figures.items()
    }
    config = read(fewer)
    assert config.pixels_per_latent == 8
    decoder = LatentDecoder(config, TorchOperations)
    with torch.no_grad():
        pixels = decoder(torch.zeros(1, config.latent_channels, 2, 3))
    assert pixels.shape == (1, 3, 16, 24)
