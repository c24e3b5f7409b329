"""Our parts against the newest library classes, on random checkpoints of many variants."""

import itertools
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ming_core import TorchOperations
from ming_core.lite_uni import sizes
from ming_core.lite_uni.autoencoder import LatentDecoder
from ming_core.lite_uni.diffusion_config import AutoencoderConfig, DiffusionConfig
from ming_core.lite_uni.diffusion_transformer import DiffusionTransformer
from ming_core.lite_uni.schedule import Schedule

diffusers = pytest.importorskip("diffusers", minversion="0.33.0", reason="install the extra oracle")
pytestmark = pytest.mark.oracle

VARIANTS = {
    "plain": {},
    "wide": {
        "sana": {"heads": 5, "cross_heads": 1, "cross_head": 40, "mlp_ratio": 1.7, "layers": 3},
        "vae": {"channels": (4, 8, 8, 16, 16, 32), "blocks": (2, 1, 1, 1, 2, 3), "head": 8},
    },
    "options": {
        "sana": {"attention_bias": True, "affine": True},
        "vae": {
            "upsampling": "pixel_shuffle",
            "activation": "relu",
            "attentive": (True, False, True, False, True, True),
            "kernels": ((3,), (), (), (), (3, 5), ()),
            "head": 3,
        },
    },
}


@pytest.fixture(scope="module", params=VARIANTS)
def folder(request, tiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    parts, plain = VARIANTS[request.param], tiny.Variant(dtype=torch.float32)
    changed = {name: replace(getattr(plain, name), **figures) for name, figures in parts.items()}
    shards = () if request.param == "plain" else ("transformer",)
    return tiny.make_tiny(tmp_path_factory.mktemp("tiny"), replace(plain, shards=shards, **changed))


@pytest.mark.parametrize("grid", [(4, 4), (5, 7), (1, 2)])
def test_velocities_are_those_of_the_library(folder: Path, error, by_hand, grid):
    theirs = diffusers.SanaTransformer2DModel.from_pretrained(folder / "transformer").eval()
    config = DiffusionConfig.read(by_hand.read_section(folder / "transformer/config.json"))
    ours = by_hand.filled(
        DiffusionTransformer(config, TorchOperations), by_hand.read_tensors(folder / "transformer")
    )
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(config.channels, *grid, generator=generator)
    condition, row = torch.randn(2, 9, config.caption_channels, generator=generator)
    both = torch.stack((row[:1].expand(9, -1), condition))
    for t in (1000.0, 503.7, 1.0):
        expected = theirs(
            x.expand(2, -1, -1, -1), encoder_hidden_states=both, timestep=torch.tensor([t, t])
        ).sample
        moment = ours.moments(torch.tensor([t]), torch.float32).at(0)
        velocities = ours(x, moment, [ours.read(row[:1]), ours.read(condition)])
        assert error(velocities, expected.detach()) <= 1e-5


@pytest.mark.parametrize("grid", [(4, 4), (3, 5), (1, 1)])
def test_pictures_are_decoded_as_by_the_library(folder: Path, error, by_hand, grid):
    """The smallest grid is one where the library computes its attention another way."""
    theirs = diffusers.AutoencoderDC.from_pretrained(folder / "vae").eval()
    config = AutoencoderConfig.read(by_hand.read_section(folder / "vae/config.json"))
    ours = by_hand.filled(
        LatentDecoder(config, TorchOperations), by_hand.read_tensors(folder / "vae", "decoder.")
    )
    generator = torch.Generator().manual_seed(4)
    latents = torch.randn(2, config.latent_channels, *grid, generator=generator)
    with torch.no_grad():
        expected = theirs.decode(latents / theirs.config.scaling_factor).sample
    assert error(ours(latents), expected) <= 1e-5


@pytest.mark.parametrize("spacing", [None, "karras", "exponential", "beta"])
def test_sigmas_are_those_of_the_library(spacing: str | None):
    if spacing == "beta":
        pytest.importorskip("scipy", reason="the library takes beta quantiles from scipy")
    options = {} if spacing is None else {f"use_{spacing}_sigmas": True}
    for shift, steps, trained in itertools.product((0.5, 1, 3, 7.3), (1, 2, 20, 30), (1000, 500)):
        theirs = diffusers.FlowMatchEulerDiscreteScheduler(
            shift=shift, num_train_timesteps=trained, **options
        )
        theirs.set_timesteps(steps)
        ours = Schedule(shift, trained, spacing)
        sigmas = ours.sigmas(steps)
        torch.testing.assert_close(sigmas, theirs.sigmas, rtol=0, atol=1e-7)
        torch.testing.assert_close(ours.timesteps(sigmas), theirs.timesteps, rtol=0, atol=1e-4)


def test_tables_of_sizes_are_those_of_the_library():
    from diffusers.pipelines.pixart_alpha import pipeline_pixart_alpha as alpha
    from diffusers.pipelines.pixart_alpha import pipeline_pixart_sigma as sigma
    from diffusers.pipelines.sana import pipeline_sana as sana

    tables = {
        16: alpha.ASPECT_RATIO_512_BIN,
        32: alpha.ASPECT_RATIO_1024_BIN,
        64: sigma.ASPECT_RATIO_2048_BIN,
        128: sana.ASPECT_RATIO_4096_BIN,
    }
    for sample_size, table in tables.items():
        theirs = [(float(ratio), tuple(map(int, size))) for ratio, size in table.items()]
        assert list(sizes.trained_sizes(sample_size).items()) == theirs


def test_pictures_are_fitted_as_by_the_library():
    fit = diffusers.image_processor.PixArtImageProcessor.resize_and_crop_tensor
    pixels = torch.randn(1, 3, 416, 576, generator=torch.Generator().manual_seed(0))
    for height, width in ((96, 128), (120, 200), (500, 300), (417, 576), (416, 570), (333, 777)):
        assert torch.equal(sizes.fitted(pixels, (height, width)), fit(pixels, width, height))
