"""The working cache grows, widens and is copied out of, and never writes to a segment."""

import pytest
import torch

from ming_core.kv_cache import BUCKET, KVSegment, KVShape, WorkingCache

SHAPE = KVShape(2, 3, 4, torch.float32, torch.device("cpu"))


def fill(cache: WorkingCache, tokens: int, seed: int = 0) -> torch.Tensor:
    """Write random keys, and their negatives as values, into every layer; return the keys."""
    generator = torch.Generator().manual_seed(seed)
    keys = torch.randn(2, cache.rows, 3, tokens, 4, generator=generator)
    for layer in range(2):
        cache.write(layer, keys[layer], -keys[layer])
    cache.advance(tokens)
    return keys


def test_a_write_returns_everything_so_far():
    cache = WorkingCache(SHAPE, rows=1, capacity=8)
    old = fill(cache, 3)
    new = torch.randn(1, 3, 2, 4)
    keys, values = cache.write(1, new, -new)
    assert torch.equal(keys, torch.cat((old[1], new), dim=2))
    assert torch.equal(values, -keys)
    assert cache.length == 3


def test_growing_keeps_what_is_there():
    cache = WorkingCache(SHAPE, rows=2, capacity=4)
    parts = [fill(cache, 3, seed) for seed in range(4)]
    assert cache.length == 12
    assert 12 <= cache.capacity <= 12 + BUCKET
    assert torch.equal(cache.keys[:, :, :, :12], torch.cat(parts, dim=3))
    assert torch.equal(cache.values[:, :, :, :12], -torch.cat(parts, dim=3))


def test_growing_within_a_layer_keeps_the_layers_written_before():
    cache = WorkingCache(SHAPE, rows=1, capacity=2)
    old, new = fill(cache, 2), torch.randn(2, 1, 3, 5, 4)
    for layer in range(2):
        cache.write(layer, new[layer], new[layer])
    cache.advance(5)
    assert torch.equal(cache.take(0, 2, 7).keys, new[:, 0])
    assert torch.equal(cache.take(0, 0, 2).keys, old[:, 0])


def test_every_row_of_a_widened_cache_starts_as_the_one_row_and_goes_its_own_way():
    cache = WorkingCache(SHAPE, rows=1, capacity=3)
    old = fill(cache, 3)
    wide = cache.widened(4, 2)
    assert torch.equal(wide.keys[:, :, :, :3], old.expand(-1, 4, -1, -1, -1))
    new = fill(wide, 1, seed=1)
    for row in range(4):
        assert torch.equal(wide.take(row, 3, 4).keys, new[:, row])
    assert cache.length == 3
    assert torch.equal(cache.keys[:, :, :, :3], old)


def test_first_rows_share_memory_and_keep_the_length():
    cache = WorkingCache(SHAPE, rows=3, capacity=4)
    keys = fill(cache, 4)
    part = cache.first_rows(2)
    assert (part.rows, part.length, part.capacity) == (2, 4, 4)
    assert part.keys.untyped_storage().data_ptr() == cache.keys.untyped_storage().data_ptr()
    assert torch.equal(part.take(1, 0, 4).keys, keys[:, 1])


def test_a_taken_segment_owns_exactly_its_bytes():
    cache = WorkingCache(SHAPE, rows=2, capacity=64)
    keys = fill(cache, 9)
    segment = cache.take(1, 2, 7)
    cache.keys.zero_()
    assert torch.equal(segment.keys, keys[:, 1, :, 2:7])
    assert segment.num_tokens == 5
    assert segment.keys.is_contiguous()
    assert segment.num_bytes == 2 * segment.keys.untyped_storage().nbytes()
    assert segment.num_bytes == 5 * SHAPE.bytes_per_token


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
