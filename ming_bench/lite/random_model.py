"""Ming-Lite-Uni with random weights of any size, made in memory: no checkpoint file needed."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import BPE
from torch import Tensor

from ming_core.config_section import Section
from ming_core.lite_uni.config import LiteUniConfig
from ming_core.lite_uni.diffusion_config import AutoencoderConfig, DiffusionConfig
from ming_core.lite_uni.glue import GlueConfig
from ming_core.lite_uni.model import LiteUniModel, Parts
from ming_core.lite_uni.qwen import QwenConfig
from ming_core.lite_uni.schedule import Schedule
from ming_core.lite_uni.sequence import MARKUP, MEDIA, TEMPLATE, LiteTokenizer
from ming_core.lite_uni.vision import VisionConfig
from ming_core.operations import TorchOperations

SCALES = (4, 8, 16)
HEAD_SIZE = 128  # of the language model: three-axis positions are made for it
TABLE_SCALE = 0.3  # of shifts, scales and gates


@dataclass(frozen=True, slots=True)
class Sizes:
    """Widths and depths: (width, layers, hidden width) of each part, channels of the decoder."""

    vision: tuple[int, int, int]
    language: tuple[int, int, int]
    connector: tuple[int, int, int]
    diffusion: tuple[int, int]
    channels: tuple[int, ...]
    latent_channels: int = 32


# quick  as small as the recorded checkpoints
# mid    a size that one CPU thread can time, with about the published shares of the stages
SIZES: Mapping[str, Sizes] = {
    "quick": Sizes((64, 4, 96), (256, 2, 192), (64, 2, 96), (64, 2), (8, 8, 8, 8, 16, 16), 8),
    "mid": Sizes(
        (320, 4, 864), (512, 4, 1536), (256, 4, 768), (384, 6), (16, 32, 64, 64, 128, 128)
    ),
}


def config_of(sizes: Sizes) -> LiteUniConfig:
    """Return the published figures, but for widths and depths."""
    width, layers = sizes.diffusion
    vision = dict(zip(("hidden_size", "depth", "intermediate_size"), sizes.vision, strict=True))
    vision |= {"num_heads": 4, "out_hidden_size": 2 * sizes.vision[0]}
    last = sizes.vision[1] - 1
    transformer = {"in_channels": sizes.latent_channels, "num_layers": layers, "sample_size": 16}
    transformer |= {"num_attention_heads": width // 32, "attention_head_dim": 32}
    transformer |= {"num_cross_attention_heads": width // 64, "cross_attention_head_dim": 64}
    transformer |= {"cross_attention_dim": width, "caption_channels": width}
    stages = len(sizes.channels)
    decoder = {
        "latent_channels": sizes.latent_channels,
        "attention_head_dim": 8,
        "upsample_block_type": "interpolate",
        "decoder_block_out_channels": list(sizes.channels),
        "decoder_layers_per_block": [1] * stages,
        "decoder_block_types": ["ResBlock"] * 3 + ["EfficientViTBlock"] * (stages - 3),
    }
    config = LiteUniConfig(
        VisionConfig.read(Section(vision | {"fullatt_block_indexes": [last]}, "vit")),
        _qwen(sizes.language, sizes.language[0] // HEAD_SIZE, 1),
        _qwen(sizes.connector, 4, 2),
        GlueConfig(
            2 * sizes.vision[0], sizes.language[0], sizes.connector[0], width // 2, width, SCALES
        ),
        DiffusionConfig.read(Section(transformer, "transformer")),
        AutoencoderConfig.read(Section(decoder, "vae")),
        Schedule(),
        frozenset(),
    )
    config.check()
    return config


def _qwen(sizes: tuple[int, int, int], heads: int, kv_heads: int) -> QwenConfig:
    figures = dict(
        zip(("hidden_size", "num_hidden_layers", "intermediate_size"), sizes, strict=True)
    )
    figures |= {"vocab_size": 512, "num_attention_heads": heads, "num_key_value_heads": kv_heads}
    return QwenConfig.read(Section(figures, "qwen2"))


def random_model(sizes: Sizes, seed: int = 0) -> LiteUniModel:
    """Fill a model with seeded fp32 weights that keep the size of what passes through."""
    config = config_of(sizes)
    parts = Parts.build(config, TorchOperations, torch.float32)
    generator = torch.Generator().manual_seed(seed)
    for module in parts.named().values():
        module.to_empty(device="cpu").requires_grad_(requires_grad=False).eval()
        for name, parameter in module.named_parameters():
            parameter.data = _weights(name, parameter.shape, generator)
    return LiteUniModel("random", config, _tokenizer(), parts, torch.float32)


def _weights(name: str, shape: torch.Size, generator: torch.Generator) -> Tensor:
    if name.endswith("table"):
        return TABLE_SCALE * torch.randn(shape, generator=generator)
    if len(shape) < 2:
        return torch.full(shape, 1.0 if name.endswith("weight") else 0.0)
    return torch.randn(shape, generator=generator) * shape[1:].numel() ** -0.5


def _tokenizer() -> LiteTokenizer:
    """Return a tokenizer whose words are bytes."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())

    def made() -> Tokenizer:
        tokenizer = Tokenizer(BPE({letter: number for number, letter in enumerate(letters)}, []))
        tokenizer.normalizer = normalizers.NFC()
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        return tokenizer

    whole = made()
    whole.add_special_tokens([*TEMPLATE, *MARKUP, *MEDIA])
    return LiteTokenizer(whole, made())
