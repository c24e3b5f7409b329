"""One turn being answered: prefill, then decode steps of text tokens and drawings; closing.

The only place where a context is opened into working memory and a new one is made.
"""

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..errors import NumericsError, PromptError
from ..kv_cache import BUCKET, WorkingCache
from ..pixels import Frame
from ..progress import ProgressBar
from ..sampling import TextSampling
from ..text_sampler import TextSampler
from .context import LatentContext, Part, Picture, Text, Turn
from .drawing import BranchBatch, Drawing, Replay, Start, draw, draw_noise
from .guidance import Branch, guidance_weights, past_masks, prompt_masks
from .model import MingModel
from .prefill import prefill, read
from .prompt import Prompt
from .sampling import ImageSampling
from .tokenizer import IMAGE, IMAGE_END
from .values import Features, Latents


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: the context it leaves, its words, and its pictures, if any were drawn."""

    context: LatentContext
    text: str = ""
    features: Features | None = None
    latents: Latents | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """How a turn is answered: recorded in the context with the turn."""

    seed: int
    text: TextSampling | None = None
    image: ImageSampling | None = None


class OpenTurn:
    """What has been read of a turn so far, and the state its next token follows from.

    Mutable and short-lived. The context it starts from is only read.
    """

    def __init__(
        self, model: MingModel, context: LatentContext, prompt: Prompt, bar: ProgressBar
    ) -> None:
        context.refuse_other_model(model.identity)
        context.refuse_misfit(model.kv_shape, model.config.mingtok.semantic.width)
        refuse_too_long(model, context, prompt)
        self.model, self.context, self.prompt, self.bar = model, context, prompt, bar
        past, own = past_masks(context), prompt_masks(prompt.ids, model.tokenizer)
        self._visible = {branch: torch.cat((past[branch], own[branch])) for branch in Branch}
        self.prompt_end = context.num_tokens + len(prompt.ids)
        self.cache = WorkingCache.open(model.kv_shape, context.segments, self.prompt_end)
        given = [(picture, True) for picture in prompt.pictures]
        self.hidden = prefill(model, self.cache, prompt.ids, given, bar.check_cancelled)
        # Taken once: the contexts of all pictures drawn from here share it.
        self._prompt_segment = self.cache.take(0, context.num_tokens, self.prompt_end)

    def guidance(self, sampling: ImageSampling) -> dict[Branch, float]:
        """Return the branches a picture drawn now needs, with the weights of their velocities."""
        visible = self._visible
        alike = torch.equal(visible[Branch.IMAGE_ONLY], visible[Branch.UNCONDITIONAL])
        return guidance_weights(sampling, has_image_branch=not alike)

    def logits(self) -> Tensor:
        """Score the token that follows: (V,)."""
        return self.model.parts.language_model.transformer.logits(self.hidden[0])

    def decode_step(self, token: int) -> None:
        """Read one text token, behind every picture."""
        embedding = self.model.word_embeddings(torch.tensor([[token]]))
        several = embedding.expand(self.cache.batch_size, -1, -1)
        self.hidden = read(self.model, self.cache, several, self.bar.check_cancelled)

    def hand_over(self) -> Start:
        """Give the cache away to pictures that follow on it; this turn then reads no more."""
        reply = torch.ones(self.cache.length - self.prompt_end, dtype=torch.bool)
        seen = {branch: torch.cat((mask, reply)) for branch, mask in self._visible.items()}
        start = Start(self.cache, seen)
        del self.cache
        return start

    def after(self, drawing: Drawing) -> "OpenTurn":
        """Return this turn as it goes on behind a drawing, with a sequence per picture."""
        turn = copy(self)
        turn.cache, turn.hidden = drawing.cache, drawing.hidden[0]
        return turn

    def fork(self) -> "OpenTurn":
        """Return a copy that goes its own way from here."""
        twin = copy(self)
        twin.cache = self.cache.widened(self.cache.batch_size, BUCKET)
        return twin

    def close(
        self,
        reply: tuple[Part, ...],
        how: Settings,
        picture: int = 0,
        reply_ids: tuple[int, ...] = (),
    ) -> LatentContext:
        """Return the context with this turn appended, as one picture's sequence has it."""
        turn = Turn(
            parts=self.prompt.parts,
            reply=reply,
            num_prompt_tokens=len(self.prompt.ids),
            num_reply_tokens=self.cache.length - self.prompt_end,
            seed=how.seed,
            image_sampling=how.image,
            text_sampling=how.text,
            carried=self.prompt.carried,
            reply_ids=reply_ids,
        )
        reply_segment = self.cache.take(picture, self.prompt_end, self.cache.length)
        return self.context.append(turn, self._prompt_segment, reply_segment)


def refuse_too_long(
    model: MingModel, context: LatentContext, prompt: Prompt, name: str = "The prompt"
) -> None:
    """Refuse a conversation the model has no positions for, before anything is computed."""
    limit, past, own = model.config.language.max_tokens, context.num_tokens, len(prompt.ids)
    if limit is not None and past + own > limit:
        raise PromptError(
            f"{name} has {own:,} tokens and the context before it {past:,}; together the model "
            f"reads at most {limit:,}. Shorten the prompt, or begin a new conversation."
        )


