"""How much memory each stage takes: what it needs on the device, and room to work beside it.

A picture passes five stages, and no two of them need the same parts. All of it can lie on the
device at once, or one stage after another.
"""

from collections.abc import Callable
from typing import Any

import torch

from ..fitting import FLOATS, Need, num_bytes
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
STAGES = {
    "seeing": SEEING,
    "reading": READING,
    "connecting": CONNECTING,
    "drawing": DRAWING,
    "painting": PAINTING,
}
PROMPT_TOKENS = 512  # of a long prompt, where a machine is measured
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


def stage_bytes(parts: Parts) -> dict[str, int]:
    """Return the bytes of weights that each stage reads."""
    named = parts.named()
    return {stage: num_bytes(named[name] for name in names) for stage, names in STAGES.items()} | {
        "writing": num_bytes(named[name] for name in WRITING)
    }


def need_of(
    build: Callable[..., Parts],
    config: LiteUniConfig,
    tokenizer: LiteTokenizer,
    precision: str,
    floats: torch.dtype,
) -> Need:
    """Return what a checkpoint needs in a precision, when it edits one picture.

    build  makes its parts without memory; floats  is what quantised weights are computed with
    """
    dtype = FLOATS.get(precision, floats)
    options: dict[str, Any] = {"quantise": precision if precision in QUANTISATIONS else None}
    parts = build(dtype, TorchOperations, **options)
    model = LiteUniModel("", config, tokenizer, parts, dtype)
    weights = stage_bytes(parts)
    patches = PIXELS // config.vision.patch_size**2
    side = config.diffusion.sample_size * config.autoencoder.pixels_per_latent
    stages = (
        seeing_stage(model, patches),
        reading_stage(model, PROMPT_TOKENS + patches // config.vision.merge**2),
        connecting_stage(model),
        drawing_stage(model, (side, side)),
        painting_stage(model, (side, side)),
    )
    whole = num_bytes(parts.named().values())
    return Need(
        precision,
        weights=whole,
        drawing=whole,
        experts=whole - max(weights.values()),
        working=max(stage.working for stage in stages),
    )
