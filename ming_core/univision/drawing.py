"""Drawing pictures: one visual token after another, for all guidance branches side by side.

Per decode step: hidden states -> condition -> flow head -> latent -> semantic decoder ->
connector -> next hidden states (SPEC section 5, "Generating an image").
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ..graph import Repeated, recorder_for
from ..kv_cache import WorkingCache, token_cache
from ..pixels import to_image
from ..progress import Callback, ProgressBar, no_callback
from ..sampling import seeded_generator
from .flow.sampler import LatentSampler
from .guidance import Branch
from .language_model.transformer import Step
from .model import Components, MingModel
from .sampling import ImageSampling


@dataclass(frozen=True, slots=True)
class Drawing:
    """Pictures just drawn side by side, and the state in which drawing left the model.

    latents (pictures, N, C) normalised, features (pictures, N, D)
    hidden (branches, pictures, H) after the last visual token
    cache  the sequences of the full branch, one per picture
    """

    latents: Tensor
    features: Tensor
    hidden: Tensor
    cache: WorkingCache

    def part(self, start: int, pictures: int, prompt_end: int) -> "Drawing":
        """Return so many pictures from `start` on, which followed on `prompt_end` tokens."""
        some = slice(start, start + pictures)
        cache = self.cache.sequences(start, pictures)
        drawn = 1 + self.latents.shape[1]  # the opened image, then its patches
        return Drawing(
            self.latents[some],
            self.features[some],
            self.hidden[:, some],
            cache.without_gap(prompt_end, cache.length - drawn),
        )


@dataclass(frozen=True, slots=True)
class Start:
    """What a picture follows on: a cache of one sequence, and what each branch sees of it.

    seen  per branch (length,) booleans
    """

    cache: WorkingCache
    seen: Mapping[Branch, Tensor]


@dataclass(frozen=True, slots=True)
class Replay:
    """Latents (N, C) that are fed back instead of the drawn ones, where `is_replayed` (N,) says so.

    A record to compare against is replayed as a whole; of a picture to edit, what is to stay.
    """

    latents: Tensor
    is_replayed: Tensor

    @classmethod
    def whole(cls, latents: Tensor) -> "Replay":
        """Feed back all of them."""
        return cls(latents, torch.ones(len(latents), dtype=torch.bool, device=latents.device))

    def at(self, index: Tensor, drawn: Tensor) -> Tensor:
        """Return what is fed back of a token (1,) that was drawn as latents (pictures, C)."""
        is_replayed, latents = (t.index_select(0, index) for t in (self.is_replayed, self.latents))
        return torch.where(is_replayed[:, None], latents, drawn)

    def to(self, device: torch.device) -> "Replay":
        """Return the same on a device."""
        return Replay(self.latents.to(device), self.is_replayed.to(device))


def draw_noise(seeds: Sequence[int], num_tokens: int, channels: int) -> Tensor:
    """Draw the noise of whole pictures up front: (num_tokens, pictures, channels) on the CPU.

    A picture's noise depends on its own seed alone: it is the same on any device, drawn alone or
    in a batch.
    """
    noises = (torch.randn(num_tokens, channels, generator=seeded_generator(s)) for s in seeds)
    return torch.stack(tuple(noises), dim=1)


class DrawnToken(Step):
    """A step of one token each, which `seen` (batch, L) tells of as well; numbers to be added."""

    def visible(self, tokens: int, cache: WorkingCache) -> Tensor | None:  # noqa: ARG002  as in Step
        """Return what is seen, as a mask (batch, 1, L)."""
        return None if self.seen is None else self.seen[:, None]


class BranchBatch:
    """The batch of a drawing, branch by branch: what each sequence sees, and where it writes."""

    def __init__(
        self,
        starts: Sequence[Start],
        weights: Mapping[Branch, float],
        shape: tuple[int, int],
    ) -> None:
        """Give every picture a sequence per weighted branch.

        starts   what the pictures follow on: one for all, or one for each
        weights  of the branches' velocities
        shape    pictures, and tokens there must be room for
        """
        pictures, room = shape
        self.weights = list(weights.values())
        self.shape = (len(weights), pictures)
        kv_shape = starts[0].cache.shape
        length = max(start.cache.length for start in starts)
        own = [
            F.pad(start.seen[branch], (0, length - start.cache.length))
            for branch in weights
            for start in starts
        ]
        each = pictures // len(starts)
        seen = torch.stack(own).repeat_interleave(each, dim=0).to(kv_shape.device)
        self.cache = token_cache(kv_shape, len(seen), length + room)
        caches = [start.cache for start in starts for _ in range(each)] * len(weights)
        self.cache.start_as(caches if len(starts) > 1 else caches[:1])
        # A sequence's position is the number of tokens it sees before it, so a branch with hidden
        # stretches counts on from a smaller number than the full branch.
        self._next = seen.sum(dim=1, keepdim=True)
        size = (len(seen), self.cache.capacity)
        self._mask = torch.full(size, -torch.inf, dtype=kv_shape.dtype, device=seen.device)
        self._mask[:, : seen.shape[1]].masked_fill_(seen, 0)

    def step(self) -> Step:
        """Return positions and visibility of every next token, until `advance`."""
        return DrawnToken(self._next, self.cache.uncover(self._mask))

    def advance(self) -> None:
        """Go on to the token after; the steps returned before it are worth nothing then."""
        self._next += 1


class DecodeState:
    """Pictures in the making: what a decode step reads and changes.

    Everything that a token changes stays where it is in memory, and a step counts tokens on the
    device: so a step can be recorded, and running the record draws the token after.
    """

    def __init__(
        self,
        model: MingModel,
        batch: BranchBatch,
        noise: Tensor,
        sampling: ImageSampling,
        bar: ProgressBar,
        replay: Replay | None = None,
    ) -> None:
        """Open pictures for tokens of the given noise; the other arguments are those of `draw`."""
        self.model, self.batch, self.bar = model, batch, bar
        self.parts = model.parts
        num_tokens, pictures, channels = noise.shape
        start = torch.tensor([[model.tokenizer.image]])
        embedding = model.word_embeddings(start).expand(pictures, -1, -1)
        self.hidden = self._read(embedding, bar.check_cancelled)
        self.num_drawn = 0
        self._noise = noise.to(model.device)
        self._replay = None if replay is None else replay.to(model.device)
        self._sample = LatentSampler(
            self.parts.language_model.velocity,
            sampling,
            batch.weights,
            like=self.hidden,
            schedules=model.schedules,
        )
        semantic = self.parts.semantic_decoder
        self._semantic_cache = semantic.new_cache(pictures, num_tokens, like=embedding)
        self._index = torch.zeros(1, dtype=torch.long, device=model.device)
        width = model.config.mingtok.semantic.width
        self.latents = self._noise.new_empty(pictures, num_tokens, channels)
        self.features = embedding.new_empty(pictures, num_tokens, width)

    def decode_step(self, callback: Callback = no_callback) -> None:
        """Draw the next token of every picture, read it in every branch; on the device alone."""
        language, index = self.parts.language_model, self._index
        condition = language.condition_head(self.hidden)
        latents = self._sample(condition, self._noise.index_select(0, index)[0])
        fed_back = latents if self._replay is None else self._replay.at(index, latents)
        features = self.model.expand(fed_back[:, None], self._semantic_cache)
        self.latents.index_copy_(1, index, latents[:, None])
        self.features.index_copy_(1, index, features)
        self.hidden.copy_(self._read(language.connector(features), callback))
        index += 1

    @property
    def num_paintable(self) -> int:
        """Visual tokens that painting now would decode: those of finished rows, of all pictures."""
        columns = self.model.config.language.image_grid[1]
        return self.num_drawn // columns * columns * self.batch.shape[1]

    @property
    def version(self) -> int:
        """A figure that changes when painting would show something new: a further row."""
        return self.num_paintable

    def paint(self) -> Tensor:
        """Decode the rows of tokens drawn so far: host images, grey where nothing is drawn yet."""
        rows, columns = self.model.config.language.image_grid
        size = self.model.edit_size
        images = torch.full((self.batch.shape[1], size, size, 3), 0.5)
        done = self.num_drawn // columns
        if done:
            features = self.features[:, : done * columns]
            pixels = self.parts.pixel_decoder(features, (done, columns), self.bar.check_cancelled)
            images[:, : done * size // rows] = to_image(pixels)
        return images

    def _read(self, embeddings: Tensor, callback: Callback) -> Tensor:
        """Read one embedding per picture (pictures, 1, H) in every branch."""
        branches, pictures = self.batch.shape
        repeated, step = embeddings.repeat(branches, 1, 1), self.batch.step()
        hidden = self.parts.language_model.transformer(repeated, self.batch.cache, step, callback)
        self.batch.advance()
        return hidden.view(branches, pictures, -1)


def draw(
    model: MingModel,
    batch: BranchBatch,
    noise: Tensor,
    sampling: ImageSampling,
    bar: ProgressBar,
    replay: Replay | None = None,
) -> Drawing:
    """Draw pictures side by side in N decode steps, each in one sequence per guidance branch.

    noise   (N, pictures, C) of all visual tokens
    replay  latents to feed back instead of drawn ones; the drawn ones are returned all the same

    On a device that can, tokens are recorded and replayed (docs/decisions/0017).
    """
    state = DecodeState(model, batch, noise, sampling, bar, replay)
    device = state.hidden.device  # with its number, which the model's may lack
    transformer = model.parts.language_model.transformer
    is_recordable = transformer.is_recordable(batch.cache.batch_size)
    recorder = recorder_for(device) if is_recordable else None
    step = Repeated(state.decode_step, weights_of(model.parts), device, recorder)
    for _ in range(len(noise)):
        step(bar.check_cancelled)
        state.num_drawn += 1
        bar.update()
        bar.drawing(state)
    return Drawing(
        latents=state.latents,
        features=state.features,
        hidden=state.hidden,
        cache=batch.cache.sequences(0, batch.shape[1]),
    )


def weights_of(parts: Components) -> Iterator[Tensor]:
    """Yield every tensor of the model that drawing a token reads."""
    language = parts.language_model
    transformer = language.transformer
    reading = (transformer.layers, transformer.norm, language.connector, parts.semantic_decoder)
    for module in (*reading, language.condition_head, language.velocity):
        yield from module.parameters()
        yield from module.buffers()
