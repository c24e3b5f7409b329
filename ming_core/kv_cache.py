"""Keys and values of a causal transformer: frozen segments, and the buffer one call works in.

Knows nothing about what the tokens mean.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

BUCKET = 256  # tokens by which a full working cache grows at least


@dataclass(frozen=True, slots=True)
class KVSegment:
    """Keys and values (layers, kv_heads, tokens, head_size) of a stretch; never written to."""

    keys: Tensor
    values: Tensor

    @property
    def num_tokens(self) -> int:
        """Tokens in the stretch."""
        return self.keys.shape[2]

    @property
    def num_bytes(self) -> int:
        """Memory of the stretch."""
        return self.keys.nbytes + self.values.nbytes


@dataclass(frozen=True, slots=True)
class KVShape:
    """What a cache must hold per token, and where."""

    num_layers: int
    num_kv_heads: int
    head_size: int
    dtype: torch.dtype
    device: torch.device

    @property
    def bytes_per_token(self) -> int:
        """Memory of one token in one row [57,344 in bf16]."""
        return 2 * self.num_layers * self.num_kv_heads * self.head_size * self.dtype.itemsize


class WorkingCache:
    """Preallocated keys and values (layers, rows, kv_heads, capacity, head_size) of one call.

    The first `length` tokens are filled. Mutable and short-lived: it is opened from frozen
    segments, written by one call, and copied out of.
    """

    def __init__(self, shape: KVShape, rows: int, capacity: int) -> None:
        size = (shape.num_layers, rows, shape.num_kv_heads, capacity, shape.head_size)
        self.shape = shape
        self.rows = rows
        self.capacity = capacity
        self.length = 0
        self.keys = torch.empty(size, dtype=shape.dtype, device=shape.device)
        self.values = torch.empty(size, dtype=shape.dtype, device=shape.device)

    @classmethod
    def open(cls, shape: KVShape, segments: Sequence[KVSegment], capacity: int) -> "WorkingCache":
        """Upload segments into a cache of one row with room for `capacity` tokens in all."""
        cache = cls(shape, rows=1, capacity=capacity)
        for segment in segments:
            stretch = slice(cache.length, cache.length + segment.num_tokens)
            cache.keys[:, 0, :, stretch].copy_(segment.keys)
            cache.values[:, 0, :, stretch].copy_(segment.values)
            cache.length += segment.num_tokens
        return cache

    def widened(self, rows: int, extra_tokens: int) -> "WorkingCache":
        """Return a copy with more room and `rows` rows, which start as this cache's row or rows."""
        wide = WorkingCache(self.shape, rows, self.length + extra_tokens)
        wide.keys[:, :, :, : self.length] = self.keys[:, :, :, : self.length]
        wide.values[:, :, :, : self.length] = self.values[:, :, :, : self.length]
        wide.length = self.length
        return wide

    def first_rows(self, rows: int) -> "WorkingCache":
        """Return the first `rows` rows, sharing memory with this cache."""
        part = WorkingCache.__new__(WorkingCache)
        part.shape, part.rows, part.length = self.shape, rows, self.length
        part.capacity = self.capacity
        part.keys, part.values = self.keys[:, :rows], self.values[:, :rows]
        return part

    def write(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Store one layer's new keys and values (rows, kv_heads, T, head_size).

        returns  all keys and values of the layer so far, the new ones included. `length` moves
        only when every layer has written: call `advance` then.
        """
        end = self.length + keys.shape[2]
        if end > self.capacity:
            self._grow(end)
        self.keys[layer, :, :, self.length : end] = keys
        self.values[layer, :, :, self.length : end] = values
        return self.keys[layer, :, :, :end], self.values[layer, :, :, :end]

    def advance(self, num_tokens: int) -> None:
        """Count `num_tokens` as filled."""
        self.length += num_tokens

    def take(self, row: int, start: int, end: int) -> KVSegment:
        """Copy the tokens [start, end) of one row into a frozen segment in main memory."""
        keys = self.keys[:, row, :, start:end].to("cpu", copy=True).contiguous()
        values = self.values[:, row, :, start:end].to("cpu", copy=True).contiguous()
        return KVSegment(keys, values)

    def _grow(self, tokens: int) -> None:
        """Move to a buffer of twice the length, so that growing copies little in all."""
        grown = self.widened(self.rows, tokens + max(BUCKET, self.length) - self.length)
        self.keys, self.values, self.capacity = grown.keys, grown.values, grown.capacity
