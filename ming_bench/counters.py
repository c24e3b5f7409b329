"""What one visual token asks of the device: operations, waits, experts; and where it is sent."""

import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from ming_core import MingModel
from ming_core.univision.language_model.experts import MixtureOfExperts

from .clock import REST, TOKEN, Mark

ROUTING = ("uniform", "model")
SEED = 20


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


@contextmanager
def watched_waits(device: torch.device) -> Iterator[list[warnings.WarningMessage]]:
    """Collect what CUDA itself reports as a wait of the CPU for the device."""
    if device.type != "cuda":
        yield []
        return
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield caught
        finally:
            torch.cuda.set_sync_debug_mode("default")


def count_token(run: Callable[[Mark], object], device: torch.device) -> dict[str, Any]:
    """Count the second token of a drawing, when nothing is set up any more.

    Returns its operations in all and by part, and the waits of the CPU in it: None where it waits
    for nothing.

    run  draws two tokens, calling back at every mark
    """
    ops = OpCounter()
    ends: list[tuple[Counter[str], int]] = []
    with watched_waits(device) as caught, ops:

        def mark(name: str) -> None:
            ops.part = REST if name == TOKEN else name
            if name == TOKEN:
                ends.append((ops.counts.copy(), len(caught)))

        run(mark)
        said = [str(warning.message) for warning in caught]
    (before, first), (after, last) = ends[:2]
    waits = sum("synchronizing" in text for text in said[first:last])
    counted = after - before
    return {
        "ops_per_token": {"total": counted.total(), **counted},
        "syncs_per_token": waits if device.type == "cuda" else None,
    }


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
