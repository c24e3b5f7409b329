"""Keys and values of a causal transformer: frozen segments, and the buffer one call works in.

Knows nothing about what the tokens mean.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

BUCKET = 256  # tokens by which a full working cache grows at least
# Devices that compute attention column by column, and on which the host need not wait.
SLICING = ("cpu",)


@dataclass(frozen=True, slots=True)
class KVSegment:
    """Keys and values (layers, kv_heads, tokens, head_size) of a stretch; never written to."""

    keys: Tensor
    values: Tensor

    @property
    def num_tokens(self) -> int:
        """Tokens in the stretch."""
        return self.keys.shape[2]


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
        """Memory of one token of one sequence [57,344 in bf16]."""
        return 2 * self.num_layers * self.num_kv_heads * self.head_size * self.dtype.itemsize


class WorkingCache:
    """Preallocated keys and values (layers, batch, kv_heads, capacity, head_size) of one call.

    The first `length` tokens are filled. Mutable and short-lived: it is opened from frozen
    segments, written by one call, and copied out of.
    """

    def __init__(self, shape: KVShape, batch_size: int, capacity: int) -> None:
        size = (shape.num_layers, batch_size, shape.num_kv_heads, capacity, shape.head_size)
        self.shape = shape
        self.batch_size = batch_size
        self.capacity = capacity
        self._length = 0
        self.keys = torch.empty(size, dtype=shape.dtype, device=shape.device)
        self.values = torch.empty(size, dtype=shape.dtype, device=shape.device)

    @classmethod
    def open(cls, shape: KVShape, segments: Sequence[KVSegment], capacity: int) -> "WorkingCache":
        """Upload segments into a cache of one sequence with room for `capacity` tokens in all."""
        cache = cls(shape, batch_size=1, capacity=capacity)
        for segment in segments:
            stretch = slice(cache.length, cache.length + segment.num_tokens)
            cache.keys[:, 0, :, stretch].copy_(segment.keys)
            cache.values[:, 0, :, stretch].copy_(segment.values)
            cache.advance(segment.num_tokens)
        return cache

    @property
    def length(self) -> int:
        """Tokens filled so far."""
        return self._length

    def widened(self, batch_size: int, extra_tokens: int) -> "WorkingCache":
        """Return a copy with more room; its sequences start as these, or as the only one."""
        wide = WorkingCache(self.shape, batch_size, self.length + extra_tokens)
        wide.start_as([self])
        return wide

    def start_as(self, others: Sequence["WorkingCache"]) -> None:
        """Start as another cache, or as its only sequence, or each sequence as one of as many.

        Where those are of different length, a gap of zeros, which none may see, makes them alike.
        """
        length = max(other.length for other in others)
        for index, other in enumerate(others):
            started = slice(None) if len(others) == 1 else slice(index, index + 1)
            for mine, theirs in ((self.keys, other.keys), (self.values, other.values)):
                mine[:, started, :, : other.length] = theirs[:, :, :, : other.length]
                # Hidden values count 0 times, which is no number if they are none.
                mine[:, started, :, other.length : length] = 0
        self._set_length(length)

    def sequences(self, start: int, count: int) -> "WorkingCache":
        """Return `count` sequences from `start` on, sharing memory with this cache."""
        part = WorkingCache.__new__(WorkingCache)
        part.shape, part.batch_size, part._length = self.shape, count, self.length
        part.capacity = self.capacity
        stretch = slice(start, start + count)
        part.keys, part.values = self.keys[:, stretch], self.values[:, stretch]
        return part

    def without_gap(self, start: int, end: int) -> "WorkingCache":
        """Return a copy without the tokens [start, end); where there are none, this cache."""
        if start == end:
            return self
        dense = WorkingCache(self.shape, self.batch_size, self.capacity - (end - start))
        for mine, theirs in ((dense.keys, self.keys), (dense.values, self.values)):
            mine[:, :, :, :start] = theirs[:, :, :, :start]
            mine[:, :, :, start:] = theirs[:, :, :, end:]
        dense.advance(self.length - (end - start))
        return dense

    def write(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Store one layer's new keys and values (batch, kv_heads, T, head_size).

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
        """Count `num_tokens` more as filled."""
        self._length += num_tokens

    def uncover(self, mask: Tensor | None) -> Tensor | None:
        """Let all see the token to come, in an additive mask (batch, capacity) of the cache.

        returns  the mask over what `write` will return of a single token; None sees all of it
        """
        if mask is None:
            return None
        mask[:, self.length] = 0
        return mask[:, : self.length + 1]

    def take(self, sequence: int, start: int, end: int) -> KVSegment:
        """Copy the tokens [start, end) of one sequence into a frozen segment in main memory."""
        keys = self.keys[:, sequence, :, start:end].to("cpu", copy=True).contiguous()
        values = self.values[:, sequence, :, start:end].to("cpu", copy=True).contiguous()
        return KVSegment(keys, values)

    def _set_length(self, length: int) -> None:
        self._length = length

    def _grow(self, tokens: int) -> None:
        """Move to a buffer of twice the length, so that growing copies little in all."""
        grown = self.widened(self.batch_size, tokens + max(BUCKET, self.length) - self.length)
        self.keys, self.values, self.capacity = grown.keys, grown.values, grown.capacity


class SlotCache(WorkingCache):
    """A working cache whose length the device counts: reading a token needs nothing of the host.

    Its shapes never change: a write returns all of the capacity, and `uncover` hides what is not
    filled yet. For single tokens only; `length` has to ask the device, and `sequences` does so to
    give a plain cache when they are read.
    """

    def __init__(self, shape: KVShape, batch_size: int, capacity: int) -> None:
        super().__init__(shape, batch_size, -(-capacity // BUCKET) * BUCKET)
        # Hidden values count 0 times, which is no number if they are none.
        self.keys.zero_()
        self.values.zero_()
        self._slot = torch.zeros(1, dtype=torch.long, device=shape.device)
        self._filled = torch.full(
            (1, self.capacity), -torch.inf, dtype=shape.dtype, device=shape.device
        )

    @property
    def length(self) -> int:
        """Tokens filled so far, as the device has counted them: the host waits for it."""
        return int(self._slot.item())

    def write(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Store one layer's new key and value (batch, kv_heads, 1, head_size); return all slots."""
        self.keys[layer].index_copy_(2, self._slot, keys)
        self.values[layer].index_copy_(2, self._slot, values)
        return self.keys[layer], self.values[layer]

    def advance(self, num_tokens: int) -> None:
        """Count `num_tokens` as filled, on the device alone."""
        self._slot += num_tokens

    def uncover(self, mask: Tensor | None) -> Tensor | None:
        """Let all see the token to come; return the mask (batch, capacity) of all slots."""
        mask = self._filled if mask is None else mask
        return mask.index_fill_(1, self._slot, 0)

    def _set_length(self, length: int) -> None:
        self._slot.fill_(length)
        self._filled[:, :length] = 0


def token_cache(shape: KVShape, batch_size: int, capacity: int) -> WorkingCache:
    """Return a cache for reading token after token, in the form that is fast on its device."""
    kind = WorkingCache if shape.device.type in SLICING else SlotCache
    return kind(shape, batch_size, capacity)
