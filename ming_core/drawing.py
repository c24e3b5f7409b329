"""Drawing pictures: one visual token after another, for all guidance branches side by side.

Per token: hidden states -> condition -> flow head -> latent -> semantic decoder -> connector ->
next hidden states (SPEC section 5, "Generating an image").
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .flow.sampler import LatentSampler
from .guidance import Branch
from .kv_cache import WorkingCache
from .language_model.transformer import Step
from .model import MingModel
from .pixels import to_image
from .progress import Meter
from .sampling import ImageSampling, seeded_generator


@dataclass(frozen=True, slots=True)
class Drawing:
    """Pictures just drawn side by side, and the state in which drawing left the model.

    latents (pictures, N, C) normalised, features (pictures, N, D)
    hidden (branches, pictures, H) after the last visual token
    cache  the rows of the full branch, one per picture
    """

    latents: Tensor
    features: Tensor
    hidden: Tensor
    cache: WorkingCache


def draw_noise(seeds: Sequence[int], num_tokens: int, channels: int) -> Tensor:
    """Draw the noise of whole pictures up front: (num_tokens, pictures, channels) on the CPU.

    A picture's noise depends on its own seed alone: it is the same on any device, drawn alone or
    in a batch.
    """
    noises = (torch.randn(num_tokens, channels, generator=seeded_generator(s)) for s in seeds)
    return torch.stack(tuple(noises), dim=1)


class BranchRows:
    """The rows of a drawing, branch by branch: what each sees and at which positions it writes."""

    def __init__(
        self,
        cache: WorkingCache,
        weights: Mapping[Branch, float],
        seen: Mapping[Branch, Tensor],
        shape: tuple[int, int],
    ) -> None:
        """Give every picture a row per weighted branch, all starting as the one row of `cache`.

        weights  of the branches' velocities; seen  what each sees of the cache: (length,) booleans
        shape    pictures, and tokens there must be room for
        """
        pictures, room = shape
        self.weights = list(weights.values())
        self.shape = (len(weights), pictures)
        rows = torch.stack([seen[branch] for branch in weights]).repeat_interleave(pictures, dim=0)
        rows = rows.to(cache.shape.device)
        # A row's position is the number of tokens it sees before it, so a branch with hidden
        # stretches counts on from a smaller number than the full branch.
        self._next = rows.sum(dim=1, keepdim=True)
        drawn = torch.ones(len(rows), room, dtype=torch.bool, device=rows.device)
        self._seen = torch.cat((rows, drawn), dim=1)
        self.cache = cache.widened(len(rows), room)

    def step(self) -> Step:
        """Return positions and visibility of the next token of every row."""
        step = Step(self._next, self._seen[:, : self.cache.length])
        self._next = self._next + 1
        return step


class Canvas:
    """Pictures in the making: feeds visual tokens to every row and grows their features."""

    def __init__(self, model: MingModel, rows: BranchRows, num_tokens: int, meter: Meter) -> None:
        self.model, self.rows, self.meter = model, rows, meter
        self.parts = model.parts
        start = torch.tensor([[model.tokenizer.image]])
        embedding = model.word_embeddings(start).expand(rows.shape[1], -1, -1)
        self.hidden = self._read(embedding)
        self._semantic_cache = self.parts.semantic_decoder.new_cache(
            rows.shape[1], num_tokens, like=embedding
        )
        self.latents: list[Tensor] = []
        self.features: list[Tensor] = []

    def condition(self) -> Tensor:
        """Return the flow head's conditions (branches, pictures, W) for the next token."""
        return self.parts.language_model.condition_head(self.hidden)

    def add(self, latents: Tensor, fed_back: Tensor) -> None:
        """Keep each picture's next latent (pictures, C) and read what is fed back of it."""
        features = self.model.expand(fed_back[:, None], self._semantic_cache)
        self.latents.append(latents)
        self.features.append(features)
        self.hidden = self._read(self.parts.language_model.connector(features))

    @property
    def num_paintable(self) -> int:
        """Visual tokens that painting now would decode: those of finished rows, of all pictures."""
        columns = self.model.config.language.image_grid[1]
        return len(self.features) // columns * columns * self.rows.shape[1]

    def paint(self) -> Tensor:
        """Decode the rows of tokens drawn so far: host images, grey where nothing is drawn yet."""
        rows, columns = self.model.config.language.image_grid
        size = self.model.edit_size
        images = torch.full((self.rows.shape[1], size, size, 3), 0.5)
        done = len(self.features) // columns
        if done:
            features = torch.cat(self.features[: done * columns], dim=1)
            pixels = self.parts.pixel_decoder(features, (done, columns), self.meter.check_cancelled)
            images[:, : done * size // rows] = to_image(pixels)
        return images

    def _read(self, embeddings: Tensor) -> Tensor:
        """Read one embedding per picture (pictures, 1, H) in every branch."""
        branches, pictures = self.rows.shape
        rows = embeddings.repeat(branches, 1, 1)
        step = self.rows.step()
        transformer = self.parts.language_model.transformer
        hidden = transformer(rows, self.rows.cache, step, self.meter)
        return hidden.view(branches, pictures, -1)


def draw(
    model: MingModel,
    rows: BranchRows,
    noise: Tensor,
    sampling: ImageSampling,
    meter: Meter,
    replay: Tensor | None = None,
) -> Drawing:
    """Draw pictures side by side, each in a row per guidance branch.

    noise   (N, pictures, C) of all visual tokens
    replay  (N, C) latents to feed back instead of the drawn ones, to compare against a record
    """
    num_tokens, pictures, _ = noise.shape
    canvas = Canvas(model, rows, num_tokens, meter)
    velocity = model.parts.language_model.velocity
    sample = LatentSampler(velocity, sampling, rows.weights, like=canvas.hidden)
    noise = noise.to(model.device)
    for index in range(num_tokens):
        latents = sample(canvas.condition(), noise[index])
        canvas.add(latents, latents if replay is None else replay[index : index + 1].to(latents))
        meter.tick()
        meter.drawing(canvas)
    return Drawing(
        latents=torch.stack(canvas.latents, dim=1),
        features=torch.cat(canvas.features, dim=1),
        hidden=canvas.hidden,
        cache=rows.cache.first_rows(pictures),
    )
