"""Random Ming-Lite-Uni checkpoints in the published layout, of any size and variant.

Pictures are noise and texts gibberish, but every tensor name, shape and file of the layout is
there. Knows nothing about the engine. The same variant and seed give the same bytes.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import BPE
from torch import Tensor

Shape = tuple[int, ...]
Shapes = Iterator[tuple[str, Shape]]

TEMPLATE = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_ADDED = (
    "[item] <html> </html> <body> </body> <table> </table> <tr> </tr> <td> </td> <think> "
    "</think> <answer> </answer> <imagePatch> <image> </image> <video> </video> "
    "<gen_imagePatch> <gen_image> </gen_image> <imageHere> <end_of_chunk> <end_of_audio> "
    "<audioPatch> <audio> </audio> <gen_audioPatch> <gen_audio> </gen_audio> <audioHere> "
    "<framePatch>"
)
ADDED = _ADDED.split()
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
FLOW_FILE = {"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 3.0}
DPM_FILE = {
    "_class_name": "DPMSolverMultistepScheduler",
    "flow_shift": 3.0,
    "use_flow_sigmas": True,
    "lambda_min_clipped": -math.inf,
}


@dataclass(frozen=True)
class Tower:
    """Sizes of the vision tower."""

    depth: int = 2
    width: int = 32
    heads: int = 2
    mlp: int = 40
    out: int = 24
    window: int = 112
    full: tuple[int, ...] = (1,)


@dataclass(frozen=True)
class Qwen:
    """Sizes of a Qwen2 decoder."""

    width: int = 128
    layers: int = 1
    heads: int = 1
    kv_heads: int = 1
    mlp: int = 48
    vocab: int = 320
    theta: float = 1e6
    eps: float = 1e-6
    tied: bool = False


@dataclass(frozen=True)
class Sana:
    """Sizes of the diffusion transformer."""

    layers: int = 2
    heads: int = 3
    head: int = 8
    cross_heads: int = 2
    cross_head: int = 16
    mlp_ratio: float = 2.5
    sample_size: int = 16
    attention_bias: bool = False
    affine: bool = False


@dataclass(frozen=True)
class Vae:
    """Sizes of the autoencoder; the lists begin with the finest stage."""

    latent: int = 4
    channels: tuple[int, ...] = (4, 4, 8, 8, 8, 16)
    blocks: tuple[int, ...] = (1, 1, 1, 1, 1, 1)
    attentive: tuple[bool, ...] = (False, False, False, True, True, True)
    kernels: tuple[tuple[int, ...], ...] = ((), (), (), (5,), (5,), (5,))
    head: int = 4
    scaling_factor: float = 0.5
    upsampling: str = "interpolate"
    activation: str = "silu"


@dataclass(frozen=True)
class Variant:
    """What a checkpoint looks like.

    nested      the tower's config lies under `vision_config`
    shards      folders whose weights lie in two files with an index
    overriding  tensors of the transformer that `mlp/` holds once more, to win over the others
    dropped     keys left out of transformer/config.json
    added       whether the tokenizer holds the published additions
    """

    tower: Tower = Tower()
    language: Qwen = Qwen(width=256, layers=2, heads=2)
    connector: Qwen = Qwen(width=32, heads=4, kv_heads=2, vocab=8)
    sana: Sana = Sana()
    vae: Vae = Vae()
    head: int = 16
    caption: int = 20
    scales: tuple[int, ...] = (4, 8, 16)
    scheduler: Mapping[str, object] = field(default_factory=lambda: FLOW_FILE)
    nested: bool = False
    shards: tuple[str, ...] = ()
    overriding: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    added: bool = True
    eos: object = None
    dtype: torch.dtype = torch.bfloat16


def make_tiny(folder: Path, variant: Variant = Variant(), seed: int = 0) -> Path:
    """Write the seven folders into `folder`; return it."""
    generator = torch.Generator().manual_seed(seed)
    sana = dict(_transformer(variant))
    overriding = [(f"sana.{name}", sana[name]) for name in variant.overriding]
    parts = {
        "qwen2_5_vit": _tower(variant.tower),
        "qwen2_5_llm": _qwen(variant.language),
        "connector": _qwen(variant.connector),
        "mlp": iter([*_glue(variant), *overriding]),
        "transformer": iter(sana.items()),
        "vae": _autoencoder(variant.vae),
    }
    for name, shapes in parts.items():
        tensors = {key: _drawn(key, shape, generator) for key, shape in shapes}
        stem = "diffusion_pytorch_model" if name in ("transformer", "vae") else "model"
        tensors = {key: tensor.to(variant.dtype) for key, tensor in tensors.items()}
        _save(folder / name, stem, tensors, 2 if name in variant.shards else 1)
    for name, values in _configs(variant).items():
        _write(folder / name, values)
    _write_tokenizer(folder / "qwen2_5_llm", variant.added)
    return folder


def _write(path: Path, values: Mapping[str, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values, indent=1), encoding="utf-8")


def _save(folder: Path, stem: str, tensors: dict[str, Tensor], files: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if files == 1:
        save_file(tensors, folder / f"{stem}.safetensors", metadata={"format": "pt"})
        return
    homes: dict[str, str] = {}
    for number in range(files):
        home = f"{stem}-{number + 1:05}-of-{files:05}.safetensors"
        part = {name: tensors[name] for name in sorted(tensors)[number::files]}
        save_file(part, folder / home, metadata={"format": "pt"})
        homes |= dict.fromkeys(part, home)
    size = sum(tensor.nbytes for tensor in tensors.values())
    index = {"metadata": {"total_size": size}, "weight_map": homes}
    _write(folder / f"{stem}.safetensors.index.json", index)


def _drawn(name: str, shape: Shape, generator: torch.Generator) -> Tensor:
    """Draw a tensor of a size that keeps activations near 1."""
    noise = torch.randn(shape, generator=generator)
    if name.endswith("bias"):
        return 0.1 * noise
    if len(shape) == 1:
        return 1 + 0.1 * noise
    if "scale_shift_table" in name or "query_tokens" in name:
        return noise / math.sqrt(shape[-1])
    return noise / math.sqrt(math.prod(shape[1:]))


def _linear(name: str, inputs: int, outputs: int, *, bias: bool = True) -> Shapes:
    yield f"{name}.weight", (outputs, inputs)
    if bias:
        yield f"{name}.bias", (outputs,)


def _conv(name: str, inputs: int, outputs: int, side: int, *, bias: bool = True) -> Shapes:
    """A convolution; inputs are those of one group."""
    yield f"{name}.weight", (outputs, inputs, side, side)
    if bias:
        yield f"{name}.bias", (outputs,)


def _norm(name: str, width: int) -> Shapes:
    yield f"{name}.weight", (width,)
    yield f"{name}.bias", (width,)


def _tower(tower: Tower) -> Shapes:
    yield "patch_embed.proj.weight", (tower.width, 3, 2, 14, 14)
    for index in range(tower.depth):
        block = f"blocks.{index}"
        yield f"{block}.norm1.weight", (tower.width,)
        yield f"{block}.norm2.weight", (tower.width,)
        yield from _linear(f"{block}.attn.qkv", tower.width, 3 * tower.width)
        yield from _linear(f"{block}.attn.proj", tower.width, tower.width)
        yield from _linear(f"{block}.mlp.gate_proj", tower.width, tower.mlp)
        yield from _linear(f"{block}.mlp.up_proj", tower.width, tower.mlp)
        yield from _linear(f"{block}.mlp.down_proj", tower.mlp, tower.width)
    yield "merger.ln_q.weight", (tower.width,)
    yield from _linear("merger.mlp.0", 4 * tower.width, 4 * tower.width)
    yield from _linear("merger.mlp.2", 4 * tower.width, tower.out)


def _qwen(qwen: Qwen) -> Shapes:
    head = qwen.width // qwen.heads
    yield "model.embed_tokens.weight", (qwen.vocab, qwen.width)
    for index in range(qwen.layers):
        layer = f"model.layers.{index}"
        yield f"{layer}.input_layernorm.weight", (qwen.width,)
        yield f"{layer}.post_attention_layernorm.weight", (qwen.width,)
        yield from _linear(f"{layer}.self_attn.q_proj", qwen.width, qwen.width)
        yield from _linear(f"{layer}.self_attn.k_proj", qwen.width, qwen.kv_heads * head)
        yield from _linear(f"{layer}.self_attn.v_proj", qwen.width, qwen.kv_heads * head)
        yield from _linear(f"{layer}.self_attn.o_proj", qwen.width, qwen.width, bias=False)
        yield from _linear(f"{layer}.mlp.gate_proj", qwen.width, qwen.mlp, bias=False)
        yield from _linear(f"{layer}.mlp.up_proj", qwen.width, qwen.mlp, bias=False)
        yield from _linear(f"{layer}.mlp.down_proj", qwen.mlp, qwen.width, bias=False)
    yield "model.norm.weight", (qwen.width,)
    if not qwen.tied:
        yield "lm_head.weight", (qwen.vocab, qwen.width)


def _glue(variant: Variant) -> Shapes:
    hidden, inner = variant.language.width, variant.connector.width
    yield from _linear("linear_proj.0", variant.tower.out, hidden)
    yield from _linear("linear_proj.2", hidden, hidden)
    yield from _linear("proj_in", hidden, inner)
    yield from _linear("proj_out", inner, hidden)
    for scale in variant.scales:
        yield f"query_tokens_dict.{scale}x{scale}", (scale * scale, hidden)
    yield from _linear("mlp.fc1", hidden, variant.head)
    yield from _linear("mlp.fc2", variant.head, variant.caption)
    yield from _norm("mlp.layer_norm1", variant.head)
    yield from _norm("mlp.layer_norm2", variant.caption)


def _gated(name: str, width: int, hidden: int) -> Shapes:
    yield from _conv(f"{name}.conv_inverted", width, 2 * hidden, 1)
    yield from _conv(f"{name}.conv_depth", 1, 2 * hidden, 3)
    yield from _conv(f"{name}.conv_point", hidden, width, 1, bias=False)


def _transformer(variant: Variant) -> Shapes:
    sana = variant.sana
    width, inner = sana.heads * sana.head, sana.cross_heads * sana.cross_head
    yield from _conv("patch_embed.proj", variant.vae.latent, width, 1)
    yield from _linear("time_embed.emb.timestep_embedder.linear_1", 256, width)
    yield from _linear("time_embed.emb.timestep_embedder.linear_2", width, width)
    yield from _linear("time_embed.linear", width, 6 * width)
    yield from _linear("caption_projection.linear_1", variant.caption, width)
    yield from _linear("caption_projection.linear_2", width, width)
    yield "caption_norm.weight", (width,)
    for index in range(sana.layers):
        block = f"transformer_blocks.{index}"
        yield f"{block}.scale_shift_table", (6, width)
        for name in "qkv":
            yield from _linear(f"{block}.attn1.to_{name}", width, width, bias=sana.attention_bias)
            yield from _linear(f"{block}.attn2.to_{name}", width, inner)
        yield from _linear(f"{block}.attn1.to_out.0", width, width)
        yield from _linear(f"{block}.attn2.to_out.0", inner, width)
        if sana.affine:
            yield from _norm(f"{block}.norm2", width)
        yield from _gated(f"{block}.ff", width, int(sana.mlp_ratio * width))
    yield "scale_shift_table", (2, width)
    yield from _linear("proj_out", width, variant.vae.latent)


def _vae_block(name: str, vae: Vae, stage: int) -> Shapes:
    width = vae.channels[stage]
    if not vae.attentive[stage]:
        yield from _conv(f"{name}.conv1", width, width, 3)
        yield from _conv(f"{name}.conv2", width, width, 3, bias=False)
        yield from _norm(f"{name}.norm", width)
        return
    inner = width // vae.head * vae.head
    for part in "qkv":
        yield from _linear(f"{name}.attn.to_{part}", width, inner, bias=False)
    for index, side in enumerate(vae.kernels[stage]):
        scale = f"{name}.attn.to_qkv_multiscale.{index}"
        yield from _conv(f"{scale}.proj_in", 1, 3 * inner, side, bias=False)
        yield from _conv(f"{scale}.proj_out", vae.head, 3 * inner, 1, bias=False)
    seen = (1 + len(vae.kernels[stage])) * inner
    yield from _linear(f"{name}.attn.to_out", seen, width, bias=False)
    yield from _norm(f"{name}.attn.norm_out", width)
    yield from _gated(f"{name}.conv_out", width, 4 * width)
    yield from _norm(f"{name}.conv_out.norm", width)


def _autoencoder(vae: Vae) -> Shapes:
    last = len(vae.channels) - 1
    shuffled = 4 if vae.upsampling == "pixel_shuffle" else 1
    yield from _conv("encoder.conv_in", 3, vae.channels[0], 3)
    yield from _conv("encoder.conv_out", vae.channels[last], vae.latent, 3)
    yield from _conv("decoder.conv_in", vae.latent, vae.channels[last], 3)
    yield from _norm("decoder.norm_out", vae.channels[0])
    yield from _conv("decoder.conv_out", vae.channels[0], 3, 3)
    for stage, (width, blocks) in enumerate(zip(vae.channels, vae.blocks, strict=True)):
        first = 0 if stage == last else 1
        if stage < last:
            finer, coarser = width, vae.channels[stage + 1]
            yield from _conv(f"encoder.down_blocks.{stage}.{blocks}.conv", finer, coarser, 3)
            conv = f"decoder.up_blocks.{stage}.0.conv"
            yield from _conv(conv, coarser, shuffled * finer, 3)
        for index in range(blocks):
            yield from _vae_block(f"encoder.down_blocks.{stage}.{index}", vae, stage)
            yield from _vae_block(f"decoder.up_blocks.{stage}.{first + index}", vae, stage)


def _qwen_config(qwen: Qwen) -> dict[str, object]:
    return {
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "hidden_act": "silu",
        "hidden_size": qwen.width,
        "intermediate_size": qwen.mlp,
        "num_hidden_layers": qwen.layers,
        "num_attention_heads": qwen.heads,
        "num_key_value_heads": qwen.kv_heads,
        "max_position_embeddings": 32768,
        "rms_norm_eps": qwen.eps,
        "rope_theta": qwen.theta,
        "tie_word_embeddings": qwen.tied,
        "use_sliding_window": False,
        "vocab_size": qwen.vocab,
    }


def _configs(variant: Variant) -> dict[str, Mapping[str, object]]:
    tower, sana, vae = variant.tower, variant.sana, variant.vae
    vision: dict[str, object] = {
        "depth": tower.depth,
        "hidden_act": "silu",
        "hidden_size": tower.width,
        "intermediate_size": tower.mlp,
        "num_heads": tower.heads,
        "in_chans": 3,
        "out_hidden_size": tower.out,
        "patch_size": 14,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
        "window_size": tower.window,
        "fullatt_block_indexes": list(tower.full),
    }
    transformer: dict[str, object] = {
        "_class_name": "SanaTransformer2DModel",
        "in_channels": vae.latent,
        "out_channels": vae.latent,
        "num_layers": sana.layers,
        "num_attention_heads": sana.heads,
        "attention_head_dim": sana.head,
        "num_cross_attention_heads": sana.cross_heads,
        "cross_attention_head_dim": sana.cross_head,
        "cross_attention_dim": sana.heads * sana.head,
        "caption_channels": variant.caption,
        "mlp_ratio": sana.mlp_ratio,
        "sample_size": sana.sample_size,
        "attention_bias": sana.attention_bias,
        "norm_elementwise_affine": sana.affine,
        "guidance_embeds": False,
        "interpolation_scale": None,
        "norm_eps": 1e-6,
        "patch_size": 1,
        "qk_norm": None,
        "timestep_scale": 1.0,
    }
    kinds = ["EfficientViTBlock" if attentive else "ResBlock" for attentive in vae.attentive]
    autoencoder: dict[str, object] = {
        "_class_name": "AutoencoderDC",
        "in_channels": 3,
        "latent_channels": vae.latent,
        "attention_head_dim": vae.head,
        "scaling_factor": vae.scaling_factor,
        "upsample_block_type": vae.upsampling,
        "downsample_block_type": "Conv",
        "decoder_norm_types": "rms_norm",
        "decoder_act_fns": vae.activation,
    }
    for side in ("encoder", "decoder"):
        autoencoder[f"{side}_block_types"] = kinds
        autoencoder[f"{side}_block_out_channels"] = list(vae.channels)
        autoencoder[f"{side}_layers_per_block"] = list(vae.blocks)
        autoencoder[f"{side}_qkv_multiscales"] = [list(sides) for sides in vae.kernels]
    language = _qwen_config(variant.language) | {"audio_vocab_size": 4099, "use_llm_3drope": True}
    configs: dict[str, Mapping[str, object]] = {
        "qwen2_5_vit/config.json": {"vision_config": vision} if variant.nested else vision,
        "qwen2_5_llm/config.json": language | {"audio_id_shift": 151699},
        "connector/config.json": _qwen_config(variant.connector),
        "transformer/config.json": {
            key: value for key, value in transformer.items() if key not in variant.dropped
        },
        "vae/config.json": autoencoder,
        "scheduler/scheduler_config.json": variant.scheduler,
    }
    if variant.eos is not None:
        configs["qwen2_5_llm/generation_config.json"] = {"eos_token_id": variant.eos}
    return configs


def _write_tokenizer(folder: Path, added: bool) -> None:
    """Write a byte-level tokenizer with a few merges."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("Ġ", "t"), ("h", "e"), ("Ġt", "he"), ("i", "n")]
    vocab = {token: number for number, token in enumerate([*letters, *map("".join, merges)])}
    tokenizer = Tokenizer(BPE(vocab, merges))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    special = [*TEMPLATE, *ADDED] if added else TEMPLATE
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in special])
    tokenizer.save(str(folder / "tokenizer.json"))
