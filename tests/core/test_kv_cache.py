"""The working cache grows, widens and is copied out of, and never writes to a segment."""

from dataclasses import replace

import pytest
import torch

from ming_core.kv_cache import (
    BUCKET,
    KVSegment,
    KVShape,
    SlotCache,
    WorkingCache,
    token_cache,
)

SHAPE = KVShape(2, 3, 4, torch.float32, torch.device("cpu"))


def fill(cache: WorkingCache, tokens: int, seed: int = 0) -> torch.Tensor:
    """Write random keys, and their negatives as values, into every layer; return the keys."""
    generator = torch.Generator().manual_seed(seed)
    keys = torch.randn(2, cache.batch_size, 3, tokens, 4, generator=generator)
    for layer in range(2):
        cache.write(layer, keys[layer], -keys[layer])
    cache.advance(tokens)
    return keys


def test_a_write_returns_everything_so_far():
    cache = WorkingCache(SHAPE, batch_size=1, capacity=8)
    old = fill(cache, 3)
    new = torch.randn(1, 3, 2, 4)
    keys, values = cache.write(1, new, -new)
    assert torch.equal(keys, torch.cat((old[1], new), dim=2))
    assert torch.equal(values, -keys)
    assert cache.length == 3


def test_growing_keeps_what_is_there():
    cache = WorkingCache(SHAPE, batch_size=2, capacity=4)
    parts = [fill(cache, 3, seed) for seed in range(4)]
    assert cache.length == 12
    assert 12 <= cache.capacity <= 12 + BUCKET
    assert torch.equal(cache.keys[:, :, :, :12], torch.cat(parts, dim=3))
    assert torch.equal(cache.values[:, :, :, :12], -torch.cat(parts, dim=3))


def test_growing_within_a_layer_keeps_the_layers_written_before():
    cache = WorkingCache(SHAPE, batch_size=1, capacity=2)
    old, new = fill(cache, 2), torch.randn(2, 1, 3, 5, 4)
    for layer in range(2):
        cache.write(layer, new[layer], new[layer])
    cache.advance(5)
    assert torch.equal(cache.take(0, 2, 7).keys, new[:, 0])
    assert torch.equal(cache.take(0, 0, 2).keys, old[:, 0])


def test_every_sequence_of_a_widened_cache_starts_as_the_one_and_goes_its_own_way():
    cache = WorkingCache(SHAPE, batch_size=1, capacity=3)
    old = fill(cache, 3)
    wide = cache.widened(4, 2)
    assert torch.equal(wide.keys[:, :, :, :3], old.expand(-1, 4, -1, -1, -1))
    new = fill(wide, 1, seed=1)
    for row in range(4):
        assert torch.equal(wide.take(row, 3, 4).keys, new[:, row])
    assert cache.length == 3
    assert torch.equal(cache.keys[:, :, :, :3], old)


def test_sequences_share_memory_and_keep_the_length():
    cache = WorkingCache(SHAPE, batch_size=3, capacity=4)
    keys = fill(cache, 4)
    part = cache.sequences(0, 2)
    assert (part.batch_size, part.length, part.capacity) == (2, 4, 4)
    assert part.keys.untyped_storage().data_ptr() == cache.keys.untyped_storage().data_ptr()
    assert torch.equal(part.take(1, 0, 4).keys, keys[:, 1])


def test_a_taken_segment_owns_exactly_its_bytes():
    cache = WorkingCache(SHAPE, batch_size=2, capacity=64)
    keys = fill(cache, 9)
    segment = cache.take(1, 2, 7)
    cache.keys.zero_()
    assert torch.equal(segment.keys, keys[:, 1, :, 2:7])
    assert segment.num_tokens == 5
    assert segment.keys.is_contiguous()
    storage = [part.untyped_storage().nbytes() for part in (segment.keys, segment.values)]
    assert sum(storage) == 5 * SHAPE.bytes_per_token


def test_segments_are_uploaded_in_order_and_left_alone():
    segments = [KVSegment(torch.randn(2, 3, n, 4), torch.randn(2, 3, n, 4)) for n in (2, 0, 3)]
    before = [segment.keys.clone() for segment in segments]
    cache = WorkingCache.open(SHAPE, segments, capacity=6)
    assert cache.length == 5
    assert torch.equal(cache.take(0, 0, 5).keys, torch.cat(before, dim=2))
    fill(cache, 4)
    cache.keys.zero_()
    assert all(torch.equal(s.keys, old) for s, old in zip(segments, before, strict=True))


