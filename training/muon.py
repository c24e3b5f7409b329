"""Optimisers: Muon for the matrices of blocks, AdamW for everything else, as one object."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

ADAM_ONLY = ("word_embeddings", "lm_head", "_router", "pos_embed", "cls_token", "patch_embed")
COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the quintic that drives singular values towards 1
ITERATIONS = 5
MEMORY = 0.998  # of the running mean of the weights, per step


@dataclass(frozen=True)
class Rates:
    """Learning rates and weight decay at full speed."""

    muon: float = 0.02
    adam: float = 2e-3
    decay: float = 0.01


class Muon(torch.optim.Optimizer):
    """Momentum whose matrices are made orthogonal; stacked matrices (E, out, in) count as E."""

    def __init__(self, parameters: Iterable[nn.Parameter], lr: float, decay: float) -> None:
        super().__init__(list(parameters), {"lr": lr, "decay": decay, "momentum": 0.95})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # noqa: ANN401, ARG002  torch's signature
        """Move every matrix by its orthogonalised momentum."""
        for group in self.param_groups:
            by_shape: dict[tuple[int, ...], list[nn.Parameter]] = {}
            for parameter in group["params"]:
                if parameter.grad is not None:
                    by_shape.setdefault(tuple(parameter.shape), []).append(parameter)
            for parameters in by_shape.values():
                self._step_alike(parameters, group)

    def _step_alike(self, parameters: list[nn.Parameter], group: dict[str, Any]) -> None:
        """Step parameters of one shape, orthogonalised side by side."""
        updates: list[Tensor] = []
        for parameter in parameters:
            state = self.state[parameter]
            if "momentum" not in state:
                state["momentum"] = torch.zeros_like(parameter)
            grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            state["momentum"].lerp_(grad, 1 - group["momentum"])
            updates.append(torch.lerp(grad, state["momentum"], group["momentum"]))
        stacked = torch.stack(updates)
        ways = orthogonal(stacked.flatten(0, -3)).view_as(stacked)
        scale = max(1.0, stacked.shape[-2] / stacked.shape[-1]) ** 0.5
        for parameter, way in zip(parameters, ways.to(stacked.dtype), strict=True):
            parameter.mul_(1 - group["lr"] * group["decay"])
            parameter.add_(way, alpha=-group["lr"] * scale)


def fast_type(device: torch.device) -> torch.dtype:
    """Return the type a device multiplies fastest: bf16, but not on a CPU that only imitates it."""
    if device.type != "cpu" or torch.cpu._is_avx512_bf16_supported():
        return torch.bfloat16
    return torch.float32


def orthogonal(matrices: Tensor) -> Tensor:
    """Push the singular values of matrices (M, out, in) towards 1; bf16 is exact enough."""
    a, b, c = COEFFICIENTS
    x = matrices.to(fast_type(matrices.device))
    is_tall = x.shape[-2] > x.shape[-1]
    x = x.mT if is_tall else x
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(ITERATIONS):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return x.mT if is_tall else x


class Optimiser:
    """Muon and AdamW side by side, driven by one speed between 0 and 1.

    It keeps a running mean of the weights, which is better than any of them while the rate is
    high: what is measured and published is the mean.
    """

    def __init__(self, named: Iterable[tuple[str, nn.Parameter]], rates: Rates) -> None:
        matrices: list[nn.Parameter] = []
        others: list[nn.Parameter] = []
        for name, parameter in named:
            is_matrix = parameter.dim() in (2, 3) and "blocks" in name or ".layers." in name
            is_matrix = is_matrix and parameter.dim() > 1
            fits = is_matrix and not any(word in name for word in ADAM_ONLY)
            (matrices if fits else others).append(parameter)
        self.rates = rates
        self.parameters = [*matrices, *others]
        self.muon = Muon(matrices, rates.muon, rates.decay)
        self.adam = torch.optim.AdamW(others, rates.adam, (0.9, 0.95), weight_decay=0.0)
        self.mean = [parameter.detach().clone() for parameter in self.parameters]
        self.taken = 0

    def step(self, speed: float) -> float:
        """Clip the gradients to 1, step at a speed, and return the gradients' length."""
        length = nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.muon.param_groups[0]["lr"] = self.rates.muon * speed
        self.adam.param_groups[0]["lr"] = self.rates.adam * speed
        for optimiser in (self.muon, self.adam):
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        self.taken += 1
        # From the first steps the mean keeps little: they were far from where it goes.
        share = 1 - min(MEMORY, self.taken / (self.taken + 10))
        torch._foreach_lerp_(  # pyright: ignore[reportPrivateImportUsage]
            self.mean, [p.detach() for p in self.parameters], share
        )
        return float(length)

    @contextlib.contextmanager
    def averaged(self) -> Iterator[None]:
        """Let the weights be their running mean for a while."""
        current = [parameter.detach().clone() for parameter in self.parameters]
        self.settle()
        yield
        self._assign(current)

    def settle(self) -> None:
        """Set the weights to their running mean, when the training is over."""
        self._assign(self.mean)

    @torch.no_grad()
    def _assign(self, values: list[Tensor]) -> None:
        for parameter, value in zip(self.parameters, values, strict=True):
            parameter.copy_(value)

    def state_dict(self) -> dict[str, Any]:
        """Return the state of both, and the mean."""
        both = {"muon": self.muon.state_dict(), "adam": self.adam.state_dict()}
        return both | {"mean": self.mean, "taken": self.taken}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a state."""
        self.muon.load_state_dict(state["muon"])
        self.adam.load_state_dict(state["adam"])
        # A state of before there was a mean: it begins with the weights as they are.
        self.taken = state.get("taken", 0)
        for kept, saved in zip(self.mean, state.get("mean", self.parameters), strict=True):
            kept.copy_(saved)


def speed_at(step: int, steps: int, hold: float, floor: float = 0.01) -> float:
    """Speed of a step: warm up over the first ones, hold, then fall in a line to `floor`."""
    warm = min(1.0, (step + 1) / max(1, min(100, steps // 10)))
    left = min(1.0, (1 - step / steps) / (1 - hold))
    return warm * (floor + (1 - floor) * left)
