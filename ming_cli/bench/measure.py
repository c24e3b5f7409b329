"""Timing and counting one visual token, for the engine and for the published algorithm."""

import statistics
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from ming_core import ImageSampling, MingModel, SilentProgress
from ming_core.drawing import BranchRows, draw, draw_noise
from ming_core.guidance import Branch, guidance_weights
from ming_core.kv_cache import WorkingCache
from ming_core.language_model.transformer import Step
from ming_core.progress import Meter

from .baseline import draw_baseline

PREFIX_TOKENS = 64
HIDDEN_TOKENS = 40  # of the prefix, from the unconditional branch
THREE_ROWS = (Branch.FULL, Branch.IMAGE_ONLY, Branch.UNCONDITIONAL)
TWO_ROWS = (Branch.FULL, Branch.UNCONDITIONAL)


@dataclass(frozen=True)
class Case:
    """A prefix that has been read, and what each guidance branch sees of it."""

    model: MingModel
    cache: WorkingCache
    seen: Mapping[Branch, Tensor]

    @classmethod
    def read(cls, model: MingModel, branches: Sequence[Branch]) -> "Case":
        """Read a prefix of random embeddings."""
        generator = torch.Generator("cpu").manual_seed(1)
        hidden = model.config.language.hidden_size
        embeddings = torch.randn(1, PREFIX_TOKENS, hidden, generator=generator)
        cache = WorkingCache(model.kv_shape, 1, PREFIX_TOKENS)
        positions = torch.arange(PREFIX_TOKENS, device=model.device)[None]
        model.parts.language_model.transformer(
            embeddings.to(model.device, model.dtype), cache, Step(positions), Meter(None, 0)
        )
        hides = {Branch.FULL: 0, Branch.IMAGE_ONLY: HIDDEN_TOKENS // 2}
        seen: dict[Branch, Tensor] = {}
        for branch in branches:
            seen[branch] = torch.ones(PREFIX_TOKENS, dtype=torch.bool)
            seen[branch][3 : 3 + hides.get(branch, HIDDEN_TOKENS)] = False
        return cls(model, cache, seen)

    def noise(self, tokens: int, pictures: int) -> Tensor:
        """Return the noise of the first tokens of some pictures: (tokens, pictures, C)."""
        return draw_noise(range(pictures), tokens, self.model.config.mingtok.latent_size)

    def draw(self, tokens: int, pictures: int, on_token: Callable[[], None]) -> Tensor:
        """Draw with the engine: latents (pictures, tokens, C)."""
        how = ImageSampling(steps=self.model.config.flow.steps)
        weights = guidance_weights(how, has_image_branch=Branch.IMAGE_ONLY in self.seen)
        rows = BranchRows(self.cache, weights, self.seen, (pictures, tokens + 2))
        meter = Meter(TokenClock(on_token), tokens)
        return draw(self.model, rows, self.noise(tokens, pictures), how, meter).latents

    def draw_baseline(self, tokens: int, on_token: Callable[[], None]) -> Tensor:
        """Draw with the published algorithm: latents (tokens, C), without the thrown-away one."""
        how = ImageSampling(steps=self.model.config.flow.steps)
        noise = self.noise(tokens + 1, 1)[:, 0].to(self.model.device)
        return draw_baseline(self.model, self.cache, self.seen, noise, how, on_token)[0][:-1]


class TokenClock(SilentProgress):
    """Progress that calls back after every token."""

    def __init__(self, on_token: Callable[[], None]) -> None:
        self._on_token = on_token

    def advance(self, done: int, total: int) -> None:  # noqa: ARG002  the protocol's signature
        """Call back."""
        self._on_token()


class Marks:
    """Times at which tokens ended; the first token, which also starts up, is left out."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._marks: list[float] = []

    def __call__(self) -> None:
        """Note that a token ended."""
        if self._device.type != "cpu":
            torch.accelerator.synchronize()
        self._marks.append(time.perf_counter())

    @property
    def seconds(self) -> float:
        """Median seconds from one token to the next."""
        return statistics.median(
            after - before for before, after in zip(self._marks[:-1], self._marks[1:], strict=True)
        )


def seconds_per_token(case: Case, tokens: int, pictures: int = 1) -> float:
    """Time the engine."""
    marks = Marks(case.model.device)
    case.draw(tokens, pictures, marks)
    return marks.seconds


def baseline_seconds_per_token(case: Case, tokens: int) -> float:
    """Time the published algorithm."""
    marks = Marks(case.model.device)
    case.draw_baseline(tokens, marks)
    return marks.seconds


def paired_ratio(
    first: Callable[[], float], second: Callable[[], float], repeats: int
) -> tuple[float, list[float]]:
    """Time two things in turn and return the median of first / second, and every ratio."""
    ratios = [first() / second() for _ in range(repeats)]
    return statistics.median(ratios), ratios


class OpCounter(TorchDispatchMode):
    """Counts operations that compute: views and shape changes are left out."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # noqa: ANN001, ANN204, ARG002
        """Count one operation and run it."""
        out = func(*args, **(kwargs or {}))
        if not func.is_view:
            self.counts[str(func)] += 1
        return out


def count_ops(run: Callable[[Callable[[], None]], object]) -> Counter[str]:
    """Count the operations of one token: the second, when nothing is set up any more."""
    counter = OpCounter()
    ends: list[Counter[str]] = []
    with counter:
        run(lambda: ends.append(counter.counts.copy()))
    return ends[1] - ends[0]
