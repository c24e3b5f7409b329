"""One batched, differentiable forward over whole conversations, through the engine's modules.

The right answers are fed (teacher forcing), so hidden states and conditions are those the
engine's cached generation has when it draws exactly these latents.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from ming_core.kv_cache import WorkingCache
from ming_core.univision.flow.head import VelocityNetwork
from ming_core.univision.language_model.transformer import Step
from ming_core.univision.mingtok.low_level_encoder import LowLevelEncoder
from ming_core.univision.model import Components
from ming_shapes.render import Rendering, pack, render
from ming_shapes.scene import Scene
from ming_shapes.tasks import Shown
from ming_shapes.wear import worn

from .probes import meant_truth, patch_truth
from .sequences import IGNORED, Batch

PIXELS_PER_PATCH = 16
CHUNK, DEVICE_CHUNK = 32, 1024  # pictures at a time; few on a CPU, so that they stay in its cache
BUSY = 0.004  # share of a patch that a thing must cover to get more draws
VISIBLE = 0.02  # of 2, the range of pixels: what differs less from the background is background


class NoCache(WorkingCache):
    """A cache for no later call: every layer sees the keys and values of this forward alone.

    The values of the layers from one on are kept to be looked at: (B, kv_heads, L, head_size) each.
    """

    def __init__(self, kept_from: int) -> None:  # no buffers on purpose
        self.kept_from = kept_from
        self.told: list[Tensor] = []

    def write(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Return what was given."""
        if layer >= self.kept_from:
            self.told.append(values)
        return keys, values

    def advance(self, num_tokens: int) -> None:
        """Nothing to count."""


@dataclass(frozen=True)
class WholeStep(Step):
    """A step whose visibility is given as one mask (rows, T, T)."""

    mask: Tensor | None = None

    def visible(self, tokens: int, cache: WorkingCache) -> Tensor | None:  # noqa: ARG002
        """Return the mask."""
        return self.mask


@dataclass
class Pictures:
    """Pictures as the model has them: normalised latents (P, N, C), features, busy patches, and
    what is true of every patch (`patch_truth`)."""

    latents: Tensor
    features: Tensor
    is_busy: Tensor
    truth: dict[str, Tensor]


