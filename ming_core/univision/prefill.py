"""Prefill: the language model reads many tokens at once into a cache, pictures in their place."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ..kv_cache import WorkingCache
from ..progress import Callback
from .language_model.transformer import Step
from .model import MingModel
from .values import Features

PREFILL_TOKENS = 2048


def prefill(
    model: MingModel,
    cache: WorkingCache,
    ids: Sequence[int],
    pictures: Sequence[tuple[Features, bool]],
    callback: Callback,
) -> Tensor:
    """Read tokens behind what the cache holds; returns the last hidden states (1, H).

    pictures  what the patches among the ids stand for, in order, and whether each was given
    (by the user) or drawn: the router tells them apart (docs/decisions/0004)
    """
    tokens = torch.tensor([ids])
    embeddings = model.word_embeddings(tokens)
    is_given: Tensor | None = None
    if pictures:
        connector = model.parts.language_model.connector
        values = [picture.values.to(model.device, model.dtype) for picture, _ in pictures]
        is_patch = (tokens == model.tokenizer.image_patch).to(model.device)
        embeddings = embeddings.clone()
        embeddings[is_patch] = torch.cat([connector(value).flatten(0, 1) for value in values])
        flags = [torch.full(picture.values.shape[1:2], given) for picture, given in pictures]
        is_given = is_patch.masked_scatter(is_patch, torch.cat(flags).to(model.device))
    hidden = embeddings[:, -1]
    # In stretches, because attention's mask grows with their length times all before them.
    for start in range(0, tokens.shape[1], PREFILL_TOKENS):
        part = slice(start, start + PREFILL_TOKENS)
        given = None if is_given is None else is_given[:, part]
        hidden = read(model, cache, embeddings[:, part], callback, given)
    return hidden


def read(
    model: MingModel,
    cache: WorkingCache,
    embeddings: Tensor,
    callback: Callback,
    is_given_image: Tensor | None = None,
) -> Tensor:
    """Read embeddings (batch, T, H), which see everything; returns the last hidden states."""
    batch, tokens, _ = embeddings.shape
    start = cache.length
    positions = torch.arange(start, start + tokens, device=model.device)
    step = Step(positions.expand(batch, -1), is_given_image=is_given_image)
    transformer = model.parts.language_model.transformer
    return transformer(embeddings, cache, step, callback)[:, -1]
