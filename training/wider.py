"""A wider language model that begins as good as the one it grew from, and carries latents.

What is new is silent at first (Net2Net, Chen et al. 2016) but for one way: what a patch's features
tell of its latents goes on in channels of its own, and a head of the first layer brings to the
place before each patch to be drawn the latents of the picture that lies before the model
(decision 0032). Without it a language model this narrow keeps what a patch shows, not where in it.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ming_core import CheckpointError
from ming_core.univision.language_model.attention import Attention
from ming_core.univision.language_model.transformer import Layer
from ming_core.univision.model import Components, LanguageModel
from ming_shapes.scene import ALL_COLOURS, SceneStyle
from ming_shapes.tasks import TaskSampler

from .people import brought
from .teacher import PIXELS_PER_PATCH, Pictures, encode

RIDGE = 1e-6
PICTURES = 6000
LATENT, BROUGHT = 1.0, 2.0  # size of latents in the residual: of a patch's own, of those brought
TOLD = 1.5  # size of those brought in what tells them to the flow head
HEARD, LAST_HEARD = 4.0, 20.0  # weights of the norms, so that layers and heads hear what is small
MATCH, LATEST = 32.0, 60.0  # scores of the right row or column, and of what was seen last
QUIET, FOUND, CODES = 0.3, 1.0, 0.02  # how much background, finding patches and their names count
WRONG = 0.3  # most noise on latents that are fed back
STEPS, RATE = 8000, 3e-3  # of the fit that least squares begin
HEAD = 32  # width of the head that brings latents
SLOW, SLOWER = 9, 10  # pairs of a head that turn so slowly that they tell what is near, and nothing
WRITERS = ("attention.dense", "down_proj", "mlp.down")  # layers that write to the residual
OF_HEADS = "attention.query_key_value.weight"


def widened(
    weights: dict[str, Tensor], before: LanguageModel, now: LanguageModel
) -> dict[str, Tensor]:
    """Return a language model's weights for a wider one of as many layers.

    New channels are written by nothing and read by nothing; new heads look where the first ones do
    and write nothing. What differs in anything else stays as it is, and does not fit. Raises
    CheckpointError where what is new has no room for latents to be carried.
    """
    share = width(before) / width(now)
    was, new = (_first_layer(model).attention for model in (before, now))
    if share >= 1 or was.head_size != new.head_size:
        return weights
    needed = room(now)
    if width(now) - width(before) < needed or new.heads[1] == was.heads[1]:
        raise CheckpointError(
            f"a wider model needs {needed} channels and a key head more than the checkpoint: it "
            f"has {width(before)} channels and {was.heads[1]} key heads, this size {width(now)} "
            f"and {new.heads[1]}. Choose the --size that it was trained with, or `wide` for `deep`."
        )
    own, result = now.state_dict(), dict[str, Tensor]()
    grown = {(width(before), width(now)), (was.dense.in_features, new.dense.in_features)}
    for path, tensor in weights.items():
        known = _with_heads(tensor, was, new) if path.endswith(OF_HEADS) else tensor
        result[path] = _padded(known, own[path].shape, grown)
        if path.startswith("transformer") and path.endswith("norm.weight"):
            # The mean square is taken over more channels, of which the new ones are nothing.
            result[path] *= share**0.5
            result[path][width(before) :] = 1.0
    return result


@torch.no_grad()
def carry_latents(components: Components, image: int, seed: int) -> None:
    """Let the channels beyond those that a model grew from carry latents (decision 0032).

    image  the id of the token after which a picture begins
    The last channels (`room`), as many of the connector's units and the last key head must be new:
    what they did is overwritten. Raises CheckpointError for heads that cannot tell all patches
    apart.
    """
    language = components.language_model
    side = components.low_level_encoder.trained_grid[0]
    head = _first_layer(language).attention.head_size
    if head != HEAD or side > HEAD // 2 - SLOWER:
        raise CheckpointError(
            f"a wider model carries latents by heads {HEAD} wide of up to {HEAD // 2 - SLOWER} "
            f"patches a side; here are heads {head} wide and {side} patches. Choose the --size "
            "that the checkpoint was trained with."
        )
    device = language.get_parameter("transformer.norm.weight").device
    for module in components.named().values():
        module.cpu()  # seconds of work, and the same weights wherever it is trained
    pictures = _seen(components, side, seed)
    size = pictures.latents.shape[-1]
    begin = _pass_on(language, pictures)
    _bring(language, pictures, image, begin)
    told = language.condition_head.linear.weight
    quiet = torch.linalg.svd(told[:, : -2 * size]).U[:, -size:]
    told[:, -size:] = TOLD * quiet
    for path, weight in language.transformer.named_parameters():
        if path.endswith("norm.weight") and not path.startswith("layers.0.input"):
            weight[-2 * size :] = LAST_HEARD if path == "norm.weight" else HEARD
    for module in components.named().values():
        module.to(device)


def _seen(components: Components, side: int, seed: int) -> Pictures:
    """Return pictures as they are given, and as they are drawn, fed back not quite right."""
    sampler = TaskSampler(random.Random(seed), SceneStyle(colours=ALL_COLOURS), most_things=5)
    shown = [brought(sampler) for _ in range(PICTURES)]
    plain = [replace(one, wear=None) for one in shown]
    generator = torch.Generator().manual_seed(seed)
    noise = torch.rand(len(shown), 1, 1, generator=generator) * WRONG
    channels = components.low_level_encoder.latent_size
    noise = noise * torch.randn(len(shown), side * side, channels, generator=generator)
    given = encode(components, shown, side * PIXELS_PER_PATCH)
    drawn = encode(components, plain, side * PIXELS_PER_PATCH, noise, is_drawn=True)
    return Pictures(
        torch.cat((given.latents, drawn.latents)),
        torch.cat((given.features, drawn.features)),
        torch.cat((given.is_busy, drawn.is_busy)),
        {},
    )


def keep_clear(language: LanguageModel) -> None:
    """Let no layer and no word learn to write into the channels that carry latents.

    Steps of equal length in all directions (`muon.py`) would wash them out before anything reads
    them: trained otherwise, two thirds of what is brought were gone within 300 steps.
    """

    size = language.velocity.final_linear.out_features

    def without(gradient: Tensor) -> Tensor:
        gradient = gradient.clone()
        gradient[..., -2 * size :, :] = 0
        return gradient

    def wordless(gradient: Tensor) -> Tensor:
        gradient = gradient.clone()
        gradient[:, -room(language) :] = 0
        return gradient

    language.transformer.word_embeddings.weight.register_hook(wordless)
    for path, weight in language.transformer.layers.named_parameters():
        if weight.requires_grad and path.removesuffix(".weight").endswith(WRITERS):
            weight.register_hook(without)


def _pass_on(language: LanguageModel, pictures: Pictures) -> Tensor:
    """Let the connector pass on what features tell of latents, of the patch and of the next one;
    return what asks for the first patch."""
    features, latents = pictures.features.flatten(0, 1), pictures.latents.flatten(0, 1)
    size, count = latents.shape[-1], len(pictures.features)
    codes = _codes(pictures.features.shape[1]).repeat(count, 1)
    wide = codes.shape[-1]
    first, last = (layer for layer in language.connector.layers if isinstance(layer, nn.Linear))
    ones = torch.ones(len(features), 1)
    told = _fitted(torch.cat((features, ones), dim=1), torch.cat((latents, codes), dim=1))
    # gelu(x) - gelu(-x) is x: so it begins as the best linear guess of latents.
    inner = torch.cat((told[size:], told[:size], -told[:size]))
    outer = torch.zeros(size + wide, last.in_features + 1)
    new = slice(last.in_features - len(inner), last.in_features)
    outer[size:, new.start : new.start + wide] = torch.eye(wide)
    outer[:size, new.start + wide : new.stop] = torch.cat(
        (torch.eye(size), -torch.eye(size)), dim=1
    )
    before = F.gelu(F.linear(pictures.features, first.weight[: new.start], first.bias[: new.start]))
    weight = torch.where(pictures.is_busy, 1.0, QUIET)[..., None]
    code = codes[: pictures.features.shape[1]]
    begin, following = code[0, : wide // 2], torch.arange(len(code))

    def loss(some: Tensor, inner: Tensor, outer: Tensor, begin: Tensor) -> Tensor:
        units = F.gelu(F.linear(pictures.features[some], inner[:, :-1], inner[:, -1]))
        units = torch.cat((before[some], units), dim=-1)
        told = F.linear(units, outer[:, :-1], outer[:, -1])
        errors = (told[..., :size] - pictures.latents[some]).pow(2) * weight[some]
        own, after = told[..., size:].chunk(2, dim=-1)
        asked = torch.cat((begin.expand(len(some), 1, -1), after[:, :-1]), dim=1)
        scores = MATCH * asked @ own.mT
        found = F.cross_entropy(scores.transpose(1, 2), following.expand(len(some), -1))
        return errors.mean() + FOUND * found + CODES * (told[..., size:] - code).pow(2).mean()

    begun = [inner, outer, begin]
    inner, outer, begin = _descended(begun, loss, len(pictures.features), 96)
    first.weight[new], first.bias[new] = inner[:, :-1], inner[:, -1]
    place = _place(last.out_features, size, wide)
    rows = torch.cat((_own(last.out_features, size), place))
    last.weight[rows], last.bias[rows] = LATENT * outer[:, :-1], LATENT * outer[:, -1]
    one = place[0] - 1  # the channel before tells that it is a patch at all
    last.weight[one], last.bias[one] = 0.0, 1.0
    return begin


def _bring(language: LanguageModel, pictures: Pictures, image: int, begin: Tensor) -> None:
    """Let a head find the patch to be drawn next in the last picture, and bring its latents."""
    layer = _first_layer(language)
    attention, size = layer.attention, pictures.latents.shape[-1]
    side = round(pictures.features.shape[1] ** 0.5)
    embeddings = language.connector(pictures.features)
    place = _place(embeddings.shape[-1], size, 4 * side)
    patches = layer.input_layernorm(embeddings)
    one = patches[..., place[0] - 1].mean()  # what a code's one is after the norm
    # The token before a picture asks for the first patch: the codes of what comes next are its own.
    words = language.transformer.word_embeddings.weight
    scale = words[image].pow(2).mean().sqrt() / layer.input_layernorm.weight[place[0]]
    words[image, place[2 * side :]] = one * scale * begin
    words[image, place[0] - 1] = one * scale
    head, (num_queries, num_keys, _) = attention.head_size, attention.heads
    first = num_queries - num_queries // num_keys
    rows = attention.query_key_value.weight.unflatten(0, (-1, head))
    rows[first:num_queries] = rows[num_queries + num_keys - 1] = rows[-1] = 0
    root = head**0.25 / one
    for row, channels in (
        (rows[num_queries + num_keys - 1], place[: 2 * side]),
        *((rows[query], place[2 * side :]) for query in range(first, num_queries)),
    ):
        for at, some in ((SLOWER, channels[:side]), (head // 2 + SLOWER, channels[side:])):
            row[torch.arange(at, at + side), some] = MATCH**0.5 * root
        row[SLOW, place[0] - 1] = LATEST**0.5 * root
    rows[-1][torch.arange(size), _own(embeddings.shape[-1], size)] = 1.0
    written = attention.dense.weight.unflatten(1, (-1, head))
    scale = patches[..., _own(embeddings.shape[-1], size)].std()
    written[-size:, first] = BROUGHT / scale * torch.eye(size, head)


def room(language: LanguageModel) -> int:
    """Return how many channels carry latents, which patch it is, which is next, and that it is."""
    return 2 * language.velocity.final_linear.out_features + 4 * (HEAD // 2 - SLOWER) + 1


def _own(width: int, size: int) -> Tensor:
    """Channels of a patch's own latents; those brought to it follow."""
    return torch.arange(width - 2 * size, width - size)


