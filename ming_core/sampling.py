"""Seeds, and what a user may set about writing text."""

import math
from dataclasses import asdict, dataclass

import torch

from .errors import PromptError


def seeded_generator(seed: int) -> torch.Generator:
    """Return a CPU generator for a seed, taken modulo 2**64.

    torch's CPU generator reads the low 32 bits of a seed only. Folding the high ones in keeps
    large seeds apart, and leaves the numbers of seeds below 2**32 as torch has them.
    """
    low, high = seed % 2**32, seed // 2**32 % 2**32
    scattered = (high * 0x9E3779B97F4A7C15 >> 32) % 2**32  # Fibonacci hashing: 0 stays 0
    return torch.Generator("cpu").manual_seed(low ^ scattered)


def refuse_endless(settings: dict[str, object]) -> None:
    """Raise PromptError for a setting that is no finite number."""
    for name, value in settings.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise PromptError(f"{name} is {value}; use a finite number.")


@dataclass(frozen=True, slots=True)
class TextSampling:
    """How text tokens are chosen; temperature 0 is greedy.

    top_k 0, top_p 1 and min_p 0 keep all tokens, repetition_penalty 1 keeps all scores.
    min_p               least probability, as a share of the likeliest token's (arXiv:2407.01082)
    repetition_penalty  what scores of tokens already in the answer are divided by (CTRL,
                        arXiv:1909.05858, section 4.1), or multiplied by where they are negative
    """

    max_tokens: int = 512
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0

    def __post_init__(self) -> None:
        refuse_endless(asdict(self))
        if self.max_tokens < 1:
            raise PromptError(f"max_tokens is {self.max_tokens}; use 1 or more.")
        if self.temperature < 0:
            raise PromptError(f"temperature is {self.temperature}; use 0 (greedy) or more.")
        if not 0 < self.top_p <= 1:
            raise PromptError(f"top_p is {self.top_p}; use a figure above 0 and up to 1.")
        if self.top_k < 0:
            raise PromptError(f"top_k is {self.top_k}; use 0 (off) or more.")
        if not 0 <= self.min_p <= 1:
            raise PromptError(f"min_p is {self.min_p}; use a figure from 0 (off) to 1.")
        if self.repetition_penalty < 1:
            raise PromptError(
                f"repetition_penalty is {self.repetition_penalty}; use 1 (off) or more."
            )
