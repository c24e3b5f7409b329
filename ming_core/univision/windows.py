"""Windows: a context that remembers chosen turns only, read anew from the features they hold.

No picture is decoded or drawn for it: a window costs one prefill of what it keeps.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from ..errors import ContextError
from ..kv_cache import KVSegment, WorkingCache
from ..progress import ProgressBar
from .context import LatentContext, LeftOut, Part, Picture, Turn, pictures_in
from .model import MingModel
from .prefill import prefill
from .prompt import build_prompt, region_prompt, reply_ids
from .tokenizer import IMAGE, IMAGE_END
from .values import Features


@dataclass(frozen=True, slots=True)
class Window:
    """What of a conversation stays in memory.

    turns      the last so many; 0 is the last picture alone, None all of them
    questions  whether turns that drew nothing stay, and count
    """

    turns: int | None = None
    questions: bool = True


ALL = Window()


@torch.inference_mode()
def windowed(
    model: MingModel, context: LatentContext, window: Window, bar: ProgressBar | None = None
) -> LatentContext:
    """Return the context as if the conversation had begun with the turns of a window.

    A turn that showed no picture itself is shown the last one left out before it, given anew; where
    nothing follows, the next turn is. What is left out stays on record. Turns that nothing changes
    for share their keys and values with the context given.
    """
    context.refuse_other_model(model.identity)
    context.refuse_misfit(model.kv_shape, model.config.mingtok.semantic.width)
    kept = _chosen(context.turns, window)
    if all(kept):
        return context
    turns, carried = _carried_over(context, kept)
    same = next((i for i, t in enumerate(turns) if t is not context.turns[i]), len(turns))
    before = context.segments[: 2 * same]
    read = _read_anew(model, before, turns[same:], bar or ProgressBar(None, 0))
    return LatentContext(
        context.model_identity,
        (*turns[:same], *(turn for turn, _ in read)),
        (*before, *(segment for _, segments in read for segment in segments)),
        _left_out(context, kept),
        carried,
    )


def with_reply(
    model: MingModel,
    context: LatentContext,
    parts: tuple[Part, ...],
    picture: Features,
    bar: ProgressBar,
) -> LatentContext:
    """Return the context with one turn more, answered by a picture that is given, not drawn."""
    tokens = len((IMAGE, IMAGE_END)) + picture.values.shape[1]
    turn = Turn(parts, (Picture(picture),), 0, tokens, carried=context.carried)
    ((read, segments),) = _read_anew(model, context.segments, [turn], bar)
    return context.append(read, *segments)


def _chosen(turns: Sequence[Turn], window: Window) -> list[bool]:
    """Tell of every turn whether a window keeps it."""
    chosen = [i for i, turn in enumerate(turns) if window.questions or turn.pictures]
    if window.turns is not None:
        chosen = chosen[len(chosen) - min(window.turns, len(chosen)) :]
        # A region and the edit that follows it are one step.
        first = chosen[0] if chosen else 0
        if first and turns[first - 1].prompt_text == region_prompt(turns[first].prompt_text):
            chosen.insert(0, first - 1)
    return [i in chosen for i in range(len(turns))]


def _carried_over(
    context: LatentContext, kept: Sequence[bool]
) -> tuple[list[Turn], Picture | None]:
    """Return the turns kept, and what the next is shown: each with the picture it follows on."""
    turns: list[Turn] = []
    pending: Picture | None = None
    for turn, stays in zip(context.turns, kept, strict=True):
        if not stays:
            pending = (pending, *pictures_in((*turn.shown, *turn.reply)))[-1]
        elif pending is None or pictures_in(turn.parts):
            turns.append(turn)
            pending = None
        else:
            turns.append(replace(turn, carried=pending))
            pending = None
    return turns, context.carried or pending


def _read_anew(
    model: MingModel, before: Sequence[KVSegment], turns: Sequence[Turn], bar: ProgressBar
) -> list[tuple[Turn, tuple[KVSegment, KVSegment]]]:
    """Read turns behind what is there already; returns each with its two segments."""
    prompts = [build_prompt(model.tokenizer, t.parts, carried=t.carried) for t in turns]
    replies = [reply_ids(model.tokenizer, turn) for turn in turns]
    ids = [i for prompt, reply in zip(prompts, replies, strict=True) for i in (*prompt.ids, *reply)]
    if not ids:
        return []
    pictures = [
        (picture, is_given)
        for prompt, turn in zip(prompts, turns, strict=True)
        for shown, is_given in (
            (prompt.pictures, True),
            ([p.features for p in turn.pictures], False),
        )
        for picture in shown
    ]
    _refuse_odd_tokens(model, ids, pictures)
    end = sum(segment.num_tokens for segment in before)
    cache = WorkingCache.open(model.kv_shape, before, end + len(ids))
    prefill(model, cache, ids, pictures, bar.check_cancelled)
    read: list[tuple[Turn, tuple[KVSegment, KVSegment]]] = []
    for turn, prompt, reply in zip(turns, prompts, replies, strict=True):
        start, middle = end, end + len(prompt.ids)
        end = middle + len(reply)
        counts = {"num_prompt_tokens": len(prompt.ids), "num_reply_tokens": len(reply)}
        segments = (cache.take(0, start, middle), cache.take(0, middle, end))
        read.append((replace(turn, **counts), segments))
    return read


def _refuse_odd_tokens(
    model: MingModel, ids: Sequence[int], pictures: Sequence[tuple[Features, bool]]
) -> None:
    """Refuse tokens that the model does not have, and patches without a picture."""
    patches = sum(token == model.tokenizer.image_patch for token in ids)
    shown = sum(picture.values.shape[1] for picture, _ in pictures)
    if patches != shown or max(ids) >= model.config.language.vocab_size:
        raise ContextError(
            f"The context's turns have {patches} patches for {shown} tokens of pictures, and "
            f"tokens up to {max(ids)} of {model.config.language.vocab_size}. It is damaged: make "
            "it again."
        )


def _left_out(context: LatentContext, kept: Sequence[bool]) -> tuple[LeftOut, ...]:
    """Return all that was said and is not kept, in order."""
    left_out: list[LeftOut] = []
    stays, count = iter(kept), 0
    for turn, is_remembered in context.said:
        if is_remembered and next(stays):
            count += 1
        else:
            left_out.append(LeftOut(count, turn))
    return tuple(left_out)
