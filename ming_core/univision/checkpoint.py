"""A published Ming-UniVision checkpoint: its two folders opened, and held against its config."""

import re
from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from ..checkpoint import OpenCheckpoint
from ..component_files import Converted
from ..errors import CheckpointError
from ..fitting import Need
from ..operations import Operations
from ..places import Place, compare, replace_tensor
from ..scope import FILE as SCOPE_FILE
from ..scope import read_scope
from ..tensor_files import StoredTensor, TensorFiles, read_json
from .config import MingConfig
from .folders import (
    NAME,
    CheckpointFolder,
    find_checkpoint,
    folders,
    holds,
    main_folder,
    weight_folders,
)
from .key_map import IGNORED, expected_tensors
from .memory import need_of
from .model import ABILITIES, Components, MingModel
from .schedule_file import FILE_NAME as SCHEDULES
from .schedule_file import read_schedules
from .tokenizer import ConversationTokenizer

# With `open_checkpoint`, what the door of families asks for.
__all__ = [
    "ABILITIES",
    "NAME",
    "UniVisionCheckpoint",
    "folders",
    "holds",
    "main_folder",
    "open_checkpoint",
    "weight_folders",
]

VISION = "vision."
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


@dataclass(frozen=True, slots=True)
class UniVisionCheckpoint(OpenCheckpoint[Components, ConversationTokenizer, MingModel]):
    """A Ming-UniVision checkpoint whose configs and headers have been read."""

    folder: CheckpointFolder
    config: MingConfig
    stored: Mapping[str, StoredTensor]
    files: tuple[TensorFiles, ...]
    converted: Converted | None

    @property
    def home(self) -> Path:
        """The folder that errors name."""
        return self.folder.univision

    def parts(self, dtype: torch.dtype, layers: Operations) -> Components:
        """Build the four components without memory."""
        return Components.build(self.config, layers, dtype)

    def least_tensors(self) -> int:
        """Return how many tensors the counts in the config imply at least."""
        language, mingtok = self.config.language, self.config.mingtok
        experts = 3 * language.num_experts if self.converted is None else 1
        depths = (stage.depth for stage in (mingtok.encoder, mingtok.semantic, mingtok.pixel))
        layers = language.num_layers * experts
        return layers + self.config.flow.depth + self.config.connector_depth + sum(depths)

    def expected(self, components: Mapping[str, nn.Module]) -> dict[str, Place]:
        """Return every tensor a published checkpoint must hold, and where it goes."""
        return expected_tensors(self.config, components)

    def problems(self, places: Mapping[str, Place]) -> Iterator[str]:
        """Yield what contradicts the config."""
        yield from _odd_figures(self.config, self.stored)
        yield from compare(self.stored, places, IGNORED)

    def figures(self) -> object:
        """Return what the shapes do not show."""
        language, mingtok = self.config.language, self.config.mingtok
        # Named one by one, so that identities outlive a new config field.
        return (
            (language.num_heads, language.num_kv_heads, language.head_size),
            (language.rope_theta, language.rms_norm_eps, language.top_k),
            (language.norm_topk_prob, language.multi_gate, language.norm_head),
            (language.num_image_tokens, mingtok.mean, mingtok.scale),
            (mingtok.encoder.patch_size, mingtok.semantic.patch_size, mingtok.pixel.patch_size),
        )

    def read_tokenizer(self) -> ConversationTokenizer:
        """Read the tokenizer; raises CheckpointError when it does not fit the model."""
        home, vocab_size = self.folder.tokenizer_home(), self.config.language.vocab_size
        tokenizer = ConversationTokenizer.load(home)
        if tokenizer.max_id >= vocab_size:
            raise CheckpointError(
                f"{home / 'tokenizer.json'} has ids up to {tokenizer.max_id}, but config.json's "
                f"vocab_size is {vocab_size}; they belong to different checkpoints."
            )
        return tokenizer

    def assemble(
        self,
        parts: Components,
        tokenizer: ConversationTokenizer,
        identity: str,
        dtype: torch.dtype,
        quantisation: str | None,
    ) -> MingModel:
        """Make the loaded model of parts that hold their weights."""
        if self.config.language.norm_head:
            normalise_head(parts)
        model = MingModel(identity, self.config, tokenizer, parts, dtype, quantisation=quantisation)
        model.schedules = read_schedules(self.folder.univision, identity)
        model.scope = read_scope(self.folder.tokenizer_home())
        return model

    def need(self, precision: str, floats: torch.dtype) -> Need:
        """Return what the checkpoint needs in a precision; nothing is allocated."""
        return need_of(self.build, self.config, self.read_tokenizer(), precision, floats)

    def small_files(self) -> Iterator[tuple[Path, str]]:
        """Yield configs and tokenizer, so that a converted folder stands alone."""
        yield self.folder.univision / "config.json", "config.json"
        yield self.folder.mingtok / "config.json", "MingTok-Vision/config.json"
        if (self.folder.univision / SCHEDULES).is_file():
            yield self.folder.univision / SCHEDULES, SCHEDULES
        for name in (*TOKENIZER_FILES, SCOPE_FILE):
            if (self.folder.tokenizer_home() / name).is_file():
                yield self.folder.tokenizer_home() / name, name

    def folders(self) -> dict[str, Path]:
        """Return both folders."""
        return self.folder.named()


