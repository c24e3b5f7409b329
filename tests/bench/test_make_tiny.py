"""The tiny checkpoint is complete, repeatable, and good enough to test with."""

import hashlib
from pathlib import Path

import pytest
import torch

from ming_bench.tiny_checkpoint.make import make_tiny
from ming_core import ImageSampling, decode_pixels, generate, load_model


def digest(folder: Path) -> str:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    content = b"".join(str(f.relative_to(folder)).encode() + f.read_bytes() for f in files)
    return hashlib.sha256(content).hexdigest()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def model(folder: Path):
    return load_model(folder)


def test_same_seed_gives_the_same_bytes(folder: Path, tmp_path: Path):
    assert digest(make_tiny(tmp_path / "again", seed=0)) == digest(folder)
    assert digest(make_tiny(tmp_path / "other", seed=1)) != digest(folder)


def test_layout_is_the_published_one(folder: Path):
    big = {path.name for path in (folder / "Ming-UniVision").iterdir()}
    assert {"config.json", "model.safetensors.index.json", "tokenizer.json"} <= big
    assert len([name for name in big if name.endswith(".safetensors")]) == 2
    small = {path.name for path in (folder / "MingTok-Vision").iterdir()}
    assert small == {"config.json", "model.safetensors"}


def latents_of(model, prompt: str = "a red circle", seed: int = 0, **settings: float):
    reply = generate(model, prompt, seeds=[seed], sampling=ImageSampling(**settings))[0]
    return reply.latents.values


@pytest.mark.parametrize(
    "settings",
    [
        {"text_guidance": 1.0},
        {"steps": 8},
        {"solver": "ab2"},
        {"temperature": 0.5},
        {"seed": 1},
        {"prompt": "a blue square"},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_every_setting_shows_in_the_picture(model, settings: dict):
    few = {"steps": 6}
    change = (latents_of(model, **few | settings) - latents_of(model, **few)).abs().mean()
    assert change > 0.01


def test_rounding_does_not_grow_along_a_picture(model):
    exact = latents_of(model, steps=6)
    nudged = latents_of(model, steps=6, temperature=1.0 + 1e-5)
    error = (exact - nudged).abs().amax(dim=-1)[0]
    assert error.max() < 1e-3


def test_pictures_are_not_flat(model):
    reply = generate(model, "a red circle", seeds=[0], sampling=ImageSampling(steps=4))[0]
    picture = decode_pixels(model, reply.features)
    assert picture.shape == (1, 96, 96, 3)
    assert 0.05 < picture.std() < 0.4
    assert torch.isfinite(picture).all()
