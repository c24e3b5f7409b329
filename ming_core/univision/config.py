"""What a checkpoint's config.json files say, as frozen values; unsupported figures are refused.

Knows nothing about tensors: `checkpoint.py` holds these figures against them.
"""

import math
from dataclasses import dataclass

from ..config_section import Section
from ..errors import ConfigError
from ..foreign_text import shown

MOST_IMAGE_TOKENS = 1 << 16  # no tensor shows this figure; a picture of 8192 pixels has as many
VISION_HEAD_WIDTH = 64  # MingTok's attention heads are always this wide (SPEC section 2)

# Published defaults of `vishead_diffloss_config`; a missing key takes its value from here.
FLOW_DEFAULTS = {
    "diffloss_w": 3072,
    "diffloss_d": 12,
    "num_sampling_steps": "16",
    "gen_method": "flow_matching_swiglu-4",
    "vis_head_arch": "linear2-norm",
}


@dataclass(frozen=True, slots=True)
class LanguageModelConfig:
    """Figures of the mixture-of-experts language model (`llm_config`)."""

    vocab_size: int
    hidden_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_size: int
    rms_norm_eps: float
    rope_theta: float
    num_experts: int
    num_shared_experts: int
    top_k: int
    expert_size: int
    norm_topk_prob: bool
    multi_gate: bool
    norm_head: bool
    num_image_tokens: int
    max_tokens: int | None = None

    @classmethod
    def read(cls, llm: Section) -> "LanguageModelConfig":
        """Read `llm_config`, refusing what the engine does not implement."""
        for key in ("use_bias", "use_qkv_bias", "norm_softmax", "tie_word_embeddings"):
            llm.only(key, supported=False)
        llm.only("rope_scaling", supported=None)
        llm.only("first_k_dense_replace", supported=0)
        llm.only("hidden_act", supported="silu")
        hidden_size, num_heads = llm.integer("hidden_size"), llm.integer("num_attention_heads")
        config = cls(
            vocab_size=llm.integer("vocab_size"),
            hidden_size=hidden_size,
            num_layers=llm.integer("num_hidden_layers"),
            num_heads=num_heads,
            num_kv_heads=llm.integer("num_key_value_heads"),
            head_size=llm.integer("head_dim", default=max(1, hidden_size // num_heads)),
            rms_norm_eps=llm.number("rms_norm_eps", default=1e-5),
            rope_theta=llm.number("rope_theta", default=600000.0),
            num_experts=llm.integer("num_experts"),
            num_shared_experts=llm.integer("num_shared_experts"),
            top_k=llm.integer("num_experts_per_tok"),
            expert_size=llm.integer("moe_intermediate_size"),
            norm_topk_prob=llm.boolean("norm_topk_prob", default=True),
            multi_gate=llm.boolean("multi_gate", default=False),
            norm_head=llm.boolean("norm_head", default=False),
            num_image_tokens=llm.integer(
                "num_image_tokens_for_gen", default=256, most=MOST_IMAGE_TOKENS
            ),
            max_tokens=llm.optional_integer("max_position_embeddings"),
        )
        config.check()
        return config

    @property
    def image_grid(self) -> tuple[int, int]:
        """The square grid of a drawn image."""
        side = math.isqrt(self.num_image_tokens)
        return side, side

    def check(self) -> None:
        """Refuse figures that contradict each other."""
        if self.num_heads % self.num_kv_heads:
            raise ConfigError(
                f"config.json: llm_config has {self.num_heads} attention heads and "
                f"{self.num_kv_heads} key/value heads; the first must be a multiple of the second."
            )
        if self.top_k > self.num_experts:
            raise ConfigError(
                f"config.json: llm_config.num_experts_per_tok is {self.top_k} but there are only "
                f"{self.num_experts} experts (num_experts)."
            )
        if self.head_size % 2:
            raise ConfigError(
                f"config.json: llm_config.head_dim is {self.head_size}; rotary embedding needs an "
                "even figure."
            )
        if math.isqrt(self.num_image_tokens) ** 2 != self.num_image_tokens:
            raise ConfigError(
                f"config.json: llm_config.num_image_tokens_for_gen is {self.num_image_tokens}; "
                "images are square, so it must be a square number."
            )


@dataclass(frozen=True, slots=True)
class FlowConfig:
    """Figures of the flow head (`vishead_diffloss_config`)."""

    width: int
    depth: int
    steps: int
    mlp_ratio: int

    @classmethod
    def read(cls, head: Section) -> "FlowConfig":
        """Read the section; missing keys take the published values (SPEC section 4)."""
        head.only("vis_head_arch", supported=FLOW_DEFAULTS["vis_head_arch"])
        method = head.text("gen_method", default=str(FLOW_DEFAULTS["gen_method"]))
        name, _, ratio = method.rpartition("-")
        is_ratio = ratio.isdecimal() and len(ratio) < 4 and int(ratio) > 0
        if name != "flow_matching_swiglu" or not is_ratio:
            raise ConfigError(
                f"config.json: {head.name}.gen_method is {shown(method)}; this engine supports "
                "'flow_matching_swiglu-N' with N the width multiplier of the head's MLP."
            )
        return cls(
            width=head.integer("diffloss_w", default=int(FLOW_DEFAULTS["diffloss_w"])),
            depth=head.integer("diffloss_d", default=int(FLOW_DEFAULTS["diffloss_d"])),
            steps=head.integer(
                "num_sampling_steps", default=int(FLOW_DEFAULTS["num_sampling_steps"])
            ),
            mlp_ratio=int(ratio),
        )


@dataclass(frozen=True, slots=True)
class VisionStageConfig:
    """Figures of one MingTok stage: `depth` blocks of `width`, tokens of `patch_size` pixels."""

    width: int
    depth: int
    patch_size: int
    is_swiglu: bool

    @classmethod
    def read(cls, stage: Section, depth_key: str) -> "VisionStageConfig":
        """Read one stage; an absent `ffn_layer` means the plain MLP."""
        ffn = stage.text("ffn_layer", default="mlp")
        if ffn not in ("mlp", "swiglu", "swiglufused"):
            raise ConfigError(
                f"config.json: {stage.name}.ffn_layer is {shown(ffn)}; "
                "supported are 'swiglu', 'swiglufused', 'mlp', or no entry (plain MLP)."
            )
        width = stage.integer("embed_dim")
        if width % VISION_HEAD_WIDTH:
            raise ConfigError(
                f"config.json: {stage.name}.embed_dim is {width}; it must be a multiple of "
                f"{VISION_HEAD_WIDTH}, the width of MingTok's attention heads."
            )
        return cls(width, stage.integer(depth_key), stage.integer("patch_size"), ffn != "mlp")


@dataclass(frozen=True, slots=True)
class MingTokConfig:
    """Figures of the tokenizer: three stages and the normalisation of its latents."""

    image_size: int
    latent_size: int
    encoder: VisionStageConfig
    semantic: VisionStageConfig
    pixel: VisionStageConfig
    mean: float
    scale: float

    @classmethod
    def read(cls, root: Section) -> "MingTokConfig":
        """Read the config.json of a MingTok folder."""
        encoder, semantic = root.section("low_level_encoder"), root.section("semantic_decoder")
        config = cls(
            image_size=encoder.integer("img_size"),
            latent_size=encoder.integer("out_dim"),
            encoder=VisionStageConfig.read(encoder, "depth"),
            semantic=VisionStageConfig.read(semantic, "decoder_depth"),
            pixel=VisionStageConfig.read(root.section("pixel_decoder"), "decoder_depth"),
            mean=root.number("mean"),
            scale=root.number("scaling_factor"),
        )
        config.check(semantic.integer("in_dim"))
        return config

    def check(self, semantic_in: int) -> None:
        """Refuse figures that contradict each other."""
        if semantic_in != self.latent_size:
            raise ConfigError(
                f"config.json: low_level_encoder.out_dim is {self.latent_size} but "
                f"semantic_decoder.in_dim is {semantic_in}; both are the latent channels."
            )
        for name, width in (("encoder", self.encoder.width), ("decoder", self.semantic.width)):
            if width % self.latent_size:
                raise ConfigError(
                    f"config.json: the {name}'s embed_dim {width} is no multiple of the "
                    f"{self.latent_size} latent channels, which its shortcut needs."
                )
        if self.encoder.patch_size != self.semantic.patch_size:
            raise ConfigError(
                f"config.json: low_level_encoder.patch_size is {self.encoder.patch_size} but "
                f"semantic_decoder.patch_size is {self.semantic.patch_size}; they must agree."
            )
        if self.semantic.patch_size % self.pixel.patch_size:
            raise ConfigError(
                f"config.json: semantic_decoder.patch_size {self.semantic.patch_size} is no "
                f"multiple of pixel_decoder.patch_size {self.pixel.patch_size}."
            )
        if self.image_size % self.encoder.patch_size or self.scale == 0:
            raise ConfigError(
                f"config.json: img_size {self.image_size} must be a multiple of patch_size "
                f"{self.encoder.patch_size}, and scaling_factor ({self.scale}) must not be 0."
            )


@dataclass(frozen=True, slots=True)
class MingConfig:
    """Everything the engine needs to know to build a model."""

    language: LanguageModelConfig
    flow: FlowConfig
    mingtok: MingTokConfig
    connector_depth: int

    @classmethod
    def read(cls, univision: object, mingtok: object) -> "MingConfig":
        """Read the two parsed config.json objects of a checkpoint."""
        root = Section(univision, "Ming-UniVision")
        head = root.values.get("vishead_diffloss_config", {})
        return cls(
            language=LanguageModelConfig.read(root.section("llm_config")),
            flow=FlowConfig.read(Section(head, "vishead_diffloss_config")),
            mingtok=MingTokConfig.read(Section(mingtok, "MingTok-Vision")),
            connector_depth=root.integer("mlp_depth"),
        )

    @property
    def edit_size(self) -> int:
        """Side in pixels of a drawn image, and of a given one that is to be edited [512]."""
        return self.language.image_grid[0] * self.mingtok.semantic.patch_size

    @property
    def understand_size(self) -> int:
        """Side in pixels of a given image that is to be understood [1024]."""
        return 2 * self.edit_size