@pytest.mark.parametrize(("dtype", "size"), [(torch.float32, 4), (torch.bfloat16, 2)])
def test_bytes_per_token(dtype: torch.dtype, size: int):
    shape = KVShape(28, 4, 128, dtype, torch.device("cpu"))
    assert shape.bytes_per_token == 2 * 28 * 4 * 128 * size


@pytest.fixture
def slots() -> SlotCache:
    """Two rows that start as one of three tokens."""
    start = WorkingCache(SHAPE, batch_size=1, capacity=3)
    fill(start, 3)
    cache = SlotCache(SHAPE, batch_size=2, capacity=7)
    cache.start_as([start])
    return cache


def test_slots_are_filled_in_order_and_read_as_a_plain_cache(slots: SlotCache):
    before = slots.keys[:, :, :, :3].clone()
    new = [fill(slots, 1, seed) for seed in range(1, 4)]
    plain = slots.sequences(0, 1)
    assert type(plain) is WorkingCache
    assert plain.length == 6
    expected = torch.cat((before, *new), dim=3)[:, 0]
    assert torch.equal(plain.take(0, 0, 6).keys, expected)
    assert torch.equal(plain.take(0, 0, 6).values, -expected)
    after = fill(plain, 2)
    assert torch.equal(plain.take(0, 6, 8).keys, after[:, 0])


def test_slots_come_in_buckets_and_a_write_returns_all_of_them(slots: SlotCache):
    assert slots.capacity == BUCKET
    new = torch.ones(2, 3, 1, 4)
    for written in (*slots.write(1, new, new), *slots.write(0, new, new)):
        assert written.shape == (2, 3, BUCKET, 4)
        assert written.isfinite().all()
    assert SlotCache(SHAPE, 1, BUCKET + 1).capacity == 2 * BUCKET
    assert SlotCache(SHAPE, 1, BUCKET).capacity == BUCKET


@pytest.mark.parametrize("kind", [WorkingCache, SlotCache])
def test_what_is_hidden_stays_so_and_the_token_to_come_is_seen(kind):
    start = WorkingCache(SHAPE, batch_size=1, capacity=3)
    fill(start, 3)
    cache = kind(SHAPE, 2, 7)
    cache.start_as([start])
    mask = torch.full((2, cache.capacity), -torch.inf)
    mask[0, :3] = mask[1, 1] = 0
    for step in range(1, 4):
        seen = cache.uncover(mask) == 0
        returned = cache.write(0, *[torch.ones(2, 3, 1, 4)] * 2)[0]
        assert seen.shape == (2, returned.shape[2])
        assert seen[0].nonzero().flatten().tolist() == list(range(3 + step))
        assert seen[1].nonzero().flatten().tolist() == [1, *range(3, 3 + step)]
        cache.advance(1)


def test_without_a_mask_all_that_is_filled_is_seen(slots: SlotCache):
    for length in (4, 5):
        assert (slots.uncover(None) == 0).flatten().tolist() == [
            slot < length for slot in range(BUCKET)
        ]
        slots.advance(1)
    plain = WorkingCache(SHAPE, batch_size=1, capacity=3)
    assert plain.uncover(None) is None


def test_a_token_cache_has_the_form_of_its_device():
    assert type(token_cache(SHAPE, 1, 9)) is WorkingCache
    assert type(token_cache(replace(SHAPE, device=torch.device("meta")), 1, 9)) is SlotCache


@pytest.mark.parametrize("kind", [WorkingCache, SlotCache])
def test_sequences_that_start_as_caches_of_other_lengths_are_made_alike_by_zeros(kind):
    starts = [WorkingCache(SHAPE, batch_size=1, capacity=4) for _ in range(2)]
    keys = [fill(starts[0], 4, seed=1), fill(starts[1], 2, seed=2)]
    cache = kind(SHAPE, batch_size=2, capacity=6)
    cache.keys.fill_(torch.nan)
    cache.values.fill_(torch.nan)
    cache.start_as(starts)
    new = fill(cache, 1, seed=3)
    assert not cache.keys[:, 1, :, 2:4].any()
    assert not cache.values[:, 1, :, 2:4].any()
    for row, (length, own) in enumerate(zip((4, 2), keys, strict=True)):
        dense = cache.sequences(row, 1).without_gap(length, 4)
        assert dense.length == length + 1
        expected = torch.cat((own[:, 0], new[:, row]), dim=2)
        assert torch.equal(dense.take(0, 0, dense.length).keys, expected)
        assert torch.equal(dense.take(0, 0, dense.length).values, -expected)
        dense.keys.zero_()  # a copy where there was a gap
    assert cache.keys[:, 1, :, :2].any()
