"""Figures of the diffusion half: of its transformer and of the decoder of its latents.

Read from `transformer/config.json` and `vae/config.json`; what the engine does not implement is
refused by name.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from ..config_section import Section
from ..errors import ConfigError
from ..foreign_text import shown
from .sizes import SAMPLE_SIZES

COLOURS = 3
ACTIVATIONS = ("silu", "relu")
UPSAMPLING = ("interpolate", "pixel_shuffle")
RESIDUAL, ATTENTIVE = "ResBlock", "EfficientViTBlock"
# Key -> what the library that wrote the config takes a missing one for.
STAGE_LISTS: dict[str, object] = {
    "decoder_block_out_channels": [128, 256, 512, 512, 1024, 1024],
    "decoder_layers_per_block": [3, 3, 3, 3, 3, 3],
    "decoder_block_types": RESIDUAL,
    "decoder_act_fns": "silu",
    "decoder_norm_types": "rms_norm",
    "decoder_qkv_multiscales": [[], [], [], [5], [5], [5]],
}


@dataclass(frozen=True, slots=True)
class DiffusionConfig:
    """Figures of `transformer/config.json`."""

    channels: int
    num_layers: int
    num_heads: int
    head_size: int
    num_cross_heads: int
    cross_head_size: int
    caption_channels: int
    mlp_ratio: float
    norm_eps: float
    has_attention_bias: bool
    has_affine_norm: bool
    sample_size: int
    timestep_scale: float

    @classmethod
    def read(cls, section: Section) -> "DiffusionConfig":
        """Read the config, refusing by name what the engine does not implement."""
        section.only("_class_name", supported="SanaTransformer2DModel")
        section.only("interpolation_scale", supported=None)
        section.only("qk_norm", supported=None)
        section.only("guidance_embeds", supported=False)
        section.only("patch_size", supported=1)
        config = cls(
            channels=section.integer("in_channels"),
            num_layers=section.integer("num_layers"),
            num_heads=section.integer("num_attention_heads"),
            head_size=section.integer("attention_head_dim"),
            num_cross_heads=section.integer("num_cross_attention_heads"),
            cross_head_size=section.integer("cross_attention_head_dim"),
            caption_channels=section.integer("caption_channels"),
            mlp_ratio=section.number("mlp_ratio", default=2.5),
            norm_eps=section.number("norm_eps", default=1e-6),
            has_attention_bias=section.boolean("attention_bias", default=False),
            has_affine_norm=section.boolean("norm_elementwise_affine", default=False),
            sample_size=section.integer("sample_size"),
            timestep_scale=section.number("timestep_scale", default=1.0),
        )
        config.check(
            section.optional_integer("out_channels"), section.integer("cross_attention_dim")
        )
        return config

    @property
    def width(self) -> int:
        """Channels of a token."""
        return self.num_heads * self.head_size

    @property
    def hidden_size(self) -> int:
        """Channels of either half of the gated convolution."""
        return int(self.mlp_ratio * self.width)

    def check(self, out_channels: int | None, cross_attention_dim: int) -> None:
        """Refuse figures that contradict each other."""
        if out_channels not in (None, self.channels):
            raise ConfigError(
                f"config.json: transformer.out_channels is {out_channels} but in_channels is "
                f"{self.channels}; a velocity has the channels of its latent."
            )
        if cross_attention_dim != self.width:
            raise ConfigError(
                f"config.json: transformer.cross_attention_dim is {cross_attention_dim}; captions "
                f"are projected to {self.num_heads} heads of {self.head_size} = {self.width}."
            )
        if self.sample_size not in SAMPLE_SIZES:
            raise ConfigError(
                f"config.json: transformer.sample_size is {self.sample_size}; picture sizes are "
                f"known for {', '.join(map(str, SAMPLE_SIZES))}."
            )


@dataclass(frozen=True, slots=True)
class StageConfig:
    """Figures of the blocks that work at one resolution.

    activation  of the residual blocks
    kernels     sides of the neighbourhoods that attention sees beside single pixels
    """

    channels: int
    num_blocks: int
    is_attentive: bool
    activation: str
    kernels: tuple[int, ...]

    @classmethod
    def read(cls, stage: Section) -> "StageConfig":
        """Read one entry of every list."""
        stage.only("decoder_norm_types", supported="rms_norm")
        kernels = stage.values["decoder_qkv_multiscales"]
        if not isinstance(kernels, list) or not all(_is_odd(side) for side in kernels):
            raise ConfigError(
                f"config.json: {stage.name}.decoder_qkv_multiscales is {shown(kernels)}; expected "
                "a list of odd numbers."
            )
        kind = _one_of(stage, "decoder_block_types", (RESIDUAL, ATTENTIVE))
        return cls(
            channels=stage.integer("decoder_block_out_channels"),
            num_blocks=stage.integer("decoder_layers_per_block"),
            is_attentive=kind == ATTENTIVE,
            activation=_one_of(stage, "decoder_act_fns", ACTIVATIONS),
            kernels=tuple(cast("list[int]", kernels)),
        )


@dataclass(frozen=True, slots=True)
class AutoencoderConfig:
    """Figures of `vae/config.json` that concern decoding; the first stage is the finest."""

    latent_channels: int
    head_size: int
    scaling_factor: float
    is_interpolating: bool
    stages: tuple[StageConfig, ...]

    @classmethod
    def read(cls, section: Section) -> "AutoencoderConfig":
        """Read the config, refusing by name what the engine does not implement."""
        section.only("_class_name", supported="AutoencoderDC")
        section.only("in_channels", supported=COLOURS)
        section.only("decoder_in_shortcut", supported=True)
        section.only("decoder_conv_act_fn", supported="relu")
        upsampling = _one_of(section, "upsample_block_type", UPSAMPLING, default="pixel_shuffle")
        config = cls(
            latent_channels=section.integer("latent_channels"),
            head_size=section.integer("attention_head_dim", default=32),
            scaling_factor=section.number("scaling_factor", default=1.0),
            is_interpolating=upsampling == "interpolate",
            stages=tuple(StageConfig.read(stage) for stage in _stage_sections(section)),
        )
        config.check()
        return config

    @property
    def pixels_per_latent(self) -> int:
        """Side of the square of pixels that a latent vector stands for [32]."""
        return 2 ** (len(self.stages) - 1)

    def check(self) -> None:
        """Refuse figures that contradict each other."""
        channels = [stage.channels for stage in self.stages]
        if self.scaling_factor == 0:
            raise ConfigError("config.json: vae.scaling_factor is 0; latents are divided by it.")
        if channels[-1] % self.latent_channels:
            raise ConfigError(
                f"config.json: vae.decoder_block_out_channels ends in {channels[-1]}, no multiple "
                f"of the {self.latent_channels} latent channels, which its shortcut repeats."
            )
        for fine, coarse in zip(channels, channels[1:], strict=False):
            if 4 * fine % coarse:
                raise ConfigError(
                    f"config.json: vae.decoder_block_out_channels has {fine} before {coarse}; "
                    "four times the first must be a multiple of the second, for the shortcut."
                )
        attentive = [stage.channels for stage in self.stages if stage.is_attentive]
        if attentive and min(attentive) < self.head_size:
            raise ConfigError(
                f"config.json: vae.attention_head_dim is {self.head_size}, more than the "
                f"{min(attentive)} channels of a stage of {ATTENTIVE}."
            )


def _is_odd(side: object) -> bool:
    return isinstance(side, int) and side > 0 and side % 2 == 1


def _one_of(section: Section, key: str, choices: Sequence[str], default: str = "") -> str:
    value = section.text(key, default=default)
    if value not in choices:
        raise ConfigError(
            f"config.json: {section.name}.{key} is {shown(value)}; this engine supports "
            f"{' and '.join(choices)}."
        )
    return value


def _stage_sections(section: Section) -> list[Section]:
    """Turn lists with an entry for every stage into a section for each; a word fits them all."""
    count = len(_list(section, "decoder_block_out_channels", None))
    lists = {key: _list(section, key, count) for key in STAGE_LISTS}
    return [
        Section({key: entries[index] for key, entries in lists.items()}, f"{section.name}[{index}]")
        for index in range(count)
    ]


def _list(section: Section, key: str, count: int | None) -> list[Any]:
    value = section.values.get(key, STAGE_LISTS[key])
    entries = [value] * count if isinstance(value, str) and count is not None else value
    if not isinstance(entries, list) or not entries or len(entries) != (count or len(entries)):
        raise ConfigError(
            f"config.json: {section.name}.{key} is {shown(value)}; expected a list with an entry "
            f"for each of {'some' if count is None else count} stages."
        )
    return entries
