"""The passes through the model: what each returns, and that all of it is on the model's device."""

from dataclasses import replace

import pytest
import torch

from ming_core import PromptError, abilities, load_model
from ming_core.lite_uni.preprocessing import to_patches
from ming_core.lite_uni.sampler import DiffusionSampling, LatentSampler
from ming_core.lite_uni.sequence import conversation


@pytest.fixture(scope="module")
def model(tiny, tmp_path_factory):
    return load_model(tiny.make_tiny(tmp_path_factory.mktemp("lite")))


@pytest.fixture(scope="module")
def patches(model):
    photo = torch.rand(1, 60, 100, 3, generator=torch.Generator().manual_seed(4))
    return to_patches(photo, 14, 2, 2, pixels=6272)


def prompt_of(model, patches):
    grid = (patches.rows // 2, patches.columns // 2)
    return conversation(model.tokenizer, "a fox", grid, scales=model.config.glue.scales)


def test_what_it_can_do_is_said(model):
    abilities.require(model, abilities.CONDITION, "")
    with pytest.raises(abilities.AbilityError, match="Ming-Lite-Uni"):
        abilities.require(model, abilities.LATENT_CONTEXT, "Read the picture again.")


def test_a_picture_that_does_not_fit_its_slots_is_refused(model, patches):
    seen = model.see(patches)
    prompt = prompt_of(model, patches)
    for wrong in (None, seen[1:]):
        with pytest.raises(PromptError, match="slots"):
            model.embed(prompt, wrong)
    with pytest.raises(PromptError, match="slots"):
        model.embed(replace(prompt, image=None), seen)


def test_tokens_beyond_the_vocabulary_are_its_last_one(model):
    prompt = conversation(model.tokenizer, "a")
    beyond = replace(prompt, ids=(*prompt.ids[:-1], 10**6))
    last = model.parts.language_model.embed_tokens.weight[-1]
    assert torch.equal(model.embed(beyond)[0, -1], last)


@torch.inference_mode()
def test_everything_is_computed_on_the_models_device(tiny, tmp_path, patches):
    """On the meta device, which refuses to meet tensors of another one."""
    model = load_model(tiny.make_tiny(tmp_path)).to("meta")
    prompt = prompt_of(model, patches)
    hidden = model.read(model.embed(prompt, model.see(patches)), prompt.positions)
    connected = model.connect(hidden[:, prompt.queries[16]])
    tokens = model.parts.connector.head(connected)[0]
    sampler = LatentSampler(
        model.parts.diffusion_transformer,
        model.config.schedule,
        DiffusionSampling(steps=2),
        tokens,
        tokens[:1],
    )
    noise = torch.zeros(model.config.diffusion.channels, 2, 3)
    pixels = model.parts.autoencoder(sampler(noise)[None])
    assert pixels.is_meta and pixels.shape == (1, 3, 64, 96)
    assert model.parts.lm_head(hidden[0, -1]).is_meta