@torch.no_grad()
def encode(
    components: Components,
    shown: list[Shown],
    size: int,
    noise: Tensor | None = None,
    *,
    is_drawn: bool = False,
    rendered_size: int = 0,
) -> Pictures:
    """Render and encode pictures; `noise` (P, N, C) is added to what is fed back alone.

    Where pictures are those to be drawn, empty patches tell nothing of what comes after them.
    Those rendered at another size than `size` are resized to it, as a user's pictures are.
    """
    encoder, semantic = components.low_level_encoder, components.semantic_decoder
    device = encoder.pos_embed.device
    latents, busy, truths = [], [], []
    chunk = CHUNK if device.type == "cpu" else DEVICE_CHUNK
    for start in range(0, len(shown), chunk):
        some = shown[start : start + chunk]
        tensors = pack([s.scene for s in some], [s.effect for s in some], [s.marked for s in some])
        tensors = tensors.to(device)
        drawn = _resized(_worn(render(tensors, rendered_size or size), some), size)
        found = encoder.normalised(encoder(drawn.pixels)[:, :-1].float())
        latents.append(_without_foresight(encoder, some, drawn, found) if is_drawn else found)
        covered = F.avg_pool2d(drawn.coverage.amax(1, keepdim=True), PIXELS_PER_PATCH)
        busy.append(covered.flatten(1) > BUSY)
        truths.append(patch_truth(tensors, drawn, size // PIXELS_PER_PATCH))
        if is_drawn:
            meant = [s.meant for s in some]
            truths[-1]["meant"] = meant_truth(meant, size // PIXELS_PER_PATCH, device)
    values = torch.cat(latents)
    fed = values if noise is None else values + noise
    truth = {name: torch.cat([known[name] for known in truths]) for name in truths[0]}
    return Pictures(values, semantic(semantic.raw(fed)).float(), torch.cat(busy), truth)


def _resized(drawn: Rendering, size: int) -> Rendering:
    """Resize as Encode Image to Latent does: bicubic, with all pixels that a new one covers."""
    if drawn.pixels.shape[-1] == size:
        return drawn
    pixels, coverage = (
        F.interpolate(picture, (size, size), mode="bicubic", antialias=True)
        for picture in (drawn.pixels, drawn.coverage)
    )
    return Rendering(pixels.clamp(-1, 1), coverage.clamp(0, 1))


def _without_foresight(
    encoder: LowLevelEncoder, shown: list[Shown], drawn: Rendering, latents: Tensor
) -> Tensor:
    """Give every patch that shows nothing but background the latents of an empty picture's.

    The encoder sees whole pictures, so the latents of the empty first row tell where the thing
    below it is. A model that is fed right answers learns to read that instead of the prompt, and
    has nothing to read when it draws alone (training/README.md).
    """
    grounds = [(s.scene.background, s.scene.gradient, s.scene.tint) for s in shown]
    kinds = sorted(set(grounds))
    which = [kinds.index(ground) for ground in grounds]
    scenes = pack([Scene(background, (), gradient, tint) for background, gradient, tint in kinds])
    empty = render(scenes.to(latents.device), drawn.pixels.shape[-1]).pixels
    known = encoder.normalised(encoder(empty)[:, :-1].float())[which]
    differs = (drawn.pixels - empty[which]).abs().amax(1, keepdim=True)
    is_empty = F.max_pool2d(differs, PIXELS_PER_PATCH).flatten(1) < VISIBLE
    return torch.where(is_empty[..., None], known, latents)


def _worn(drawn: Rendering, shown: list[Shown]) -> Rendering:
    """Let given pictures be as worn as they are."""
    if not any(s.wear for s in shown):
        return drawn
    pairs = zip(drawn.pixels, shown, strict=True)
    pixels = torch.stack([worn(pixels, s.wear) for pixels, s in pairs])
    return replace(drawn, pixels=pixels)


@dataclass
class Read:
    """What a forward gives: hidden states (B, L, H), what every token tells those after it in each
    layer of the second half (layers, B, L, kv_heads * head_size), and the drawn pictures."""

    hidden: Tensor
    told: Tensor
    drawn: Pictures | None


def read(
    components: Components,
    batch: Batch,
    feedback: Tensor | None = None,
    drawn: Pictures | None = None,
) -> Read:
    """Read whole conversations; feedback (P, N, C) is noise on the drawn pictures fed back.

    `drawn` are the batch's drawn pictures where they are known from before.
    """
    language = components.language_model
    side = components.low_level_encoder.trained_grid[0]
    size = side * PIXELS_PER_PATCH
    embeddings = language.transformer.word_embeddings(batch.ids)
    is_given = torch.zeros_like(batch.ids, dtype=torch.bool)
    if batch.given:
        given_size = round(batch.given_tokens**0.5) * PIXELS_PER_PATCH
        features = encode(
            components, batch.given, given_size, rendered_size=batch.rendered_size
        ).features
        slots = _slots(batch.given_slots, batch.given_tokens)
        embeddings = _placed(embeddings, slots, language.connector(features))
        is_given.view(-1)[slots] = True
    if batch.drawn:
        drawn = drawn or encode(components, batch.drawn, size, feedback, is_drawn=True)
        slots = _slots(batch.drawn_slots, side * side)
        embeddings = _placed(embeddings, slots, language.connector(drawn.features))
    step = WholeStep(batch.positions, None, is_given, batch.visible())
    cache = NoCache(len(language.transformer.layers) // 2)
    hidden = language.transformer(embeddings, cache, step)
    return Read(hidden, torch.stack(cache.told).transpose(2, 3).flatten(3), drawn)


def _slots(first: Tensor, tokens: int) -> Tensor:
    """Flat positions of all patches of pictures that begin at `first`."""
    return (first[:, None] + torch.arange(tokens, device=first.device)).flatten()


def _placed(embeddings: Tensor, slots: Tensor, values: Tensor) -> Tensor:
    """Put visual embeddings (P, N, H) at flat positions."""
    flat = embeddings.flatten(0, 1)
    values = values.flatten(0, 1).to(flat.dtype)
    return flat.index_copy(0, slots, values).view_as(embeddings)


def conditions(components: Components, hidden: Tensor, batch: Batch, tokens: int) -> Tensor:
    """Return the flow head's conditions (P, N, W) of every drawn patch.

    A patch is predicted from the position before it.
    """
    flat = hidden.flatten(0, 1)[_slots(batch.drawn_slots - 1, tokens)]
    head = components.language_model.condition_head
    return head(flat).unflatten(0, (len(batch.drawn), tokens))


@dataclass
class FlowDraws:
    """How many times of the flow each patch is trained at: plain ones, those with a thing, and
    those with one thing in front of another, which are few and of which there are most kinds."""

    plain: int = 1
    busy: int = 6
    nested: int = 24


def flow_loss(
    network: VelocityNetwork,
    z: Tensor,
    drawn: Pictures,
    is_learnt: Tensor,
    draws: FlowDraws,
    generator: torch.Generator,
) -> Tensor:
    """Mean squared error of the velocity at random times, over the learnt pictures' patches.

    However often a patch is tried, it counts once: were patches with a thing to count more, a
    prompt that leaves open where things lie would bring more of them than it asks for.
    """
    nested = drawn.truth["has_inner"] > 0
    known = (drawn.latents, z, drawn.is_busy, nested)
    x0, z, busy, nested = (t[is_learnt].flatten(0, 1) for t in known)
    repeats = torch.where(nested, draws.nested, torch.where(busy, draws.busy, draws.plain))
    rows = torch.repeat_interleave(torch.arange(len(x0), device=x0.device), repeats)
    errors = flow_errors(network, x0[rows], network.cond_embed(z)[rows], generator)
    return (errors / repeats[rows]).sum() / len(x0)


def flow_errors(
    network: VelocityNetwork, x0: Tensor, embedded: Tensor, generator: torch.Generator
) -> Tensor:
    """Squared errors (n) of the velocity at random times of latents (n, C), under embedded
    conditions (n, W)."""
    noise = torch.randn(x0.shape, generator=generator).to(x0.device)
    t = torch.sigmoid(torch.randn(len(x0), generator=generator)).to(x0.device)
    x_t = (1 - t[:, None]) * x0 + t[:, None] * noise
    modulation = network.modulate(network.time_embed(t, embedded.dtype) + embedded)
    return (network(x_t, modulation) - (x0 - noise)).pow(2).mean(-1)


def word_losses(components: Components, hidden: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """Cross entropy of answers, and of what follows as a matter of course (`</image>`, end)."""
    chosen = batch.labels != IGNORED
    if not chosen.any():
        # Through the head: all processes of a run must have gradients of the same weights.
        nothing = components.language_model.transformer.logits(hidden[:1, :1]).sum() * 0
        return nothing, nothing
    logits = components.language_model.transformer.logits(hidden[chosen])
    each = F.cross_entropy(logits, batch.labels[chosen], reduction="none")
    answers = batch.is_answer[chosen]
    some = answers.float().sum().clamp(min=1)
    rest = (~answers).float().sum().clamp(min=1)
    return (each * answers).sum() / some, (each * ~answers).sum() / rest
