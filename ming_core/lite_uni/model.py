"""The assembled model: its parts, config and tokenizer, and one method per pass through a part.

Parts come and go: once the language model has written a condition, only the diffusion
transformer is needed. The wire between the passes is `generation.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from ..abilities import CONDITION, DESCRIBE, EDIT, GENERATE
from ..errors import PromptError
from ..kv_cache import KVShape, WorkingCache
from ..layers import grouped_mask
from ..operations import Operations
from ..progress import Callback, no_callback
from ..quantisation import restore_formats
from ..stages import Stage
from .autoencoder import LatentDecoder
from .config import LiteUniConfig
from .diffusion_transformer import DiffusionTransformer
from .folders import NAME
from .glue import ConditionHead, Queries, VisionProjection, unit_length
from .preprocessing import Patches
from .qwen import Decoder, RopePrecision, plain_rotation, three_axis_rotation
from .sequence import LiteTokenizer, Prompt
from .vision import VisionTower

ABILITIES = frozenset({GENERATE, EDIT, DESCRIBE, CONDITION})


class Vision(nn.Module):
    """What sees a given picture."""

    def __init__(self, config: LiteUniConfig, operations: Operations) -> None:
        super().__init__()
        self.tower = VisionTower(config.vision, operations)
        self.projection = VisionProjection(config.glue, operations)


class LanguageModel(nn.Module):
    """What reads words, pictures and queries."""

    def __init__(self, config: LiteUniConfig, operations: Operations) -> None:
        super().__init__()
        language = config.language
        self.embed_tokens = operations.Embedding(language.vocab_size, language.hidden_size)
        self.queries = Queries(config.glue, operations)
        # Its MLPs are so large that they are what 4 bits are for.
        self.decoder = Decoder(language, operations, operations.HeadLinear)


class Connector(nn.Module):
    """What turns answered queries into a condition."""

    def __init__(self, config: LiteUniConfig, operations: Operations) -> None:
        super().__init__()
        glue = config.glue
        self.proj_in = operations.Linear(glue.hidden_size, glue.connector_size)
        self.decoder = Decoder(config.connector, operations, operations.LargeLinear)
        self.proj_out = operations.Linear(glue.connector_size, glue.hidden_size)
        self.head = ConditionHead(glue, operations)


@dataclass(slots=True)
class Parts:
    """The parts of a model that a host may move separately."""

    vision: Vision
    language_model: LanguageModel
    lm_head: nn.Module
    connector: Connector
    diffusion_transformer: DiffusionTransformer
    autoencoder: LatentDecoder

    @classmethod
    def build(cls, config: LiteUniConfig, operations: Operations, dtype: torch.dtype) -> "Parts":
        """Build without memory (on the meta device)."""
        language = config.language
        with torch.device("meta"):
            built = cls(
                Vision(config, operations),
                LanguageModel(config, operations),
                operations.Linear(language.hidden_size, language.vocab_size, bias=False),
                Connector(config, operations),
                DiffusionTransformer(config.diffusion, operations),
                LatentDecoder(config.autoencoder, operations),
            )
            for name, module in built.named().items():
                module.to(dtype if name == "diffusion_transformer" else wide_enough(dtype))
                restore_formats(module)
        return built

    def named(self) -> dict[str, nn.Module]:
        """Return the components by name."""
        return {
            "vision": self.vision,
            "language_model": self.language_model,
            "lm_head": self.lm_head,
            "connector": self.connector,
            "diffusion_transformer": self.diffusion_transformer,
            "autoencoder": self.autoencoder,
        }


def wide_enough(dtype: torch.dtype) -> torch.dtype:
    """Return what all but the diffusion transformer computes in: its numbers leave fp16's range."""
    return torch.float32 if dtype == torch.float16 else dtype


def stay_put(stage: Stage) -> None:
    """Be what is told of stages where every part stays on the device."""


