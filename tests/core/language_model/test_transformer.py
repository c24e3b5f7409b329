"""The transformer reads the same thing in one go, token by token, and beside other rows."""

import pytest
import torch
from torch import Tensor

from ming_core import MingModel
from ming_core.kv_cache import WorkingCache
from ming_core.univision.language_model.transformer import Step, Transformer


@pytest.fixture(scope="module")
def transformer(model: MingModel) -> Transformer:
    return model.parts.language_model.transformer


@pytest.fixture
def x() -> Tensor:
    return torch.randn(1, 9, 64, generator=torch.Generator().manual_seed(0))


def read(model: MingModel, x: Tensor, cache: WorkingCache | None = None, **told) -> Tensor:
    cache = cache or WorkingCache(model.kv_shape, len(x), 16)
    start = cache.length
    positions = torch.arange(start, start + x.shape[1]).expand(len(x), -1)
    transformer = model.parts.language_model.transformer
    return transformer(x, cache, Step(**({"positions": positions} | told)))


@torch.inference_mode()
def test_any_cut_into_steps_reads_the_same(model: MingModel, x: Tensor):
    whole = read(model, x)
    for cuts in ((1,) * 9, (4, 5), (8, 1), (1, 3, 5)):
        cache = WorkingCache(model.kv_shape, 1, 2)
        parts = [read(model, part, cache) for part in x.split(cuts, dim=1)]
        assert torch.allclose(torch.cat(parts, dim=1), whole, atol=1e-5)
        assert cache.length == 9


@torch.inference_mode()
def test_reading_is_causal(model: MingModel, x: Tensor):
    changed = x.clone()
    changed[:, 5:] += 1.0
    ours, other = read(model, x), read(model, changed)
    assert torch.allclose(ours[:, :5], other[:, :5], atol=1e-6)
    assert not torch.allclose(ours[:, 5:], other[:, 5:], atol=1e-2)


@torch.inference_mode()
def test_hidden_tokens_have_no_influence_and_visible_ones_do(model: MingModel, x: Tensor):
    seen = torch.ones(1, 8, dtype=torch.bool)
    seen[:, 2:5] = False

    def last(filler: float, at: slice) -> Tensor:
        cache = WorkingCache(model.kv_shape, 1, 9)
        read(model, x[:, :8], cache)
        cache.keys[:, :, :, at] += filler
        cache.values[:, :, :, at] += filler
        return read(model, x[:, 8:], cache, seen=seen, positions=torch.tensor([[5]]))

    assert torch.equal(last(0.0, slice(2, 5)), last(3.0, slice(2, 5)))
    assert not torch.allclose(last(0.0, slice(5, 6)), last(3.0, slice(5, 6)), atol=1e-3)


@torch.inference_mode()
def test_rows_with_sights_and_positions_of_their_own_do_not_mix(model: MingModel, x: Tensor):
    row = torch.ones(1, 8, dtype=torch.bool)
    hidden = row.clone()
    hidden[:, 2:5] = False
    seen, positions = torch.cat((row, hidden)), torch.tensor([[8], [5]])
    narrow = WorkingCache(model.kv_shape, 1, 9)
    read(model, x[:, :8], narrow)
    both = read(
        model,
        x[:, 8:].expand(2, -1, -1),
        narrow.widened(2, 1),
        seen=seen,
        positions=positions,
    )
    for i in range(2):
        alone = read(
            model,
            x[:, 8:],
            narrow.widened(1, 1),
            seen=seen[i : i + 1],
            positions=positions[i : i + 1],
        )
        assert torch.allclose(both[i], alone[0], atol=1e-5)
    assert not torch.allclose(both[0], both[1], atol=1e-2)


@torch.inference_mode()
def test_given_image_tokens_take_another_way_and_others_do_not(model: MingModel, x: Tensor):
    patches = torch.zeros(1, 9, dtype=torch.bool)
    patches[:, 6] = True
    text, image = read(model, x), read(model, x, is_given_image=patches)
    assert torch.allclose(text[:, :6], image[:, :6], atol=1e-6)
    assert not torch.allclose(text[:, 6], image[:, 6], atol=1e-2)


@torch.inference_mode()
def test_scores_are_fp32_of_the_final_normed_state(model: MingModel, transformer: Transformer, x):
    hidden = read(model, x)
    assert torch.allclose(transformer.logits(hidden), hidden @ transformer.lm_head.weight.T)
    scale = hidden / transformer.norm.weight
    assert torch.allclose(scale.pow(2).mean(-1), torch.ones(1, 9), atol=1e-3)
