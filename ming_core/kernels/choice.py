"""Whether a fused kernel runs here: Triton is there, fits the layers, and was right once.

Nothing needs Triton. A kernel that cannot be used, fails or differs from its plain twin leaves
the work to the caller (docs/decisions/0015).
"""

import logging
from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

import torch
from torch import Tensor, nn

from ..switches import is_switched_off
from .packed import MAX_ROWS, Norm, Packed, tile_rows
from .probe import TOLERANCE, Case, error_of

SWITCH = "MING_KERNELS"  # switched off, everything runs on the layers' own code
FLOATS = (torch.float32, torch.bfloat16, torch.float16)
GROUPS = (32, 64, 128, 256)  # inputs that may share a 4-bit scale

_verdicts: dict[Case, bool] = {}  # whether a kernel fits, found out at its first use
_log = logging.getLogger("ming")


def add_experts(
    total: Tensor,
    tokens: Tensor,
    weights: Tensor,
    chosen: Tensor,
    gate_up: nn.Module,
    down: nn.Module,
) -> Tensor | None:
    """Add chosen experts to `total` by `plain.add_experts`' formula; None where no kernel runs.

    What is returned is `total` itself, as in torch's calls that work in place.
    """
    packed = _read(tokens, gate_up, down) if _is_for_kernels(tokens, len(tokens)) else None
    if packed is None:
        return None
    inputs = total, tokens.contiguous(), weights.contiguous(), chosen.contiguous()
    return _run(
        "add_experts", tokens, len(tokens), packed, lambda k: k.add_experts(*inputs, *packed)
    )


def block(
    x: Tensor, modulation: Tensor, norm: nn.LayerNorm, w12: nn.Module, w3: nn.Module
) -> Tensor | None:
    """Run a block of the flow head by `plain.block`'s formula; None where no kernel runs.

    x (..., W) broadcasts against modulation (..., 3 W).
    """
    rows = modulation.shape[:-1].numel()
    read = _read(x, norm, w12, w3) if _is_for_kernels(x, rows) else None
    if read is None:
        return None
    width = x.shape[-1]
    if modulation.shape[-x.dim() : -1] != x.shape[:-1] or norm.weight.dtype not in FLOATS:
        return None
    packed = read[1:]
    flat = x.reshape(-1, width), modulation.reshape(rows, 3 * width)
    affine = Norm(norm.weight, norm.bias, norm.eps)
    out = _run("block", x, rows, packed, lambda kernels: kernels.block(*flat, affine, *packed))
    return None if out is None else out.view(*modulation.shape[:-1], width)


def verdicts() -> dict[Case, bool]:
    """Return the kernels that were tried so far, and whether each is used."""
    return dict(_verdicts)


def _is_for_kernels(x: Tensor, rows: int) -> bool:
    """Whether it is a decode step of a few rows, and where kernels run."""
    return rows <= MAX_ROWS and x.dtype in FLOATS and _is_where_kernels_run(x)


def _is_where_kernels_run(x: Tensor) -> bool:
    """Whether Triton is there and launches where x is."""
    if not x.is_cuda or _kernels() is None:
        return False
    # torch.accelerator, which needs no name, came after torch 2.4.
    return x.device.index == getattr(torch, x.device.type).current_device()


def _read(x: Tensor, *layers: nn.Module) -> list[Packed] | None:
    """Return what layers store; None unless all of it is where x is, and can be read as it is."""
    found = [Packed.of(layer) for layer in layers]
    for layer, packed in zip(layers, found, strict=True):
        is_on = getattr(layer, "is_on", None)  # a layer may say so itself
        if not all(t.device == x.device and t.is_contiguous() for t in packed.tensors):
            return None
        if not (is_on is None or is_on(x.device)):
            return None
    return found


@cache
def _kernels() -> ModuleType | None:
    """Return the Triton kernels; None where Triton is not wanted, missing or broken."""
    if is_switched_off(SWITCH) or find_spec("triton") is None:
        return None
    try:
        return import_module(".fused", __package__)
    except Exception as error:  # noqa: BLE001  an installed Triton may fail in any way
        _log.warning("Triton cannot be used (%s); the model runs without fused kernels.", error)
        return None


def _run(
    name: str, x: Tensor, rows: int, packed: list[Packed], call: Callable[[ModuleType], Tensor]
) -> Tensor | None:
    """Call a kernel that fits; None when it does not, now or before."""
    case = Case(name, x.device, x.dtype, (packed[0].format, packed[1].format), tile_rows(rows))
    kernels = _kernels()
    if kernels is None or not _verdicts.get(case, True):
        return None
    try:
        if case not in _verdicts:
            _verdicts[case] = _fits(case) and _is_right(kernels, case)
        return call(kernels) if _verdicts[case] else None
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # noqa: BLE001  a compiler may fail in any way
        reason = str(error).strip().split("\n")[0]
        _log.warning("Kernel %s fails here (%s); the model runs without it.", name, reason)
        _verdicts[case] = False
        return None


def _fits(case: Case) -> bool:
    """Whether there is a kernel for weights stored like this and inputs of this dtype."""
    return all(
        group in GROUPS if stored == torch.uint8 else stored in (case.dtype, torch.int8)
        for stored, group in case.formats
    )


def _is_right(kernels: ModuleType, case: Case) -> bool:
    """Compare a kernel with its plain twin on a few random numbers; warn where they differ."""
    error = error_of(kernels, case)
    is_right = error <= TOLERANCE[case.dtype]  # not when it is no number
    if not is_right:
        _log.warning(
            "Kernel %s is off by %.1e on %s; the model runs without it.",
            case.kernel, error, case.device,
        )  # fmt: skip
    return is_right
