"""A tokenizer that begins as the best linear one: principal components in, least squares out.

From random weights a tokenizer paints flat patches for hundreds of steps before it finds edges.
Principal components of patches hold the edges at once, and every stage of MingTok has a path
without a block through which they can travel: the encoder's shortcut, the semantic decoder's
repeated latents, `sem_to_pix`, the pixel decoder's head. Blocks begin as nothing (their last
matrices are small) and learn what is missing.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ming_core.univision.model import Components

from .rich_pictures import PicturePool

PICTURES = 400  # of the pool, to take components and fits from
PLACES = 2  # latent channels that begin as a patch's row and column
QUIET = 0.05  # factor for matrices that write into the residual stream
RIDGE = 1e-4


@torch.no_grad()
def start_linear(components: Components, pool: PicturePool, generator: torch.Generator) -> None:
    """Set the tokenizer's weights so that it reconstructs the pool's pictures linearly."""
    pixels = pool.take(torch.arange(min(PICTURES, len(pool)))).pixels
    encoder, semantic, decoder = (
        components.low_level_encoder,
        components.semantic_decoder,
        components.pixel_decoder,
    )
    for stage in (encoder, semantic, decoder):
        blocks: list[Any] = list(stage.blocks)
        for block in blocks:
            for layer in (block.attn.proj, getattr(block.mlp, "w3", None) or block.mlp.fc2):
                layer.weight.mul_(QUIET)
    _start_encoder(components, pixels, generator)
    raw = encoder(pixels)[:, :-1]
    semantic.in_proj.weight.mul_(QUIET)
    features = semantic(raw)
    _start_decoder(components, features, pixels)


def _start_encoder(components: Components, pixels: Tensor, generator: torch.Generator) -> None:
    """Let latents be principal components of patches, of unit spread, and the patch's place."""
    encoder = components.low_level_encoder
    channels, size = encoder.latent_size, encoder.patch_size
    patches = _patches(pixels, size).flatten(0, 1)
    mean, basis, spread = _components(patches)
    width = encoder.pos_embed.shape[-1]
    group = width // channels  # widths whose mean is a latent
    filters = basis[:, :width].T / spread[:width, None].clamp_min(0.05 * spread[channels])
    kept = channels - PLACES
    # The shortcut takes means of groups: an orthogonal mixing whose first row is constant puts
    # one leading component into a group's mean, and others into the differences.
    leading, others = filters[:kept], filters[kept:]
    leading = torch.cat((leading, torch.zeros_like(filters[:PLACES])))
    others = others[: channels * (group - 1)]
    missing = channels * (group - 1) - len(others)
    others = torch.cat((others, torch.zeros_like(filters[:1]).expand(missing, -1)))
    together = torch.cat((leading[:, None], others.unflatten(0, (channels, group - 1))), dim=1)
    mixing = _mixing(group).to(filters)
    weight = torch.einsum("gj,cjp->cgp", mixing, together).flatten(0, 1)
    encoder.patch_embed.weight.copy_(weight.view_as(encoder.patch_embed.weight))
    encoder.patch_embed.bias.copy_(-(weight @ mean))
    side = encoder.trained_grid[0]
    table = torch.randn(side * side + 1, channels, group, generator=generator).to(weight) * 0.5
    table -= table.mean(dim=-1, keepdim=True)
    line = torch.linspace(-1.5, 1.5, side, device=weight.device)
    rows, columns = line.repeat_interleave(side), line.repeat(side)
    for channel, place in zip(range(kept, channels), (rows, columns), strict=True):
        table[:-1, channel] += place[:, None]
    encoder.pos_embed.copy_(table.flatten(1)[None])
    encoder.out_proj.weight.mul_(QUIET)


def _start_decoder(components: Components, features: Tensor, pixels: Tensor) -> None:
    """Fit features to components of fine patches, and those, normed, to pixels."""
    decoder = components.pixel_decoder
    refinement, width = decoder.refinement, decoder.norm.weight.shape[0]
    fine = _patches(pixels, decoder.patch_size)  # (B, n, 3 p p)
    mean, basis, spread = _components(fine.flatten(0, 1))
    wanted = (fine - mean) @ basis[:, :width] / spread[:1]
    wanted = torch.cat((wanted, wanted.new_zeros(*wanted.shape[:2], width - wanted.shape[-1])), -1)
    side = round(wanted.shape[1] ** 0.5) // refinement
    tiles = wanted.unflatten(1, (side, refinement, side, refinement)).permute(0, 1, 3, 2, 4, 5)
    tiles = tiles.flatten(1, 2).flatten(2)  # (B, N, r r width)
    weight, bias = _least_squares(features.flatten(0, 1), tiles.flatten(0, 1))
    decoder.sem_to_pix.weight.copy_(weight)
    decoder.sem_to_pix.bias.copy_(bias)
    inputs: list[Tensor] = []
    watch = decoder.head.register_forward_pre_hook(lambda _module, args: inputs.append(args[0]))
    decoder(features, (side, side))
    watch.remove()
    targets = _patches(pixels, decoder.patch_size, channels_last=True).flatten(0, 1)
    weight, bias = _least_squares(inputs[0].flatten(0, 1), targets)
    decoder.head.weight.copy_(weight)
    decoder.head.bias.copy_(bias)


def _patches(pixels: Tensor, size: int, *, channels_last: bool = False) -> Tensor:
    """Cut pictures (B, 3, H, W) into patches (B, N, 3 size size)."""
    tiles = pixels.unflatten(2, (-1, size)).unflatten(4, (-1, size))  # B 3 rows p columns p
    order = (0, 2, 4, 3, 5, 1) if channels_last else (0, 2, 4, 1, 3, 5)
    return tiles.permute(order).flatten(3).flatten(1, 2)


def _components(patches: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return mean (D,), principal directions (D, D) in columns, and spreads (D,)."""
    mean = patches.mean(dim=0)
    centred = (patches - mean).double()
    values, vectors = torch.linalg.eigh(centred.T @ centred / len(centred))
    spread = values.clamp_min(0).sqrt().flip(0)
    return mean, vectors.flip(1).to(patches), spread.to(patches)


def _least_squares(inputs: Tensor, outputs: Tensor) -> tuple[Tensor, Tensor]:
    """Fit `outputs = inputs @ weight.T + bias` with a little ridge."""
    x_mean, y_mean = inputs.double().mean(dim=0), outputs.double().mean(dim=0)
    x, y = inputs.double() - x_mean, outputs.double() - y_mean
    square = x.T @ x / len(x)
    ridge = RIDGE * square.diagonal().mean() * torch.eye(len(square), device=x.device)
    weight = torch.linalg.solve(square + ridge, x.T @ y / len(x)).T
    return weight.to(inputs), (y_mean - weight @ x_mean).to(inputs)


def _mixing(size: int) -> Tensor:
    """Return a matrix whose first column is all ones, and whose others have mean zero."""
    start = torch.eye(size)
    start[:, 0] = 1
    ways, _ = torch.linalg.qr(start)
    ways = ways * size**0.5
    return ways * ways[0, 0].sign()
