"""The semantic decoder is causal, with a cache or without."""

import pytest
import torch
from torch import Tensor

from ming_core import MingModel


@pytest.fixture
def raw() -> Tensor:
    return torch.randn(2, 9, 32, generator=torch.Generator().manual_seed(0))


@torch.inference_mode()
def test_token_by_token_equals_all_at_once(model: MingModel, raw: Tensor):
    decoder = model.parts.semantic_decoder
    whole, cache = decoder(raw), decoder.new_cache(2, 4, like=raw)
    steps = [decoder(part, cache) for part in raw.split((1, 1, 3, 4), dim=1)]
    assert torch.allclose(torch.cat(steps, dim=1), whole, atol=1e-5)


@torch.inference_mode()
def test_later_latents_change_no_earlier_feature(model: MingModel, raw: Tensor):
    decoder = model.parts.semantic_decoder
    whole = decoder(raw)
    assert torch.allclose(decoder(raw[:, :5]), whole[:, :5], atol=1e-5)
    assert not torch.allclose(decoder(raw.flip(1)), whole, atol=0.1)


@torch.inference_mode()
def test_no_position_enters(model: MingModel, raw: Tensor):
    """Nothing but the order counts: the first token sees itself alone, wherever it stands."""
    decoder = model.parts.semantic_decoder
    same = raw[:, :1].expand(-1, 6, -1)
    assert torch.allclose(decoder(same), decoder(same)[:, :1].expand(-1, 6, -1), atol=1e-5)


@torch.inference_mode()
def test_each_latent_channel_is_repeated_in_a_row(model: MingModel, watch):
    decoder = model.parts.semantic_decoder
    inputs = watch(decoder.blocks[0])
    raw = torch.arange(32.0).view(1, 1, 32)
    decoder(raw)
    shortcut = inputs[0][0][0] - decoder.in_proj(raw)
    assert torch.allclose(shortcut.flatten(), torch.arange(128.0).div(4).floor(), atol=1e-4)


@torch.inference_mode()
def test_normalisation_is_undone_once(model: MingModel, raw: Tensor):
    encoder, decoder = model.parts.low_level_encoder, model.parts.semantic_decoder
    assert torch.allclose(decoder.raw(encoder.normalised(raw)), raw, atol=1e-6)
    assert torch.allclose(decoder.raw(torch.zeros(1)), torch.tensor([0.125]))
    assert torch.allclose(decoder.raw(torch.ones(1)), torch.tensor([0.875]))
    assert torch.equal(model.expand(raw), decoder(decoder.raw(raw)))
