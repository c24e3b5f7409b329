"""Triton kernels for few rows, whose time is that of reading the weights: each is read once.

Every program streams a tile of weights through `product`, which sums in fp32. No sum is shared
between programs, so two runs give the same bits. `plain.py` says what the kernels compute.

In them, `at` is where each row starts, `valid` which rows there are, `channel` which output
channels a program makes, and `real` which of those exist.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from .packed import Norm, Packed, tile_rows

WARPS, STAGES = 4, 3
CHANNELS = 32  # output channels of a program
FEW_CHANNELS = 16  # where only one matrix has to keep the whole device busy

DENSE, INT8, INT4 = tl.constexpr(0), tl.constexpr(8), tl.constexpr(4)  # how weights are stored


@triton.jit
def inputs(
    x, at, valid, k, norm_weight, norm_bias, modulation, mod_at, mean, spread, K: tl.constexpr
):
    """Read columns k of the rows; normalised and modulated where there is a norm."""
    inside = valid[:, None] & (k < K)[None, :]
    values = tl.load(x + at[:, None] + k[None, :], mask=inside, other=0.0)
    if norm_weight is not None:
        affine = tl.load(norm_weight + k, mask=k < K, other=0.0).to(tl.float32)
        offset = tl.load(norm_bias + k, mask=k < K, other=0.0).to(tl.float32)
        where = modulation + mod_at[:, None] + k[None, :]
        shift = tl.load(where, mask=inside, other=0.0).to(tl.float32)
        scale = tl.load(where + K, mask=inside, other=0.0).to(tl.float32)
        normed = (values.to(tl.float32) - mean[:, None]) * spread[:, None]
        normed = normed * affine[None, :] + offset[None, :]
        values = (normed * scale + shift).to(values.dtype)
    return values


@triton.jit
def dot(rows, tile, total, EMULATED: tl.constexpr):
    """Add rows (ROWS, K) times tile (K, N) to the fp32 total (ROWS, N)."""
    if EMULATED:  # Triton's interpreter takes the bits of bf16 for integers
        rows = rows.to(tl.float32)
    return tl.dot(rows, tile.to(rows.dtype), total, input_precision="ieee")


@triton.jit
def product(
    x,
    at,
    valid,
    norm_weight,
    norm_bias,
    modulation,
    mod_at,
    mean,
    spread,
    weight,
    scale,
    channel,
    real,
    K: tl.constexpr,
    N: tl.constexpr,
    FORMAT: tl.constexpr,
    GROUP: tl.constexpr,
    BLOCK_K: tl.constexpr,
    EMULATED: tl.constexpr,
):
    """Multiply the rows by the weights of N channels, in fp32: (ROWS, N)."""
    ROWS: tl.constexpr = valid.shape[0]
    total = tl.zeros((ROWS, N), tl.float32)
    if FORMAT == INT4:
        for start in range(0, K, GROUP):
            j = start // 2 + tl.arange(0, GROUP // 2)
            tile = weight + channel[None, :] * (K // 2) + j[:, None]
            pairs = tl.load(tile, mask=real[None, :], other=0)
            even = inputs(
                x, at, valid, 2 * j, norm_weight, norm_bias, modulation, mod_at, mean, spread, K
            )
            odd = inputs(
                x, at, valid, 2 * j + 1, norm_weight, norm_bias, modulation, mod_at, mean, spread, K
            )
            part = tl.zeros((ROWS, N), tl.float32)
            part = dot(even, (pairs & 15).to(tl.int8) - 8, part, EMULATED)
            part = dot(odd, (pairs >> 4).to(tl.int8) - 8, part, EMULATED)
            of_group = scale + channel * (K // GROUP) + start // GROUP
            total += part * tl.load(of_group, mask=real, other=0.0).to(tl.float32)[None, :]
    else:
        for start in range(0, K, BLOCK_K):
            k = start + tl.arange(0, BLOCK_K)
            tile = weight + channel[None, :] * K + k[:, None]
            numbers = tl.load(tile, mask=real[None, :] & (k < K)[:, None], other=0)
            rows = inputs(
                x, at, valid, k, norm_weight, norm_bias, modulation, mod_at, mean, spread, K
            )
            total = dot(rows, numbers, total, EMULATED)
        if FORMAT == INT8:
            total *= tl.load(scale + channel, mask=real, other=0.0)[None, :]
    return total


@triton.jit
def plan_kernel(
    chosen,
    weights,
    active,
    share,
    count,
    rows,
    TOP_K: tl.constexpr,
    EXPERTS: tl.constexpr,
    ROWS: tl.constexpr,
):
    """List the chosen experts in order, and each token's share (slot, ROWS) of every listed one."""
    expert, row = tl.arange(0, EXPERTS), tl.arange(0, ROWS)
    portion = tl.zeros((EXPERTS, ROWS), tl.float32)
    hits = tl.zeros((EXPERTS, ROWS), tl.int32)
    for choice in range(TOP_K):
        pick = tl.load(chosen + row * TOP_K + choice, mask=row < rows, other=-1)
        weight = tl.load(weights + row * TOP_K + choice, mask=row < rows, other=0.0)
        matches = pick[None, :] == expert[:, None]
        portion += tl.where(matches, weight[None, :], 0.0)
        hits += matches.to(tl.int32)
    hit = tl.max(hits, axis=1)
    hit = tl.where(hit > 0, 1, 0)
    slot = tl.cumsum(hit, axis=0) - 1
    tl.store(active + slot, expert, mask=hit > 0)
    tl.store(count, tl.sum(hit, axis=0))
    tl.store(share + slot[:, None] * ROWS + row[None, :], portion, mask=(hit > 0)[:, None])


