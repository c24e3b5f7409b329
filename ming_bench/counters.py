"""What one visual token asks of the device: operations, waits for an answer, chosen experts."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from ming_core import MingModel
from ming_core.univision.language_model.experts import MixtureOfExperts

from .clock import REST, TOKEN, Mark

# Calls that hand a device's figures to Python, or need them to know the shape of their result.
ASKING = (
    Tensor.tolist,
    Tensor.item,
    Tensor.cpu,
    Tensor.numpy,
    Tensor.nonzero,
    Tensor.unique,
    Tensor.bincount,
    Tensor.masked_select,
    Tensor.__bool__,
    Tensor.__int__,
    Tensor.__float__,
    Tensor.__index__,
    Tensor.__contains__,
    torch.nonzero,
    torch.unique,
    torch.bincount,
    torch.masked_select,
    torch.equal,
    torch.is_nonzero,
)


class OpCounter(TorchDispatchMode):
    """Counts operations that compute, by part: views and shape changes are left out."""

    def __init__(self) -> None:
        super().__init__()
        self.part = REST
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # noqa: ANN001, ANN204, ARG002
        """Count one operation and run it."""
        out = func(*args, **(kwargs or {}))
        if not func.is_view:
            self.counts[self.part] += 1
        return out


class AskCounter(TorchFunctionMode):
    """Counts the calls by which Python asks a tensor for figures, on any device.

    On an accelerator each makes the CPU wait for all the work before it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_function__(self, func, types, args=(), kwargs=None):  # noqa: ANN001, ANN204, ARG002
        """Count one call and run it."""
        self.count += func in ASKING or _is_masked_read(func, args)
        return func(*args, **(kwargs or {}))


def _is_masked_read(func: Callable[..., object], args: tuple[object, ...]) -> bool:
    """Whether a call reads by a mask, whose result is as long as the mask has ones."""
    index = args[1] if func is Tensor.__getitem__ and len(args) > 1 else None
    return isinstance(index, Tensor) and index.dtype == torch.bool


class WaitCounter:
    """Counts what CUDA itself reports as a wait of the CPU for the device."""

    def __init__(self) -> None:
        self._caught: list[warnings.WarningMessage] = []
        self._recorder = warnings.catch_warnings(record=True)

    @property
    def count(self) -> int:
        """Waits so far."""
        return sum("synchronizing" in str(warning.message) for warning in self._caught)

    def __enter__(self) -> WaitCounter:
        recorded = self._recorder.__enter__()
        self._caught = [] if recorded is None else recorded
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        return self

    def __exit__(self, *_exception: object) -> None:
        torch.cuda.set_sync_debug_mode("default")
        self._recorder.__exit__(None, None, None)


@dataclass(frozen=True)
class TokenCounts:
    """Operations of one token by part, and how often the CPU waits for the device in it."""

    ops: Counter[str]
    syncs: int


def count_token(run: Callable[[Mark], object], device: torch.device) -> TokenCounts:
    """Count the second token of a drawing, when nothing is set up any more.

    run  draws two tokens, calling back at every mark
    """
    ops = OpCounter()
    waits = WaitCounter() if device.type == "cuda" else AskCounter()
    ends: list[tuple[Counter[str], int]] = []

    def mark(name: str) -> None:
        ops.part = REST if name == TOKEN else name
        if name == TOKEN:
            ends.append((ops.counts.copy(), waits.count))

    with waits, ops:
        run(mark)
    (before, waited), (after, waited_after) = ends[:2]
    return TokenCounts(after - before, waited_after - waited)


@contextmanager
def watched_experts(model: MingModel) -> Iterator[list[int]]:
    """Collect how many different experts each layer's text router chooses in each step."""
    found: list[int] = []

    def count_of(top_k: int) -> Callable[[nn.Module, object, Tensor], None]:
        def count(_router: nn.Module, _inputs: object, scores: Tensor) -> None:
            found.append(scores.topk(top_k, dim=-1).indices.unique().numel())

        return count

    hooks = [moe.text_router.register_forward_hook(count_of(moe.top_k)) for moe in mixtures(model)]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


def mixtures(model: MingModel) -> list[MixtureOfExperts]:
    """Return the mixtures of experts of all layers."""
    modules = model.parts.language_model.transformer.modules()
    return [module for module in modules if isinstance(module, MixtureOfExperts)]
