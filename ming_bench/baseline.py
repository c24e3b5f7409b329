"""The published algorithm, written plainly: what `ming bench` compares the engine with.

Same weights, same numbers, the published way of working: caches that grow by concatenation, every
guidance row through every part, all of the head's conditioning in every Euler step, and a Python
loop over experts of separate matrices. The one sample that it draws and throws away at the end of a
picture is left out: in short runs it would count for too much.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F

from ming_core.kv_cache import WorkingCache
from ming_core.layers import Rotary
from ming_core.univision.flow.head import ResBlock, VelocityNetwork
from ming_core.univision.guidance import Branch
from ming_core.univision.language_model.experts import MixtureOfExperts
from ming_core.univision.language_model.transformer import Layer, Transformer
from ming_core.univision.mingtok.blocks import VisionBlock
from ming_core.univision.mingtok.semantic_decoder import SemanticDecoder
from ming_core.univision.model import MingModel
from ming_core.univision.sampling import ImageSampling

from .clock import HEAD, LANGUAGE, REST, SEMANTIC, TOKEN, Mark


@dataclass
class GrowingCache:
    """Keys and values per layer, concatenated anew for every token."""

    keys: dict[int, Tensor] = field(default_factory=dict)
    values: dict[int, Tensor] = field(default_factory=dict)

    def add(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Append (rows, heads, T, d) and return all of the layer."""
        if layer in self.keys:
            keys = torch.cat((self.keys[layer], keys), dim=2)
            values = torch.cat((self.values[layer], values), dim=2)
        self.keys[layer], self.values[layer] = keys, values
        return keys, values


def attend(q: Tensor, k: Tensor, v: Tensor, visible: Tensor | None) -> Tensor:
    """Attend with key/value heads repeated for every query head: returns (rows, T, H * d)."""
    groups = q.shape[1] // k.shape[1]
    k, v = k.repeat_interleave(groups, dim=1), v.repeat_interleave(groups, dim=1)
    mask = None if visible is None else visible[:, None]
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    return out.transpose(1, 2).flatten(2)