@contextmanager
def open_checkpoint(path: Path) -> Generator[UniVisionCheckpoint, None, None]:
    """Open a checkpoint's configs and headers; raises CheckpointError or ConfigError.

    `vision.*` tensors of the big checkpoint win over the MingTok folder's own, which are older.
    """
    folder = find_checkpoint(path)
    config = MingConfig.read(
        read_json(folder.univision / "config.json"), read_json(folder.mingtok / "config.json")
    )
    converted = Converted.find(folder.univision)
    with ExitStack() as stack:
        big = stack.enter_context(TensorFiles(folder.univision))
        files, stored = (big,), dict(big.tensors)
        if converted is None and not any(name.startswith(VISION) for name in stored):
            tokenizer = stack.enter_context(TensorFiles(folder.mingtok))
            files = (big, tokenizer)
            stored |= {VISION + name: tensor for name, tensor in tokenizer.tensors.items()}
        yield UniVisionCheckpoint(folder, config, stored, files, converted)


def normalise_head(components: Components) -> None:
    """Give every channel of the vocabulary head unit length over the vocabulary (`norm_head`)."""
    head = components.language_model.transformer.lm_head
    weight = head.weight.data.float()
    lengths = weight.norm(dim=0, keepdim=True) + 1e-7
    replace_tensor(head, "weight", (weight / lengths).to(head.weight.dtype))


def _odd_figures(config: MingConfig, stored: Mapping[str, StoredTensor]) -> Iterator[str]:
    """Compare counts and widths that the config states with what the tensor names show."""
    language, flow, prefix = config.language, config.flow, "model.diffloss.net"
    head = stored.get(f"{prefix}.cond_embed.weight")
    figures = {
        "llm_config.num_hidden_layers": (language.num_layers, r"model\.model\.layers\.(\d+)\."),
        "llm_config.num_experts": (language.num_experts, r".*\.mlp\.experts\.(\d+)\."),
        "vishead_diffloss_config.diffloss_d": (flow.depth, rf"{prefix}\.res_blocks\.(\d+)\."),
        "low_level_encoder.depth": (
            config.mingtok.encoder.depth,
            r"vision\.low_level_encoder\.blocks\.0\.(\d+)\.",
        ),
        "semantic_decoder.decoder_depth": (
            config.mingtok.semantic.depth,
            r"vision\.semantic_decoder\.blocks\.0\.(\d+)\.",
        ),
        "pixel_decoder.decoder_depth": (
            config.mingtok.pixel.depth,
            r"vision\.pixel_decoder\.blocks\.0\.(\d+)\.",
        ),
    }
    for key, (stated, pattern) in figures.items():
        numbers = {m[1] for m in (re.match(pattern, name) for name in stored) if m}
        if len(numbers) != stated:
            yield f"config.json says {key} = {stated}, the tensors have {len(numbers)}"
    if head is not None and head.shape[0] != flow.width:
        yield (
            f"config.json says vishead_diffloss_config.diffloss_w = {flow.width}, "
            f"the tensors have {head.shape[0]}"
        )
