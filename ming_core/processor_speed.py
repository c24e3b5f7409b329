"""How fast this processor multiplies a few rows by weights in each precision: measured once.

Drawing is little else (docs/performance.md), so this and a count of weights say how long a picture
takes. Knows nothing about models.
"""

import time
from collections.abc import Callable
from functools import cache

import torch
from torch.nn import functional as F

from .fitting import Speeds
from .formats import INT4, INT8, Format
from .processor_formats import lay_out_for_processor
from .quantisation import QuantisedExpertLinear

ROWS = 3  # guidance branches of a picture
SIDE, COUNT = 2048, 16  # matrices: more than any cache holds, but in 4 bits
TRIES = 5  # the fastest counts: others who use the machine only slow it down
CALLS = 2000


def measured_speeds() -> Speeds:
    """Return what a weight and a call take here, with as many threads as torch has now; cached."""
    return _measured(torch.get_num_threads())


@cache
def _measured(_threads: int) -> Speeds:
    with torch.inference_mode():
        weight = {"fp32": _floats(torch.float32), "bf16": _floats(torch.bfloat16)}
        weight |= {form.name: _few_bits(form) for form in (INT8, INT4)}
        few = torch.ones(ROWS, SIDE)
        call = _fastest(lambda: [F.silu(few) for _ in range(CALLS)]) / CALLS
    return Speeds(weight, call)


def _floats(dtype: torch.dtype) -> float:
    weights = torch.ones(COUNT, SIDE, SIDE, dtype=dtype)
    x = torch.ones(ROWS, SIDE, dtype=dtype)
    return _fastest(lambda: [x @ weight.mT for weight in weights]) / weights.numel()


def _few_bits(form: Format) -> float:
    """Time a format as layers have it here: by the processor's own product, or without one."""
    layer = QuantisedExpertLinear(COUNT, SIDE, SIDE, form=form)
    layer.weight.data.zero_()
    layer.scale.fill_(1)
    lay_out_for_processor([layer])
    x = torch.ones(ROWS, SIDE, dtype=torch.bfloat16)
    return _fastest(lambda: [layer(x, index) for index in range(COUNT)]) / (COUNT * SIDE * SIDE)


def _fastest(work: Callable[[], object]) -> float:
    """Return the seconds of some work, after doing it once to warm up."""
    work()
    taken: list[float] = []
    for _ in range(TRIES):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return min(taken)