def mixture(moe: MixtureOfExperts, x: Tensor) -> Tensor:
    """Sort the tokens by expert and loop over all experts, one small matrix after another."""
    tokens = x.flatten(0, 1)
    weights, chosen = moe.text_router(tokens).softmax(dim=-1, dtype=torch.float32).topk(moe.top_k)
    if moe.norm_topk_prob:
        weights = weights / weights.sum(dim=-1, keepdim=True)
    order = chosen.flatten().argsort(stable=True)
    ordered = tokens[order // moe.top_k]
    sent = chosen.new_zeros(len(tokens), len(moe.gate_up.weight)).scatter_(1, chosen, 1)
    counts: list[int] = sent.sum(dim=0).tolist()
    outputs: list[Tensor] = []
    start = 0
    for expert, count in enumerate(counts):
        if not count:
            continue
        part = ordered[start : start + count]
        gate, up = moe.gate_up.weight[expert].chunk(2)
        hidden = F.silu(F.linear(part, gate)) * F.linear(part, up)
        outputs.append(F.linear(hidden, moe.down.weight[expert]))
        start += count
    sorted_out = torch.cat(outputs)
    out = torch.empty_like(sorted_out)
    out[order] = sorted_out
    routed = out.view(*chosen.shape, -1).float() * weights[..., None]
    return (routed.sum(dim=1).to(x.dtype) + moe.shared_experts(tokens)).view_as(x)


def layer_step(
    layer: Layer, x: Tensor, rotary: Rotary, visible: Tensor, cache: GrowingCache, index: int
) -> Tensor:
    """One block of the language model on one token of every row."""
    attention = layer.attention
    normed = layer.input_layernorm(x)
    heads = attention.query_key_value(normed).unflatten(-1, (-1, attention.head_size))
    q, k, v = heads.transpose(1, 2).split(attention.heads, dim=1)
    k, v = cache.add(index, rotary(k), v)
    x = x + attention.dense(attend(rotary(q), k, v, visible))
    return x + mixture(layer.mlp, layer.post_attention_layernorm(x))


class BaselineRows:
    """The language model's rows: every branch with a copy of the whole cache."""

    def __init__(self, model: Transformer, cache: WorkingCache, seen: Tensor) -> None:
        rows = len(seen)
        self.model, self.cache, self.visible = model, GrowingCache(), seen
        for layer in range(len(model.layers)):
            keys = cache.keys[layer, :, :, : cache.length].repeat(rows, 1, 1, 1)
            values = cache.values[layer, :, :, : cache.length].repeat(rows, 1, 1, 1)
            self.cache.add(layer, keys, values)

    def read(self, embeddings: Tensor) -> Tensor:
        """Read one embedding (rows, 1, H) in every row: hidden states (rows, H)."""
        config = self.model.config
        self.visible = torch.cat((self.visible, self.visible.new_ones(len(embeddings), 1)), dim=1)
        positions = self.visible.long().cumsum(dim=-1)[:, -1:] - 1
        rotary = Rotary(config.head_size, config.rope_theta, positions)
        x, visible = embeddings, self.visible[:, None]
        for index, layer in enumerate(self.model.layers):
            assert isinstance(layer, Layer)  # noqa: S101  for the type checker
            x = layer_step(layer, x, rotary, visible, self.cache, index)
        return self.model.norm(x)[:, -1]


def velocity(network: VelocityNetwork, x: Tensor, t: Tensor, z: Tensor) -> Tensor:
    """Evaluate the velocity with all of its conditioning, block by block."""
    y = F.silu(network.time_embed(t, z.dtype) + network.cond_embed(z))
    weights = network.modulation.weight.split(network.block_sizes)
    biases = network.modulation.bias.split(network.block_sizes)
    h = network.input_proj(x.to(z.dtype))
    for index, block in enumerate(network.res_blocks):
        assert isinstance(block, ResBlock)  # noqa: S101  for the type checker
        shift, scale, gate = F.linear(y, weights[index], biases[index]).chunk(3, dim=-1)
        h = h + gate * block.mlp(block.in_ln(h) * (1 + scale) + shift)
    shift, scale = F.linear(y, weights[-1], biases[-1]).chunk(2, dim=-1)
    return network.final_linear(network.final_norm(h) * (1 + scale) + shift).float()


def sample(
    network: VelocityNetwork, z: Tensor, noise: Tensor, branches: list[Branch], how: ImageSampling
) -> Tensor:
    """Integrate by Euler with x and the noise repeated in every row: latents (rows, C)."""
    rows, text, image = len(z), how.text_guidance, how.image_guidance
    x = noise.repeat(rows, 1) * how.temperature
    for index in range(how.steps):
        t = torch.full((rows,), 1 - index / how.steps, device=z.device)
        v = dict(zip(branches, velocity(network, x, t, z), strict=True))
        full, bare = v[Branch.FULL], v.get(Branch.UNCONDITIONAL, v[Branch.FULL])
        if Branch.IMAGE_ONLY in v:
            seen = v[Branch.IMAGE_ONLY]
            guided = bare + image * (seen - bare) + text * (full - seen)
        else:
            guided = bare + text * (full - bare)
        x = x + guided.repeat(rows, 1) / how.steps
    return x


def expand(decoder: SemanticDecoder, raw: Tensor, cache: GrowingCache) -> Tensor:
    """Expand one raw latent (rows, 1, C) of every row, its cache concatenated."""
    x = decoder.in_proj(raw) + raw.repeat_interleave(decoder.repeats, dim=-1)
    for index, block in enumerate(decoder.blocks):
        assert isinstance(block, VisionBlock)  # noqa: S101  for the type checker
        attention = block.attn
        packed = attention.qkv(block.norm1(x)).unflatten(-1, (3, attention.num_heads, -1))
        q, k, v = packed.permute(2, 0, 3, 1, 4)
        k, v = cache.add(index, k, v)
        x = x + attention.proj(attend(q, k, v, None))
        x = x + block.mlp(block.norm2(x))
    return decoder.norm(x)


def draw_baseline(  # noqa: PLR0913  mirrors the engine's draw
    model: MingModel,
    cache: WorkingCache,
    seen: Mapping[Branch, Tensor],
    noise: Tensor,
    how: ImageSampling,
    mark: Mark,
) -> Tensor:
    """Draw one picture from noise (N, C) by Euler steps; returns latents (N, C).

    `seen` names the branches and what each sees of the one row of `cache`; `mark` is called where
    a part of a token begins, and where a token ends.
    """
    language, branches = model.parts.language_model, list(seen)
    rows = BaselineRows(language.transformer, cache, torch.stack(list(seen.values())))
    start = model.word_embeddings(torch.tensor([[model.tokenizer.image]]))
    hidden = rows.read(start.repeat(len(branches), 1, 1))
    decoder, semantic = model.parts.semantic_decoder, GrowingCache()
    latents: list[Tensor] = []
    for index in range(len(noise)):
        mark(HEAD)
        z = language.condition_head(hidden)
        drawn = sample(language.velocity, z, noise[index : index + 1], branches, how)
        latents.append(drawn[0])
        mark(SEMANTIC)
        expanded = expand(decoder, decoder.raw(drawn[:, None]).to(model.dtype), semantic)
        mark(REST)
        embeddings = language.connector(expanded)
        mark(LANGUAGE)
        hidden = rows.read(embeddings)
        mark(TOKEN)
    return torch.stack(latents)
