"""A wider language model that begins as good as the one it grew from, and carries latents.

What is new is silent at first (Net2Net, Chen et al. 2016) but for one way: what a patch's features
tell of its latents goes on in channels of its own, and a head of the first layer brings to the
place before each patch to be drawn the latents of the picture that lies before the model
(decision 0032). Without it a language model this narrow keeps what a patch shows, not where in it.
"""

from __future__ import annotations

import random
from collections.abc import Callable

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
from .teacher import PIXELS_PER_PATCH, encode

RIDGE = 1e-6
PICTURES = 2000
LATENT, BROUGHT = 1.0, 2.0  # size of latents in the residual: of a patch's own, of those brought
TOLD = 1.5  # size of those brought in what tells them to the flow head
HEARD, LAST_HEARD = 4.0, 20.0  # weights of the norms, so that layers and heads hear what is small
MATCH, LATEST = 24.0, 60.0  # scores of the right row or column, and of what was seen last
NEAR = 0.02  # how much that counts beside finding the patch
STEPS, RATE = 1500, 3e-3  # of fits that least squares begin
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
    room = 2 * now.velocity.final_linear.out_features
    if width(now) - width(before) < room or new.heads[1] == was.heads[1]:
        raise CheckpointError(
            f"a wider model needs {room} channels and a key head more than the checkpoint: it has "
            f"{width(before)} channels and {was.heads[1]} key heads, this size {width(now)} and "
            f"{new.heads[1]}. Choose the --size that it was trained with, or `wide` for `deep`."
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
    The last channels, two for each of a latent's numbers, and the last key head must be new: what
    they did is overwritten. Raises CheckpointError for heads that cannot tell all patches apart.
    """
    language = components.language_model
    sampler = TaskSampler(random.Random(seed), SceneStyle(colours=ALL_COLOURS))
    side = components.low_level_encoder.trained_grid[0]
    head = _first_layer(language).attention.head_size
    if head != HEAD or side > HEAD // 2 - SLOWER:
        raise CheckpointError(
            f"a wider model carries latents by heads {HEAD} wide of up to {HEAD // 2 - SLOWER} "
            f"patches a side; here are heads {head} wide and {side} patches. Choose the --size "
            "that the checkpoint was trained with."
        )
    shown = [brought(sampler) for _ in range(PICTURES)]
    pictures = encode(components, shown, side * PIXELS_PER_PATCH)
    size = pictures.latents.shape[-1]
    _pass_on(language, pictures.features.flatten(0, 1), pictures.latents.flatten(0, 1))
    _bring(language, pictures.features, size, image)
    told = language.condition_head.linear.weight
    quiet = torch.linalg.svd(told[:, : -2 * size]).U[:, -size:]
    told[:, -size:] = TOLD * quiet
    for path, weight in language.transformer.named_parameters():
        if path.endswith("norm.weight") and not path.startswith("layers.0.input"):
            weight[-2 * size :] = LAST_HEARD if path == "norm.weight" else HEARD


def keep_clear(language: LanguageModel, size: int) -> None:
    """Let no layer learn to write into the channels that carry latents.

    Steps of equal length in all directions (`muon.py`) would wash them out before anything reads
    them: trained otherwise, two thirds of what is brought were gone within 300 steps.
    """

    def without(gradient: Tensor) -> Tensor:
        gradient = gradient.clone()
        gradient[..., -2 * size :, :] = 0
        return gradient

    for path, weight in language.transformer.layers.named_parameters():
        if weight.requires_grad and path.removesuffix(".weight").endswith(WRITERS):
            weight.register_hook(without)


def _pass_on(language: LanguageModel, features: Tensor, latents: Tensor) -> None:
    """Let the connector pass on what features (n, D) tell of latents (n, C)."""
    size = latents.shape[-1]
    first, last = (layer for layer in language.connector.layers if isinstance(layer, nn.Linear))
    new, own = slice(-2 * size, None), slice(-2 * size, -size)
    ones = torch.ones(len(features), 1)
    told = _fitted(torch.cat((features, ones), dim=1), latents)
    # gelu(x) - gelu(-x) is x: so it begins as the best linear guess.
    begun = [torch.cat((told, -told)), torch.zeros(size, last.in_features + 1)]
    begun[1][:, -1 - 2 * size : -1] = torch.eye(size).repeat(1, 2) * torch.tensor(
        (1.0, -1.0)
    ).repeat_interleave(size)
    before = F.gelu(F.linear(features, first.weight[: -2 * size], first.bias[: -2 * size]))

    def loss(some: Tensor, inner: Tensor, outer: Tensor) -> Tensor:
        units = F.gelu(F.linear(features[some], inner[:, :-1], inner[:, -1]))
        units = torch.cat((before[some], units), dim=1)
        return F.mse_loss(F.linear(units, outer[:, :-1], outer[:, -1]), latents[some])

    inner, outer = _descended(begun, loss, len(features), 4096)
    first.weight[new], first.bias[new] = inner[:, :-1], inner[:, -1]
    last.weight[own], last.bias[own] = LATENT * outer[:, :-1], LATENT * outer[:, -1]


def _bring(language: LanguageModel, features: Tensor, size: int, image: int) -> None:
    """Let a head find the patch to be drawn next in the last picture, and bring its latents."""
    layer = _first_layer(language)
    patches = layer.input_layernorm(language.connector(features))
    words = layer.input_layernorm(language.transformer.word_embeddings.weight)
    query, key = _sharpened(*_looking(patches, words, image), patches)
    attention = layer.attention
    head, (num_queries, num_keys, _) = attention.head_size, attention.heads
    first = num_queries - num_queries // num_keys
    rows = attention.query_key_value.weight.unflatten(0, (-1, head))
    rows[first:num_queries] = query
    rows[num_queries + num_keys - 1] = key
    rows[-1] = 0
    rows[-1, :, -2 * size : -size] = torch.eye(head, size)
    written = attention.dense.weight.unflatten(1, (-1, head))
    scale = patches[..., -2 * size : -size].std()
    written[-size:, first] = BROUGHT / scale * torch.eye(size, head)


def _looking(patches: Tensor, words: Tensor, image: int) -> tuple[Tensor, Tensor]:
    """Fit the queries and keys of a head, by which every patch (P, N, H) asks for the next one.

    Words (V, H) are not looked at and ask for nothing, but for the one that begins a picture.
    """
    pictures, tokens = patches.shape[:2]
    code = _codes(tokens)
    nothing = torch.zeros(len(words), code.shape[-1])
    seen = torch.cat((patches.flatten(0, 1), words))
    key = _fitted(seen, torch.cat((code.repeat(pictures, 1), nothing)))
    asked = torch.cat((code[1:], torch.zeros_like(code[:1]))).repeat(pictures, 1)
    # It is one row among thousands, and must count as much as every first patch does.
    begin = words[image].expand(pictures, -1)
    wanted = torch.cat((asked, nothing, code[0].expand(pictures, -1)))
    return _fitted(torch.cat((seen, begin)), wanted), key


def _sharpened(query: Tensor, key: Tensor, patches: Tensor) -> tuple[Tensor, Tensor]:
    """Let queries of patches (P, N, H) find the next one more surely than least squares does.

    What is near must stay before what is far: how much of a patch they are stays what it was.
    """
    following = torch.arange(1, patches.shape[1])
    code = _codes(patches.shape[1])[0]
    rows = _codes(patches.shape[1]).amax(dim=0) > 0
    near = rows.nonzero().flatten().tolist().index(SLOW)

    def loss(some: Tensor, query: Tensor, key: Tensor) -> Tensor:
        asked, seen = (F.linear(patches[some], weight) for weight in (query, key))
        scores = asked[:, :-1] @ seen.mT / len(rows) ** 0.5
        found = F.cross_entropy(scores.transpose(1, 2), following.expand(len(some), -1))
        both = torch.cat((asked[:, :-1, near], seen[:, :-1, near]))
        return found + NEAR * (both - code[SLOW]).pow(2).mean()

    query[rows], key[rows] = _descended([query[rows], key[rows]], loss, len(patches), 64)
    return query, key


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


def _codes(patches: int) -> Tensor:
    """What a head says of each patch (N, head size): its row, its column, and that it is one."""
    side, pairs = round(patches**0.5), HEAD // 2
    index = torch.arange(patches)
    code = torch.zeros(patches, HEAD)
    root = HEAD**0.25
    code[:, SLOW] = LATEST**0.5 * root
    for first, place in ((SLOWER, index // side), (pairs + SLOWER, index % side)):
        code[index, first + place] = MATCH**0.5 * root
    return code


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
