"""Products with few-bit weights that torch has for processors: guarded by shape, then probed.

They are torch's own and unfinished: missing in some versions, slow or wrong on some processors. So
each is asked for shapes it is known to take only, and used where it was right once
(docs/decisions/0025). Inside them activations are bf16: with any other type they are many times
slower than plain products.
"""

from collections.abc import Callable
from functools import cache, partial

import torch
from torch import Tensor

# By name: no version of torch promises them.
INT8_PRODUCT = "_weight_int8pack_mm"
INT4_PRODUCT, INT4_PACKING = "_weight_int4pack_mm_for_cpu", "_convert_weight_to_int4pack_for_cpu"
FAILURES = (AttributeError, RuntimeError, NotImplementedError)

BLOCKS = (64, 32)  # output channels that one block of packed 4-bit weights interleaves
INT4_GROUPS = (32, 64, 128, 256)
INT8_STEP = 32  # the 8-bit product reads beyond its rows where this does not divide them
INT8_ALIGNMENT = 16  # of its levels, in bytes: it crashes elsewhere, as a mapped file may lie
ALIGNMENT = 64  # of what torch allocates; the rows of that product need half of it
# Up to so many rows the packed product is the faster way; above, unpacking stretch by stretch is.
INT8_ROWS, INT4_ROWS = 16, 96
STRETCH = 256  # output channels unpacked at once, which stay in the processor's cache
CLOSE = 2e-2  # relative, of bf16 sums


def padding(size: int, step: int) -> int:
    """Return by how much a size falls short of a multiple of a step."""
    return -size % step


def can_read_int8(levels: Tensor) -> bool:
    """Whether the 8-bit product may read levels: it loads whole lanes, from whole addresses."""
    is_whole = levels.shape[-1] % INT8_STEP == 0 and levels.is_contiguous()
    return is_whole and levels.data_ptr() % INT8_ALIGNMENT == 0


def aligned(tensor: Tensor) -> Tensor:
    """Return a contiguous tensor where any product may load it from; mostly the tensor itself."""
    return tensor if tensor.data_ptr() % ALIGNMENT == 0 else tensor.clone()


def int8_product(x: Tensor, levels: Tensor) -> Tensor:
    """Multiply rows (T, in) by the levels of (out, in), unscaled: bf16 (T, out).

    The scales are left to the caller, who has them in fp32: the product itself would round them to
    bf16. Raises ValueError for what would crash it.
    """
    if not can_read_int8(levels) or x.shape[1] != levels.shape[1]:
        raise ValueError(f"8-bit levels are {tuple(levels.shape)}; lay them out in {INT8_STEP}s")
    rows = aligned(x.to(torch.bfloat16).contiguous())
    if len(rows) > INT8_ROWS:
        return _by_stretches(rows, len(levels), lambda part: levels[part].to(torch.bfloat16))
    return _called_int8(levels, rows)


def int4_packed(levels: Tensor, block: int) -> Tensor:
    """Lay 4-bit levels, plus 8, two a byte (out, in / 2), out as the product reads them.

    In every block of output channels, byte k * block / 2 + n holds input k of channel n in its low
    half and of channel n + block / 2 in its high half.
    """
    wide = torch.stack((levels & 15, levels >> 4), dim=-1).flatten(-2)
    low, high = wide.unflatten(0, (-1, 2, block // 2)).unbind(1)
    return (low | high << 4).transpose(1, 2).contiguous().view(levels.shape)


def int4_unpacked(packed: Tensor, scale: Tensor, block: int) -> Tensor:
    """Return packed weights (out, in / 2), scale (groups, out), in bf16: (out, in)."""
    out, size = packed.shape[0], 2 * packed.shape[1]
    columns = packed.view(out // block, size, block // 2).transpose(1, 2)
    levels = torch.stack((columns & 15, columns >> 4), dim=1).to(torch.bfloat16).sub_(8)
    groups = levels.reshape(out, len(scale), -1)
    return groups.mul_(scale.T[..., None]).view(out, size)


def int4_product(x: Tensor, packed: Tensor, scales: Tensor, block: int) -> Tensor:
    """Multiply rows (T, in) by packed weights (out, in / 2): bf16 (T, out).

    scales  bf16 (groups, out, 2): a scale, and an offset that is 0 here
    """
    rows, group = x.to(torch.bfloat16), 2 * packed.shape[1] // len(scales)
    if len(packed) % block or x.shape[1] != group * len(scales) or group not in INT4_GROUPS:
        raise ValueError(f"4 bits are packed as {tuple(packed.shape)}, by {len(scales)} groups")
    if len(rows) > INT4_ROWS:
        return _by_stretches(
            rows, len(packed), lambda part: int4_unpacked(packed[part], scales[:, part, 0], block)
        )
    return getattr(torch, INT4_PRODUCT)(rows.contiguous(), packed, group, scales)


def _by_stretches(rows: Tensor, num_channels: int, unpacked: Callable[[slice], Tensor]) -> Tensor:
    """Multiply rows by a matrix that is made some output channels at a time."""
    out = rows.new_empty(len(rows), num_channels)
    for start in range(0, num_channels, STRETCH):
        part = slice(start, start + STRETCH)
        out[:, part] = rows @ unpacked(part).mT
    return out


@cache
def _ones(count: int) -> Tensor:
    return torch.ones(count, dtype=torch.bfloat16)


@cache
def has_int8() -> bool:
    """Whether the 8-bit product is there and right, for one row and for some."""
    levels = torch.arange(67 * 96).view(67, 96).mul(37).remainder(255).sub(127).to(torch.int8)
    return _is_right(levels.float(), partial(_called_int8, levels))


def _called_int8(levels: Tensor, x: Tensor) -> Tensor:
    return getattr(torch, INT8_PRODUCT)(x, levels, _ones(len(levels)))


@cache
def int4_block() -> int | None:
    """Return the block in which this processor wants 4-bit weights; None where none is right."""
    size, group = 128, 32
    levels = torch.arange(size * size).view(size, size).mul(7).remainder(16)
    stored = (levels[:, 0::2] | levels[:, 1::2] << 4).to(torch.uint8)
    scales = torch.zeros(size // group, size, 2, dtype=torch.bfloat16)
    scales[..., 0] = torch.linspace(-1, 1, scales[..., 0].numel()).view_as(scales[..., 0])
    weight = (levels - 8).float() * scales[..., 0].float().T.repeat_interleave(group, dim=1)
    try:
        own = getattr(torch, INT4_PACKING)(levels.to(torch.int32), 1)
    except FAILURES:
        return None
    for block in BLOCKS:
        packed = int4_packed(stored, block)
        is_its_own = own.shape == packed.shape and torch.equal(own, packed)
        if is_its_own and _is_right(weight, partial(_called_int4, packed, scales, block)):
            return block
    return None


def _called_int4(packed: Tensor, scales: Tensor, block: int, x: Tensor) -> Tensor:
    return int4_product(x, packed, scales, block)


def _is_right(weight: Tensor, call: Callable[[Tensor], Tensor]) -> bool:
    """Whether a product is there, runs, and is that of plain numbers, for one row and for some."""
    for rows in (1, 3, 7):
        x = torch.linspace(-1, 1, rows * weight.shape[1]).view(rows, -1).to(torch.bfloat16)
        expected = x.float() @ weight.T
        try:
            error = float((call(x).float() - expected).norm() / expected.norm())
        except FAILURES:
            return False
        if not error < CLOSE:
            return False
    return True
