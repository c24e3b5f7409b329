"""Which experts a token of random weights is sent to: where its routers say, or anywhere.

Rows of a random model see nearly the same token and choose nearly the same experts, so fewer
weights are read than a trained model would read. Uniform routing reads the other extreme.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ming_core import MingModel

from .counters import mixtures

ROUTING = ("uniform", "model")
SEED = 20


@contextmanager
def routed(model: MingModel, routing: str) -> Iterator[None]:
    """Let the text routers give every row random scores of its own, if `routing` is uniform.

    The scores come from torch's own generator, seeded here and put back afterwards: random numbers
    of a generator made by hand could not be part of a replayed graph.
    """
    if routing != "uniform":
        yield
        return

    def scatter(_router: nn.Module, _inputs: object, scores: Tensor) -> Tensor:
        return torch.rand_like(scores)

    hooks = [moe.text_router.register_forward_hook(scatter) for moe in mixtures(model)]
    devices = [model.device] if model.device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(SEED)
            yield
    finally:
        for hook in hooks:
            hook.remove()
