"""How much memory each stage takes: what it needs on the device, and room to work beside it.

A picture passes five stages, and no two of them need the same parts. All of it can lie on the
device at once, or one stage after another.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from ..fitting import FLOATS, How, Need, num_bytes
from ..operations import TorchOperations
from ..quantisation import QUANTISATIONS
from ..stages import Stage
from .config import LiteUniConfig
from .model import LiteUniModel, Parts
from .preprocessing import PIXELS
from .sequence import LiteTokenizer
from .sizes import Size

SEEING, READING, CONNECTING = ("vision",), ("language_model",), ("connector",)
WRITING = ("language_model", "lm_head")
DRAWING, PAINTING = ("diffusion_transformer",), ("autoencoder",)
PROMPT_TOKENS = 512  # of a long prompt with its queries, where a machine is measured
ANSWER_TOKENS = 512
ALIVE = 4  # values alive at once per unit of the widest layer


def seeing_stage(model: LiteUniModel, patches: int) -> Stage:
    """Return what looking at a picture needs."""
    vision = model.config.vision
    widest = max(4 * vision.width, 2 * vision.mlp_size)
    return Stage(SEEING, ALIVE * model.wide.itemsize * widest * patches)


def reading_stage(model: LiteUniModel, tokens: int, to_write: int = 0) -> Stage:
    """Return what reading so many tokens needs, and writing some: then scores and a cache too."""
    config, itemsize = model.config.language, model.wide.itemsize
    groups = config.num_heads // config.num_kv_heads
    working = ALIVE * itemsize * 2 * config.mlp_size * tokens + groups * tokens**2
    if not to_write:
        return Stage(READING, working)
    # A cache that grows while text is written holds its old and its new room for a moment.
    working += model.kv_shape.bytes_per_token * (tokens + 2 * to_write) + 8 * config.vocab_size
    return Stage(WRITING, working)


def connecting_stage(model: LiteUniModel) -> Stage:
    """Return what connecting the answers of the finest scale needs."""
    config, tokens = model.config.connector, model.config.glue.scales[-1] ** 2
    return Stage(CONNECTING, ALIVE * model.wide.itemsize * 2 * config.mlp_size * tokens)


def drawing_stage(model: LiteUniModel, size: Size) -> Stage:
    """Return what drawing a latent needs, with room for the painter of previews if there is."""
    config, unit = model.config.diffusion, model.config.autoencoder.pixels_per_latent
    tokens = size[0] // unit * (size[1] // unit)
    widest = max(2 * config.hidden_size, 4 * config.width)
    working = 2 * ALIVE * model.dtype.itemsize * widest * tokens
    return Stage(DRAWING, working, PAINTING)


def painting_stage(model: LiteUniModel, size: Size) -> Stage:
    """Return what decoding a latent to pixels needs."""
    widest = max(
        (8 if stage.is_attentive else 2) * stage.channels / 4**level
        for level, stage in enumerate(model.config.autoencoder.stages)
    )
    return Stage(PAINTING, int(ALIVE * model.wide.itemsize * widest * size[0] * size[1]))


@dataclass(frozen=True, slots=True)
class StageNeed:
    """Bytes of the device that a stage needs by itself: weights, and room to work."""

    weights: int
    working: int


def stage_needs(model: LiteUniModel) -> dict[str, StageNeed]:
    """Return what each stage of an edit needs, and writing an answer about a picture."""
    config = model.config
    patches = PIXELS // config.vision.patch_size**2
    tokens = PROMPT_TOKENS + patches // config.vision.merge**2
    side = config.diffusion.sample_size * config.autoencoder.pixels_per_latent
    stages = {
        "seeing": seeing_stage(model, patches),
        "reading": reading_stage(model, tokens),
        "connecting": connecting_stage(model),
        "drawing": drawing_stage(model, (side, side)),
        "painting": painting_stage(model, (side, side)),
        "writing": reading_stage(model, tokens, ANSWER_TOKENS),
    }
    named = model.components
    return {
        name: StageNeed(num_bytes(named[part] for part in stage.first), stage.working)
        for name, stage in stages.items()
    }


def need_of(
    build: Callable[..., Parts],
    config: LiteUniConfig,
    tokenizer: LiteTokenizer,
    precision: str,
    floats: torch.dtype,
) -> Need:
    """Return what a checkpoint needs in a precision.

    build  makes its parts without memory; floats  is what quantised weights are computed with

    A device may do with the largest stage; the parts of the others wait until theirs begins.
    """
    dtype = FLOATS.get(precision, floats)
    options: dict[str, Any] = {"quantise": precision if precision in QUANTISATIONS else None}
    parts = build(dtype, TorchOperations, **options)
    needs = stage_needs(LiteUniModel("", config, tokenizer, parts, dtype)).values()
    whole = num_bytes(parts.named().values())
    working = max(need.working for need in needs)
    largest = max(need.weights + need.working for need in needs)
    return Need(precision, whole, whole, whole + working - largest, working, How.STAGED)
