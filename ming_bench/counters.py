"""What one visual token asks of the device: operations, waits, experts; and where it is sent."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from ming_core import MingModel
from ming_core.univision.language_model.experts import MixtureOfExperts

from .clock import REST, TOKEN, Mark

ROUTING = ("uniform", "model")
SEED = 20

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
def watched_routers(model: MingModel) -> Iterator[list[Tensor]]:
    """Collect the experts that each layer's text router chooses in each step."""
    chosen: list[Tensor] = []
    top_k = model.config.language.top_k

    def note(_router: object, _inputs: object, scores: Tensor) -> None:
        chosen.append(scores.topk(top_k, dim=-1).indices)

    with hooked_routers(model, note):
        yield chosen


@contextmanager
def routed(model: MingModel, routing: str) -> Iterator[None]:
    """Let the text routers give every row random scores of its own, if `routing` is uniform.

    Rows of a random model see nearly the same token and choose nearly the same experts, so fewer
    weights are read than a trained model would read; uniform routing reads the other extreme. The
    scores come from torch's own generator, seeded here and put back afterwards: random numbers of
    a generator made by hand could not be part of a replayed graph.
    """
    if routing != "uniform":
        yield
        return
    devices = [model.device] if model.device.type == "cuda" else []
    with (
        torch.random.fork_rng(devices=devices),
        hooked_routers(model, lambda _router, _inputs, scores: torch.rand_like(scores)),
    ):
        torch.manual_seed(SEED)
        yield


@contextmanager
def hooked_routers(model: MingModel, hook: Callable[..., Tensor | None]) -> Iterator[None]:
    """Call a hook after every text router's forward."""
    with ExitStack() as hooks:
        for moe in mixtures(model):
            hooks.enter_context(moe.text_router.register_forward_hook(hook))
        yield


def mixtures(model: MingModel) -> list[MixtureOfExperts]:
    """Return the mixtures of experts of all layers."""
    modules = model.parts.language_model.transformer.modules()
    return [module for module in modules if isinstance(module, MixtureOfExperts)]