@triton.jit
def expert_up_kernel(
    tokens,
    weight,
    scale,
    active,
    count,
    hidden,
    rows,
    K: tl.constexpr,
    SIZE: tl.constexpr,
    HALF: tl.constexpr,
    FORMAT: tl.constexpr,
    GROUP: tl.constexpr,
    BLOCK_K: tl.constexpr,
    EMULATED: tl.constexpr,
    ROWS: tl.constexpr,
):
    """hidden (slot, ROWS, SIZE) = silu(gate) * up of every token, for one listed expert."""
    slot = tl.program_id(0)
    if slot < tl.load(count):
        first = tl.load(active + slot).to(tl.int64) * (2 * SIZE)
        row = tl.arange(0, ROWS)
        valid = row < rows
        both = tl.arange(0, 2 * HALF)  # gate and up of one channel side by side
        n = tl.program_id(1) * HALF + both // 2
        total = product(
            tokens, row * K, valid, None, None, None, None, None, None,
            weight, scale, first + n + both % 2 * SIZE, n < SIZE,
            K, 2 * HALF, FORMAT, GROUP, BLOCK_K, EMULATED,
        )  # fmt: skip
        gate, up = tl.split(tl.reshape(total, (ROWS, HALF, 2)))
        n = tl.program_id(1) * HALF + tl.arange(0, HALF)
        where = hidden + (slot * ROWS + row)[:, None] * SIZE + n[None, :]
        result = gate * tl.sigmoid(gate) * up
        inside = valid[:, None] & (n < SIZE)[None, :]
        tl.store(where, result.to(hidden.dtype.element_ty), mask=inside)


@triton.jit
def expert_down_kernel(
    hidden,
    weight,
    scale,
    active,
    share,
    count,
    partial,
    rows,
    K: tl.constexpr,
    SIZE: tl.constexpr,
    N: tl.constexpr,
    FORMAT: tl.constexpr,
    GROUP: tl.constexpr,
    BLOCK_K: tl.constexpr,
    EMULATED: tl.constexpr,
    ROWS: tl.constexpr,
):
    """partial (slot, ROWS, SIZE) = each token's share of one listed expert, 0 where unrouted."""
    slot = tl.program_id(0)
    if slot < tl.load(count):
        first = tl.load(active + slot).to(tl.int64) * SIZE
        row = tl.arange(0, ROWS)
        portion = tl.load(share + slot * ROWS + row)
        routed = portion != 0
        n = tl.program_id(1) * N + tl.arange(0, N)
        total = product(
            hidden, (slot * ROWS + row) * K, routed, None, None, None, None, None, None,
            weight, scale, first + n, n < SIZE,
            K, N, FORMAT, GROUP, BLOCK_K, EMULATED,
        )  # fmt: skip
        result = tl.where(routed[:, None], total * portion[:, None], 0.0)
        where = partial + (slot * ROWS + row)[:, None] * SIZE + n[None, :]
        tl.store(where, result, mask=(row < rows)[:, None] & (n < SIZE)[None, :])