@dataclass(slots=True)
class LiteUniModel:
    """A loaded model.

    `device` is where it computes; a host that moves components sets it before every call, and
    is told by `enter` of each stage before it begins. `rope_precision` "reference" rounds
    rotary angles as the published code does.
    """

    identity: str
    config: LiteUniConfig
    tokenizer: LiteTokenizer
    parts: Parts
    dtype: torch.dtype
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    quantisation: str | None = None
    rope_precision: RopePrecision = "fp32"
    enter: Callable[[Stage], None] = stay_put

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
        """The components that every token or step reads, which a host should keep."""
        return ("language_model", "diffusion_transformer")

    @property
    def hot(self) -> nn.Module | None:
        """Nothing is read so often that it must not be streamed."""
        return None

    @property
    def components(self) -> dict[str, nn.Module]:
        """The components by name, for a host that moves them."""
        return self.parts.named()

    @property
    def wide(self) -> torch.dtype:
        """What all but the diffusion transformer computes in."""
        return wide_enough(self.dtype)

    @property
    def kv_shape(self) -> KVShape:
        """What a cache of the language model holds per token."""
        return self.parts.language_model.decoder.kv_shape(self.wide, self.device)

    def see(self, patches: Patches, callback: Callback = no_callback) -> Tensor:
        """Turn a picture into embeddings (blocks, H) of the language model."""
        vision = self.parts.vision
        placed = replace(patches, values=patches.values.to(self.device, self.wide))
        return vision.projection(vision.tower(placed, self.rope_precision, callback))

    def embed(self, prompt: Prompt, seen: Tensor | None = None) -> Tensor:
        """Embed a prompt as (1, S, H), its picture's slots as what was seen (blocks, H)."""
        parts = self.parts.language_model
        ids = torch.tensor(prompt.ids, device=self.device)
        x = parts.embed_tokens(ids.clamp(max=self.config.language.vocab_size - 1)).to(self.wide)
        slots = 0 if prompt.image is None else prompt.image.stop - prompt.image.start
        if slots != (0 if seen is None else len(seen)):
            raise PromptError(
                f"The prompt has {slots} slots for a picture that fills "
                f"{0 if seen is None else len(seen)}; encode both anew."
            )
        if seen is not None and prompt.image is not None:
            x[prompt.image] = seen
        if prompt.queries:
            queries = parts.queries(self.device).split([s * s for s in prompt.queries])
            for slots_of, rows in zip(prompt.queries.values(), queries, strict=True):
                x[slots_of] = rows.to(x.dtype)
        return x[None]

    def read(
        self,
        x: Tensor,
        positions: Tensor,
        cache: WorkingCache | None = None,
        callback: Callback = no_callback,
    ) -> Tensor:
        """Read embeddings (1, T, H) at positions (3, T) after what a cache holds, causally."""
        config, past = self.config.language, 0 if cache is None else cache.length
        visible, tokens = None, x.shape[1]
        if tokens > 1:
            seen = torch.ones(1, tokens, past + tokens, dtype=torch.bool, device=self.device)
            visible = grouped_mask(seen.tril(past), config.num_heads // config.num_kv_heads)
        rotation = three_axis_rotation(config, positions, self.rope_precision, self.device)
        return self.parts.language_model.decoder(x, rotation, visible, cache, callback)

    def connect(self, answered: Tensor, callback: Callback = no_callback) -> Tensor:
        """Connect the answers to one scale's queries (1, N, H), all seeing all, to length 1."""
        connector, config = self.parts.connector, self.config.connector
        rotation = plain_rotation(config, answered.shape[1], self.rope_precision, self.device)
        x = connector.decoder(connector.proj_in(answered), rotation, callback=callback)
        return unit_length(connector.proj_out(x))

    def to(self, device: torch.device | str) -> "LiteUniModel":
        """Move every component; for use without a host that does."""
        for component in self.components.values():
            component.to(device)
        self.device = torch.device(device)
        return self
