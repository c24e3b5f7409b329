"""Ming-Lite-Uni: a language model that reads and asks, and a diffusion model that draws."""

from .condition import Condition
from .dialogue import Dialogue, Reply, ask
from .generation import DESCRIBE_PROMPT, Answer, describe, edit, encode, generate, sample
from .model import LiteUniModel
from .qwen import ROPE_PRECISIONS, RopePrecision
from .sampler import DiffusionSampling
from .sizes import SIZE_MODES, SizeMode

__all__ = [
    "DESCRIBE_PROMPT",
    "ROPE_PRECISIONS",
    "SIZE_MODES",
    "Answer",
    "Condition",
    "Dialogue",
    "DiffusionSampling",
    "LiteUniModel",
    "Reply",
    "RopePrecision",
    "SizeMode",
    "ask",
    "describe",
    "edit",
    "encode",
    "generate",
    "sample",
]