@triton.jit
def sum_kernel(
    partial, count, total, rows, SIZE: tl.constexpr, N: tl.constexpr, ROWS: tl.constexpr
):
    """total (rows, SIZE) += the listed experts' parts, always in the same order."""
    row, n = tl.arange(0, ROWS), tl.program_id(0) * N + tl.arange(0, N)
    inside = (row < rows)[:, None] & (n < SIZE)[None, :]
    where = row[:, None] * SIZE + n[None, :]
    result = tl.load(total + where, mask=inside, other=0.0)
    for slot in range(tl.load(count)):
        result += tl.load(partial + slot * ROWS * SIZE + where, mask=inside, other=0.0)
    tl.store(total + where, result, mask=inside)


@triton.jit
def moments(x, at, valid, eps, K: tl.constexpr, BLOCK_K: tl.constexpr):
    """Return the mean of each row and the inverse of its standard deviation: (ROWS,) each."""
    ROWS: tl.constexpr = valid.shape[0]
    total = tl.zeros((ROWS,), tl.float32)
    for start in range(0, K, BLOCK_K):
        k = start + tl.arange(0, BLOCK_K)
        inside = valid[:, None] & (k < K)[None, :]
        values = tl.load(x + at[:, None] + k[None, :], mask=inside, other=0.0)
        total += tl.sum(values.to(tl.float32), axis=1)
    mean = total / K
    total = tl.zeros((ROWS,), tl.float32)
    for start in range(0, K, BLOCK_K):
        k = start + tl.arange(0, BLOCK_K)
        inside = valid[:, None] & (k < K)[None, :]
        values = tl.load(x + at[:, None] + k[None, :], mask=inside, other=0.0)
        off = tl.where(inside, values.to(tl.float32) - mean[:, None], 0.0)
        total += tl.sum(off * off, axis=1)
    return mean, tl.rsqrt(total / K + eps)


@triton.jit
def block_up_kernel(
    x,
    norm_weight,
    norm_bias,
    modulation,
    weight,
    scale,
    bias,
    hidden,
    rows,
    x_rows,
    mod_stride,
    eps,
    K: tl.constexpr,
    SIZE: tl.constexpr,
    HALF: tl.constexpr,
    FORMAT: tl.constexpr,
    GROUP: tl.constexpr,
    BLOCK_K: tl.constexpr,
    EMULATED: tl.constexpr,
    ROWS: tl.constexpr,
):
    """hidden (rows, SIZE) = silu(gate) * value of the normalised, modulated rows."""
    row = tl.arange(0, ROWS)
    valid = row < rows
    at = row % x_rows * K
    mean, spread = moments(x, at, valid, eps, K, BLOCK_K)
    both = tl.arange(0, 2 * HALF)  # gate and value of one channel side by side
    n = tl.program_id(0) * HALF + both // 2
    channel, real = n + both % 2 * SIZE, n < SIZE
    total = product(
        x, at, valid, norm_weight, norm_bias, modulation, row * mod_stride, mean, spread,
        weight, scale, channel, real,
        K, 2 * HALF, FORMAT, GROUP, BLOCK_K, EMULATED,
    )  # fmt: skip
    if bias is not None:
        total += tl.load(bias + channel, mask=real, other=0.0).to(tl.float32)[None, :]
    gate, value = tl.split(tl.reshape(total, (ROWS, HALF, 2)))
    n = tl.program_id(0) * HALF + tl.arange(0, HALF)
    where = hidden + row[:, None] * SIZE + n[None, :]
    result = gate * tl.sigmoid(gate) * value
    inside = valid[:, None] & (n < SIZE)[None, :]
    tl.store(where, result.to(hidden.dtype.element_ty), mask=inside)