def draw_from(
    turns: Sequence[OpenTurn],
    noise: Tensor,
    sampling: ImageSampling,
    replay: Replay | None = None,
) -> Iterator[Drawing]:
    """Draw pictures from noise (N, pictures, C) side by side, as many after each turn, in order.

    Yields a drawing for each turn, which goes on as `turn.after(drawing)`: caches go from the
    turns to the drawing, and from there to what comes after. All turns must need the same
    guidance branches.
    """
    first, own = turns[0], noise.shape[1] // len(turns)
    ends = [turn.cache.length for turn in turns]
    shape = (noise.shape[1], len(noise) + len((IMAGE, IMAGE_END)))
    starts = [turn.hand_over() for turn in turns]
    batch = BranchBatch(starts, first.guidance(sampling), shape)
    del starts  # what was read lies in the batch now
    drawn = draw(first.model, batch, noise, sampling, first.bar, replay)
    for index, end in enumerate(ends):
        yield drawn.part(index * own, own, end)


def reply_with_pictures(
    turns: Sequence[OpenTurn],
    seeds: Sequence[int],
    sampling: ImageSampling,
    kept: Replay | None = None,
    frame: Frame | None = None,
) -> list[Reply]:
    """Force pictures, one per seed and as many in every turn; close the turn after each.

    All are drawn side by side, so the turns must differ in their words alone. What is kept is not
    drawn anew; a frame is that of the picture they are edits of.
    """
    model, own = turns[0].model, len(seeds) // len(turns)
    replies: list[Reply] = []
    drawings = draw_from(turns, _noise(model, seeds), sampling, kept)
    for index, drawing in enumerate(drawings):
        turn = turns[index].after(drawing)
        turn.decode_step(model.tokenizer.image_end)
        for picture, seed in enumerate(seeds[index * own : (index + 1) * own]):
            features, latents = picture_of(model, drawing, picture)
            features = replace(features, frame=frame)
            how = Settings(seed, image=sampling)
            context = turn.close((Picture(features),), how, picture)
            replies.append(Reply(context, "", features, latents))
    return replies


class Answer:
    """An answer in the making: words and pictures in the order they come."""

    def __init__(self, model: MingModel) -> None:
        self._model = model
        self._parts: list[Part] = []
        self._words: list[int] = []
        self.drawn: list[tuple[Features, Latents]] = []

    def add_word(self, token: int) -> None:
        """Add one text token."""
        self._words.append(token)

    def add_picture(self, drawing: Drawing) -> None:
        """Add the picture that was just drawn; the words before it are complete."""
        self.drawn.append(picture_of(self._model, drawing, 0))
        self._parts = [*self.parts(), Picture(self.drawn[-1][0])]
        self._words = []

    def parts(self) -> tuple[Part, ...]:
        """Return the answer so far."""
        text = self._model.tokenizer.decode(self._words).strip()
        return (*self._parts, *([Text(text)] if text else []))

    def text(self) -> str:
        """Return the words so far, pictures left out."""
        return " ".join(part.text for part in self.parts() if isinstance(part, Text))


def reply_freely(turn: OpenTurn, how: Settings) -> Reply:
    """Let the model write until it ends, drawing whenever it opens an image.

    Without image settings it is kept from opening one. The last token, whatever it is, is not
    read back: the next turn follows what was read.
    """
    tokenizer, text = turn.model.tokenizer, how.text or TextSampling()
    banned = [tokenizer.image_patch] if how.image else [tokenizer.image_patch, tokenizer.image]
    sample, answer = TextSampler(text, banned), Answer(turn.model)
    read_ids: list[int] = []
    for count in range(1, text.max_tokens + 1):
        token = sample(turn.logits())
        turn.bar.update()
        if token == tokenizer.eos:
            turn.bar.skip(text.max_tokens - count)
            break
        answer.add_word(token)
        turn.bar.writing(answer.text)
        if count == text.max_tokens:
            break
        read_ids.append(token)
        if token == tokenizer.image and how.image is not None:
            # A second picture of one answer must not repeat the first one's noise.
            noise = _noise(turn.model, [how.seed + len(answer.drawn)])
            turn.bar.extend(len(noise))
            (drawing,) = draw_from([turn], noise, how.image)
            read_ids += [tokenizer.image_patch] * len(noise)
            answer.add_picture(drawing)
            turn = turn.after(drawing)
        else:
            turn.decode_step(token)
    context = turn.close(answer.parts(), how, reply_ids=tuple(read_ids))
    if not answer.drawn:
        return Reply(context, answer.text())
    features, latents = answer.drawn[0]
    return Reply(
        context,
        answer.text(),
        replace(features, values=torch.cat([drawn.values for drawn, _ in answer.drawn])),
        replace(latents, values=torch.cat([drawn.values for _, drawn in answer.drawn])),
    )


def picture_of(model: MingModel, drawing: Drawing, picture: int) -> tuple[Features, Latents]:
    """Return features and latents of one of the pictures drawn side by side, in main memory."""
    grid = model.config.language.image_grid
    one = slice(picture, picture + 1)
    features = drawing.features[one].to("cpu", copy=True)
    latents = drawing.latents[one].to("cpu", copy=True)
    if not torch.isfinite(latents).all():
        raise NumericsError(
            f"The model computed values that are no numbers in {model.dtype}. Choose bf16 or fp32; "
            "if it happens there too, the checkpoint is damaged: download it again."
        )
    return Features(features, grid, model.identity), Latents(latents, grid, model.identity)


def _noise(model: MingModel, seeds: Sequence[int]) -> Tensor:
    config = model.config
    return draw_noise(seeds, config.language.num_image_tokens, config.mingtok.latent_size)
