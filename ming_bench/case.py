"""A prefix to draw tokens after: the one place here that knows how the engine draws."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from logging.handlers import BufferingHandler
from unittest.mock import patch

import torch
from torch import Tensor

from ming_core import ImageSampling, MingModel, Progress, kernels
from ming_core.graph import SWITCH as GRAPH_SWITCH
from ming_core.graph import WARM_UPS
from ming_core.kv_cache import WorkingCache
from ming_core.progress import ProgressBar
from ming_core.univision.drawing import BranchBatch, Replay, Start, draw, draw_noise
from ming_core.univision.guidance import Branch, guidance_weights
from ming_core.univision.language_model.transformer import Step

from .baseline import draw_baseline
from .clock import HEAD, LANGUAGE, REST, SEMANTIC, TOKEN, Mark
from .counters import mixtures

BRANCHES = {
    1: (Branch.FULL,),
    2: (Branch.FULL, Branch.UNCONDITIONAL),
    3: (Branch.FULL, Branch.IMAGE_ONLY, Branch.UNCONDITIONAL),
}
RECORDING = WARM_UPS + 1  # tokens of a drawing until it is replayed: some as they are, one recorded


@dataclass(frozen=True)
class Case:
    """A prefix of one row in the cache, and what each guidance branch sees of it."""

    model: MingModel
    cache: WorkingCache
    seen: Mapping[Branch, Tensor]
    sampling: ImageSampling
    pictures: int = 1

    @classmethod
    def read(
        cls, model: MingModel, rows: int, context: int, sampling: ImageSampling | None = None
    ) -> Case:
        """Read a prefix of `context` random words, which other branches see parts of."""
        generator = torch.Generator("cpu").manual_seed(1)
        words = min(model.config.language.vocab_size, model.tokenizer.max_id)
        ids = torch.randint(words, (1, context), generator=generator)
        cache = WorkingCache(model.kv_shape, 1, context)
        positions = torch.arange(context, device=model.device)[None]
        transformer = model.parts.language_model.transformer
        transformer(model.word_embeddings(ids), cache, Step(positions))
        how = sampling or published_sampling(model, rows)
        hidden_from = {Branch.FULL: context, Branch.IMAGE_ONLY: context - context // 4}
        seen: dict[Branch, Tensor] = {}
        for branch in BRANCHES[rows]:
            seen[branch] = torch.ones(context, dtype=torch.bool)
            seen[branch][hidden_from.get(branch, context // 2) :] = False
        return cls(model, cache, seen, how)

    def side_by_side(self, pictures: int) -> Case:
        """Return the case with so many pictures."""
        return replace(self, pictures=pictures)

    def noise(self, tokens: int) -> Tensor:
        """Return the noise of the first tokens: (tokens, pictures, C)."""
        return draw_noise(range(self.pictures), tokens, self.model.config.mingtok.latent_size)

    def draw(
        self, tokens: int, mark: Mark, *, graph: bool = False, replay: Tensor | None = None
    ) -> Tensor:
        """Draw with the engine: latents (pictures, tokens, C).

        graph   let the engine replay a graph, if it can; then only the ends of tokens are marked
        replay  (tokens, C) latents to feed back in place of the drawn ones
        """
        has_image_branch = Branch.IMAGE_ONLY in self.seen
        weights = guidance_weights(self.sampling, has_image_branch=has_image_branch)
        rows = BranchBatch([Start(self.cache, self.seen)], weights, (self.pictures, tokens + 2))
        bar = ProgressBar(TokenEnds(mark), tokens)
        watch = nullcontext() if graph else watched_parts(self.model, mark)
        with recording(wanted=graph), watch:
            fed_back = None if replay is None else Replay.whole(replay)
            return draw(self.model, rows, self.noise(tokens), self.sampling, bar, fed_back).latents

    def draw_baseline(self, tokens: int, mark: Mark) -> Tensor:
        """Draw one picture with the published algorithm, which knows Euler: latents (tokens, C)."""
        device, how = self.model.device, published_sampling(self.model, len(self.seen))
        noise = self.side_by_side(1).noise(tokens)[:, 0].to(device)
        seen = {branch: visible.to(device) for branch, visible in self.seen.items()}
        return draw_baseline(self.model, self.cache, seen, noise, how, mark)


def is_plain(model: MingModel) -> bool:
    """Whether the published algorithm can compute with these weights: it knows floats only."""
    weights = model.parts.language_model.transformer.layers.parameters()
    return all(weight.dtype == model.dtype for weight in weights)


@contextmanager
def graph_failures() -> Iterator[list[logging.LogRecord]]:
    """Collect the engine's warnings that a graph could not be recorded: they name the switch."""
    logger, handler = logging.getLogger("ming"), BufferingHandler(sys.maxsize)
    handler.addFilter(lambda record: GRAPH_SWITCH in record.getMessage())
    logger.addHandler(handler)
    try:
        yield handler.buffer
    finally:
        logger.removeHandler(handler)


def fused_kernels(model: MingModel) -> list[str]:
    """Name the fused kernels that drawing with this model has used so far."""
    block = model.parts.language_model.velocity.res_blocks.get_submodule("0.mlp.w12")
    stored = {"add_experts": mixtures(model)[0].gate_up.weight.dtype, "block": block.weight.dtype}
    used = [tried for tried, is_used in kernels.verdicts().items() if is_used]
    fitting = (k for k in used if (k.dtype, k.formats[0][0]) == (model.dtype, stored[k.kernel]))
    return sorted({tried.kernel for tried in fitting})


def published_sampling(model: MingModel, rows: int) -> ImageSampling:
    """Return the checkpoint's own settings; one row means no guidance."""
    guidance = 1.0 if rows == 1 else ImageSampling().text_guidance
    return ImageSampling(steps=model.config.flow.steps, text_guidance=guidance)


class TokenEnds(Progress):
    """Progress that marks the end of every token."""

    def __init__(self, mark: Mark) -> None:
        self._mark = mark

    def advance(self, done: int, total: int) -> None:  # noqa: ARG002  the protocol's signature
        """Mark it."""
        self._mark(TOKEN)


@contextmanager
def watched_parts(model: MingModel, mark: Mark) -> Iterator[None]:
    """Mark where the parts of a token begin, as the modules are called."""
    language, decoder = model.parts.language_model, model.parts.semantic_decoder
    begins = {language.condition_head: HEAD, decoder: SEMANTIC, language.transformer: LANGUAGE}
    with ExitStack() as hooks:
        for module, part in begins.items():
            hooks.enter_context(module.register_forward_pre_hook(lambda *_, part=part: mark(part)))
            if part != HEAD:
                hooks.enter_context(module.register_forward_hook(lambda *_: mark(REST)))
        yield


def recording(*, wanted: bool) -> AbstractContextManager[object]:
    """Keep the engine from recording graphs, unless wanted."""
    return nullcontext() if wanted else patch.dict(os.environ, {GRAPH_SWITCH: "0"})