@triton.jit
def block_down_kernel(
    hidden,
    weight,
    scale,
    bias,
    x,
    modulation,
    out,
    rows,
    x_rows,
    mod_stride,
    K: tl.constexpr,
    SIZE: tl.constexpr,
    N: tl.constexpr,
    FORMAT: tl.constexpr,
    GROUP: tl.constexpr,
    BLOCK_K: tl.constexpr,
    EMULATED: tl.constexpr,
    ROWS: tl.constexpr,
):
    """out (rows, SIZE) = x + gate * the product."""
    row, n = tl.arange(0, ROWS), tl.program_id(0) * N + tl.arange(0, N)
    valid, real = row < rows, n < SIZE
    total = product(
        hidden, row * K, valid, None, None, None, None, None, None,
        weight, scale, n, real,
        K, N, FORMAT, GROUP, BLOCK_K, EMULATED,
    )  # fmt: skip
    if bias is not None:
        total += tl.load(bias + n, mask=real, other=0.0).to(tl.float32)[None, :]
    inside = valid[:, None] & real[None, :]
    start = tl.load(x + (row % x_rows * SIZE)[:, None] + n[None, :], mask=inside, other=0.0)
    gates = modulation + 2 * SIZE + (row * mod_stride)[:, None] + n[None, :]
    gate = tl.load(gates, mask=inside, other=0.0).to(tl.float32)
    result = start.to(tl.float32) + gate * total
    tl.store(out + row[:, None] * SIZE + n[None, :], result.to(out.dtype.element_ty), mask=inside)


def storage(packed: Packed, x: Tensor, rows: int) -> dict[str, object]:
    """Return the constants of a kernel that multiplies `rows` inputs like x by these weights."""
    formats = {torch.int8: INT8, torch.uint8: INT4}
    return {
        "FORMAT": formats.get(packed.weight.dtype, DENSE).value,
        "GROUP": packed.group,
        "BLOCK_K": 64 if packed.weight.dtype == torch.float32 else 128,
        "EMULATED": x.device.type == "cpu",
        "ROWS": tile_rows(rows),
        "num_warps": WARPS,
        "num_stages": STAGES,
    }


def add_experts(
    total: Tensor, tokens: Tensor, weights: Tensor, chosen: Tensor, gate_up: Packed, down: Packed
) -> Tensor:
    """As `plain.add_experts`, for up to MAX_ROWS tokens."""
    rows, top_k = chosen.shape
    tile = tile_rows(rows)
    experts, width, size = down.weight.shape[0], tokens.shape[1], down.num_inputs
    slots = min(experts, rows * top_k)
    active = tokens.new_empty(slots, dtype=torch.int32)
    count = tokens.new_empty(1, dtype=torch.int32)
    share = tokens.new_empty(slots, tile, dtype=torch.float32)
    plan_kernel[(1,)](
        chosen, weights, active, share, count, rows,
        TOP_K=top_k, EXPERTS=triton.next_power_of_2(experts), ROWS=tile,
    )  # fmt: skip
    hidden = tokens.new_empty(slots, tile, size)
    expert_up_kernel[(slots, triton.cdiv(size, CHANNELS))](
        tokens, gate_up.weight, gate_up.scale, active, count, hidden, rows,
        K=width, SIZE=size, HALF=CHANNELS, **storage(gate_up, tokens, rows),
    )  # fmt: skip
    partial = share.new_empty(slots, tile, width)
    expert_down_kernel[(slots, triton.cdiv(width, CHANNELS))](
        hidden, down.weight, down.scale, active, share, count, partial, rows,
        K=size, SIZE=width, N=CHANNELS, **storage(down, tokens, rows),
    )  # fmt: skip
    sum_kernel[(triton.cdiv(width, CHANNELS),)](
        partial, count, total, rows, SIZE=width, N=CHANNELS, ROWS=tile
    )
    return total


def block(x: Tensor, modulation: Tensor, norm: Norm, w12: Packed, w3: Packed) -> Tensor:
    """As `plain.block`, for up to MAX_ROWS rows of modulation."""
    rows, width, size = len(modulation), x.shape[1], w3.num_inputs
    hidden, out = x.new_empty(rows, size), x.new_empty(rows, width)
    block_up_kernel[(triton.cdiv(size, CHANNELS),)](
        x, norm.weight, norm.bias, modulation, w12.weight, w12.scale, w12.bias, hidden,
        rows, len(x), modulation.stride(0), norm.eps,
        K=width, SIZE=size, HALF=CHANNELS, **storage(w12, x, rows),
    )  # fmt: skip
    block_down_kernel[(triton.cdiv(width, FEW_CHANNELS),)](
        hidden, w3.weight, w3.scale, w3.bias, x, modulation, out,
        rows, len(x), modulation.stride(0),
        K=size, SIZE=width, N=FEW_CHANNELS, **storage(w3, x, rows),
    )  # fmt: skip
    return out
