"""The assembled model: four components, their config, the tokenizer, and where they compute."""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ..abilities import DESCRIBE, EDIT, GENERATE, LATENT_CONTEXT
from ..kv_cache import KVShape, WorkingCache
from ..operations import Operations
from ..progress import Callback, no_callback
from ..quantisation import restore_formats
from ..scope import Scope
from .config import MingConfig
from .connector import Connector
from .flow.head import ConditionHead, VelocityNetwork
from .flow.schedule import Schedules
from .folders import NAME
from .language_model.transformer import Transformer
from .mingtok.low_level_encoder import LowLevelEncoder
from .mingtok.pixel_decoder import PixelDecoder
from .mingtok.semantic_decoder import SemanticDecoder
from .tokenizer import ConversationTokenizer

STEADY = ("language_model", "semantic_decoder")  # what every token reads
PAINTER = "pixel_decoder"
ABILITIES = frozenset({GENERATE, EDIT, DESCRIBE, LATENT_CONTEXT})


class LanguageModel(nn.Module):
    """The language model and what it reads and writes pictures with."""

    def __init__(self, config: MingConfig, operations: Operations) -> None:
        super().__init__()
        hidden = config.language.hidden_size
        self.transformer = Transformer(config.language, operations)
        sizes = [config.mingtok.semantic.width, *[hidden] * config.connector_depth]
        self.connector = Connector(sizes, operations)
        self.condition_head = ConditionHead(hidden, config.flow, operations)
        self.velocity = VelocityNetwork(config.mingtok.latent_size, config.flow, operations)


@dataclass(slots=True)
class Components:
    """The parts of a model that a host may move separately."""

    low_level_encoder: LowLevelEncoder
    semantic_decoder: SemanticDecoder
    pixel_decoder: PixelDecoder
    language_model: LanguageModel

    @classmethod
    def build(cls, config: MingConfig, operations: Operations, dtype: torch.dtype) -> "Components":
        """Build without memory (on the meta device); the pixel decoder is always fp32."""
        with torch.device("meta"):
            built = cls(
                LowLevelEncoder(config.mingtok, operations).to(dtype),
                SemanticDecoder(config.mingtok, operations).to(dtype),
                PixelDecoder(config.mingtok, operations).float(),
                LanguageModel(config, operations).to(dtype),
            )
        restore_formats(built.language_model)
        return built

    def named(self) -> dict[str, nn.Module]:
        """Return the components by name."""
        return {
            "low_level_encoder": self.low_level_encoder,
            "semantic_decoder": self.semantic_decoder,
            "pixel_decoder": self.pixel_decoder,
            "language_model": self.language_model,
        }


@dataclass(slots=True)
class MingModel:
    """A loaded model. It holds no conversation: that is what `LatentContext` is for.

    `device` is where it computes; a host that moves components sets it before every call.
    `quantisation` names how its large matrices are kept, if not as floats; `schedules` are those
    calibrated for it; `scope` is what a small one says that it knows.
    """

    identity: str
    config: MingConfig
    tokenizer: ConversationTokenizer
    parts: Components
    dtype: torch.dtype
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    quantisation: str | None = None
    schedules: Schedules | None = None
    scope: Scope | None = None

    def remark(self, prompt: str) -> str | None:
        """Return what a small model has to say of a prompt with words that it was not taught."""
        return None if self.scope is None else self.scope.remark(self.tokenizer.read(prompt))

    @property
    def family(self) -> str:
        """The family's name for people."""
        return NAME

    @property
    def abilities(self) -> frozenset[str]:
        """What can be asked of it."""
        return ABILITIES

    @property
    def steady(self) -> tuple[str, ...]:
        """The components that every token reads, which a host should keep rather than page."""
        return STEADY

    @property
    def hot(self) -> nn.Module:
        """The flow head's network, which is read at every flow step of a token."""
        return self.parts.language_model.velocity

    @property
    def components(self) -> dict[str, nn.Module]:
        """The components by name, for a host that moves them."""
        return self.parts.named()

    @property
    def edit_size(self) -> int:
        """Side in pixels of a drawn image, and of a given one that is to be edited [512]."""
        return self.config.edit_size

    @property
    def understand_size(self) -> int:
        """Side in pixels of a given image that is to be understood [1024]."""
        return self.config.understand_size

    @property
    def kv_shape(self) -> KVShape:
        """What a cache of the language model holds per token."""
        return self.parts.language_model.transformer.kv_shape(self.dtype, self.device)

    def expand(
        self, latents: Tensor, cache: WorkingCache | None = None, callback: Callback = no_callback
    ) -> Tensor:
        """Expand normalised latents (B, T, C) to semantic features (B, T, D)."""
        decoder = self.parts.semantic_decoder
        return decoder(decoder.raw(latents.to(self.device)).to(self.dtype), cache, callback)

    def word_embeddings(self, ids: Tensor) -> Tensor:
        """Embed token ids (...) as (..., H), on the model's device."""
        embed = self.parts.language_model.transformer.word_embeddings
        return embed(ids.to(self.device)).to(self.dtype)

    def to(self, device: torch.device | str) -> "MingModel":
        """Move every component; for use without a host that does."""
        for component in self.components.values():
            component.to(device)
        self.device = torch.device(device)
        return self
