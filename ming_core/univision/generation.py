"""What a node can ask for of a conversation: generate, edit, describe, trim.

The wire between the boxes. A context comes in, a new context goes out, nothing stays on the model.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from ..errors import PromptError
from ..progress import Progress, ProgressBar
from ..sampling import TextSampling
from .context import LatentContext, Part, Picture, Text
from .drawing import Replay
from .images import refuse_foreign
from .marking import Marked, picture_to_edit
from .model import MingModel
from .prompt import Exchange, Prompt, build_prompt, region_prompt
from .sampling import ImageSampling
from .turn import (
    OpenTurn,
    Reply,
    Settings,
    refuse_too_long,
    reply_freely,
    reply_with_pictures,
)
from .values import Features
from .windows import ALL, Window, windowed, with_reply


@dataclass(frozen=True, slots=True)
class Edit:
    """An edited picture, the context it leaves, and the region drawn first, if asked for."""

    context: LatentContext
    features: Features
    region: Features | None
    text: str = ""


@torch.inference_mode()
def generate(
    model: MingModel,
    prompts: str | Sequence[str],
    *,
    seeds: Sequence[int],
    sampling: ImageSampling | None = None,
    context: LatentContext | None = None,
    features: Features | None = None,
    history: Sequence[Exchange] = (),
    text: TextSampling | None = None,
    progress: Progress | None = None,
) -> list[Reply]:
    """Answer prompts with one picture per seed, or, given `text`, as the model itself decides.

    Several prompts share the seeds, in order, and as many each: their pictures are drawn side by
    side. Each seed gets a reply of its own, and all replies share the context they start from.
    """
    asked = [prompts] if isinstance(prompts, str) else list(prompts)
    if not seeds or not asked or len(seeds) % len(asked):
        raise PromptError(
            f"There are {len(asked)} prompts and {len(seeds)} seeds; a picture is drawn per seed, "
            "and every prompt gets as many."
        )
    sampling = sampling or ImageSampling()
    steps = model.config.language.num_image_tokens if text is None else text.max_tokens
    bar = ProgressBar(progress, steps * (1 if text is None else len(seeds)))
    start = context or LatentContext(model.identity)
    layouts = [_prompt(model, start, features, words, history) for words in asked]
    for number, layout in enumerate(layouts, 1):
        refuse_too_long(model, start, layout, f"Prompt {number}" if asked[1:] else "The prompt")
    turns = [OpenTurn(model, start, layout, bar) for layout in layouts]
    if text is None:
        return reply_with_pictures(turns, seeds, sampling)
    own = len(seeds) // len(asked)
    return [
        reply_freely(turns[i // own].fork(), Settings(seed, replace(text, seed=seed), sampling))
        for i, seed in enumerate(seeds)
    ]


@torch.inference_mode()
def edit(
    model: MingModel,
    instruction: str,
    *,
    seed: int,
    sampling: ImageSampling | None = None,
    context: LatentContext | None = None,
    features: Features | None = None,
    show_region_first: bool | Marked = False,
    window: Window = ALL,
    progress: Progress | None = None,
) -> Edit:
    """Edit the picture of a context, or a given one, as instructed.

    With `show_region_first` a turn before it draws the region concerned: the visual chain of
    thought of the paper. Where a person has said it (by `mark`), that is the region, and all else
    stays as it is. A `window` says how much of the context the edit follows on. Raises
    PromptError when there is no picture, or no instruction.
    """
    if not instruction.strip():
        raise PromptError("The instruction is empty; write what to change.")
    picture = picture_to_edit(context, features)
    if picture is None:
        raise PromptError(
            "There is no picture to edit: connect a context in which one was drawn or shown, or "
            "the features of a picture."
        )
    sampling = sampling or ImageSampling()
    tokens = model.config.language.num_image_tokens
    marked = show_region_first if isinstance(show_region_first, Marked) else None
    kept = None if marked is None else marked.kept
    bar = ProgressBar(progress, tokens * (2 if show_region_first and kept is None else 1))

    def after(
        start: LatentContext, words: str, shown: Features | None, kept: Replay | None = None
    ) -> LatentContext:
        turn = OpenTurn(model, start, _prompt(model, start, shown, words), bar)
        return reply_with_pictures([turn], [seed], sampling, kept, picture.frame)[0].context

    start = windowed(model, context or LatentContext(model.identity), window, bar)
    region = None if marked is None else marked.region
    if region is not None:
        parts = parts_of(model, features, region_prompt(instruction))
        start, features = with_reply(model, start, parts, region, bar), None
    elif show_region_first:
        start = after(start, region_prompt(instruction), features)
        region, features = start.turns[-1].pictures[0].features, None
    edited = after(start, instruction, features, kept)
    turn = edited.turns[-1]
    return Edit(edited, turn.pictures[0].features, region, turn.reply_text)


@torch.inference_mode()
def describe(
    model: MingModel,
    question: str,
    *,
    sampling: TextSampling | None = None,
    context: LatentContext | None = None,
    features: Features | None = None,
    history: Sequence[Exchange] = (),
    window: Window = ALL,
    aside: bool = False,
    progress: Progress | None = None,
) -> Reply:
    """Answer a question in words, about the pictures of the turn and of the context.

    A `window` says how much of the context is read. What is asked `aside` leaves the context as
    it was; without one, the new context carries the last picture shown, and no word.
    """
    sampling = sampling or TextSampling()
    before = context or LatentContext(model.identity)
    bar = ProgressBar(progress, sampling.max_tokens)
    start = windowed(model, before, window, bar)
    turn = OpenTurn(model, start, _prompt(model, start, features, question, history), bar)
    reply = reply_freely(turn, Settings(sampling.seed, sampling))
    if not aside:
        return reply
    if context is None and features is not None:
        before = replace(before, carried=Picture(features.images()[-1]))
    return replace(reply, context=before)


def trim(
    model: MingModel, context: LatentContext, window: Window, progress: Progress | None = None
) -> LatentContext:
    """Return a context that remembers a window of the conversation alone."""
    return windowed(model, context, window, ProgressBar(progress, 1))


def _prompt(
    model: MingModel,
    start: LatentContext,
    features: Features | None,
    words: str,
    history: Sequence[Exchange] = (),
) -> Prompt:
    """Lay out the turn that follows a context, with the picture carried over to it."""
    return build_prompt(model.tokenizer, parts_of(model, features, words), history, start.carried)


def parts_of(model: MingModel, features: Features | None, text: str) -> tuple[Part, ...]:
    """Return a user turn: its given pictures in order, then its words."""
    if features is None:
        return (Text(text),)
    refuse_foreign(features, model, model.config.mingtok.semantic.width)
    return (*(Picture(image) for image in features.images()), Text(text))