def _place(width: int, size: int, wide: int) -> Tensor:
    """Channels of which patch it is, and which is next."""
    return torch.arange(width - 2 * size - wide, width - 2 * size)


def _codes(patches: int) -> Tensor:
    """What is said of each patch (N, 4 side): its row, its column, and those of the next one."""
    side = round(patches**0.5)
    index = torch.arange(patches)
    known = [F.one_hot(place, side) for place in (index // side, index % side)]
    after = [(F.one_hot((index + 1) // side, side + 1)[:, :side]), known[1].roll(1, dims=1)]
    after[1] = after[1] * after[0].sum(1, keepdim=True)
    return torch.cat((*known, *after), dim=1).float()


def _descended(
    begun: list[Tensor], loss: Callable[..., Tensor], count: int, batch: int
) -> list[Tensor]:
    """Lower `loss`, which is given the numbers of some of `count` examples, and the weights."""
    weights = [weight.clone().requires_grad_() for weight in begun]
    optimiser = torch.optim.Adam(weights)
    generator = torch.Generator().manual_seed(0)
    with torch.enable_grad():
        for step in range(STEPS):
            optimiser.param_groups[0]["lr"] = RATE * (1 - step / STEPS)
            optimiser.zero_grad()
            loss(torch.randint(count, (batch,), generator=generator), *weights).backward()
            optimiser.step()
    return [weight.detach() for weight in weights]


def _fitted(x: Tensor, y: Tensor) -> Tensor:
    """Return the weights (Y, X) by which y (n, Y) is told best from x (n, X)."""
    x, y = x.double(), y.double()
    square = x.T @ x / len(x)
    ridge = RIDGE * square.diagonal().mean() * torch.eye(len(square), dtype=square.dtype)
    return torch.linalg.solve(square + ridge, x.T @ y / len(x)).T.float()


def _first_layer(language: LanguageModel) -> Layer:
    return next(layer for layer in language.transformer.layers if isinstance(layer, Layer))


def width(language: LanguageModel) -> int:
    """Return how many channels a language model has."""
    return language.get_parameter("transformer.norm.weight").shape[0]


def _with_heads(weight: Tensor, before: Attention, now: Attention) -> Tensor:
    """Add copies of the first heads to the queries, keys and values of (heads * size, H)."""
    parts = weight.unflatten(0, (-1, before.head_size)).split(before.heads)
    added = [
        torch.cat((old, old[: new - len(old)])) for old, new in zip(parts, now.heads, strict=True)
    ]
    return torch.cat(added).flatten(0, 1)


def _padded(tensor: Tensor, shape: torch.Size, grown: set[tuple[int, int]]) -> Tensor:
    """Add zeros up to a shape, if all that differs are sizes that have grown."""
    pairs = list(zip(tensor.shape, shape, strict=True))
    if any(before != after and (before, after) not in grown for before, after in pairs):
        return tensor
    return F.pad(tensor, [n for before, after in reversed(pairs) for n in (0, after - before)])
