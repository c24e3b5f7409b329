"""A published Ming-Lite-Uni checkpoint: its folders opened, and held against one another."""

import logging
import math
import re
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from ..checkpoint import OpenCheckpoint
from ..component_files import Converted
from ..errors import CheckpointError
from ..fitting import Need
from ..foreign_files import is_folder, is_plain_file
from ..foreign_text import several
from ..operations import Operations
from ..places import Place, compare
from ..tensor_files import StoredTensor, TensorFiles
from .config import LiteUniConfig, refuse_relatives
from .folders import (
    FOLDERS,
    GLUE,
    LANGUAGE,
    NAME,
    SCHEDULER,
    TRANSFORMER,
    VISION,
    find_checkpoint,
    folders,
    holds,
    main_folder,
)
from .key_map import IGNORED, OVERRIDE, expected_tensors, stored_name
from .memory import need_of
from .model import ABILITIES, LiteUniModel, Parts
from .particulars import particulars
from .sequence import TURN_END, LiteTokenizer
from .tokenizer_files import MERGES, is_older_form

# What the door of families asks for.
__all__ = [
    "ABILITIES",
    "NAME",
    "folders",
    "holds",
    "main_folder",
    "open_checkpoint",
    "weight_folders",
]

log = logging.getLogger("ming")
GLUE_FILE = "model.safetensors"
INDEX_SUFFIX = ".safetensors.index.json"
VISION_PREFIX = re.compile(r"^(model\.)?visual\.")  # where the tower was saved as part of a model
# Stored as convolutions whose kernel is all they see; here they are the matrices they amount to.
FLATTENED = re.compile(
    r"qwen2_5_vit/patch_embed\.proj\.weight|(transformer|vae)/.+\.conv_(inverted|point)\.weight"
)


@dataclass(frozen=True, slots=True)
class LiteUniCheckpoint(OpenCheckpoint[Parts, LiteTokenizer, LiteUniModel]):
    """A Ming-Lite-Uni checkpoint whose configs and headers have been read."""

    root: Path
    config: LiteUniConfig
    stored: Mapping[str, StoredTensor]
    files: tuple[TensorFiles, ...]
    converted: Converted | None
    quantisations: ClassVar[Sequence[str]] = ("int8", "int4")  # it has no experts

    @property
    def home(self) -> Path:
        """The folder that errors name."""
        return self.root

    def particulars(self) -> dict[str, str]:
        """Return what no documentation says, for people to report."""
        return particulars(self.root, self.config, self.files, self.read_tokenizer())

    def read(self, name: str, *, stays: bool = False) -> Tensor:
        """Return a tensor by its folder and name, in the shape its header is taken to have."""
        return OpenCheckpoint.read(self, name, stays=stays).reshape(self.stored[name].shape)

    def parts(self, dtype: torch.dtype, layers: Operations) -> Parts:
        """Build the components without memory."""
        return Parts.build(self.config, layers, dtype)

    def least_tensors(self) -> int:
        """Return how many tensors the counts in the config imply at least."""
        config = self.config
        blocks = sum(stage.num_blocks for stage in config.autoencoder.stages)
        layers = config.language.num_layers + config.connector.num_layers + config.vision.depth
        return layers + config.diffusion.num_layers + blocks

    def expected(self, components: Mapping[str, nn.Module]) -> dict[str, Place]:
        """Return every tensor a published checkpoint must hold, and where it goes."""
        return expected_tensors(components)

    def problems(self, places: Mapping[str, Place]) -> Iterator[str]:
        """Yield what is missing or misshapen; what the glue holds besides was for training."""
        spare = [name for name in self.stored if name.startswith(f"{GLUE}/") and name not in places]
        if spare:
            log.warning("not read: %s", several(spare))
        yield from compare(self.stored, places, IGNORED)

    def figures(self) -> object:
        """Return what the shapes do not show."""
        config = self.config
        vision, diffusion = config.vision, config.diffusion
        # Named one by one, so that identities outlive a new config field.
        return (
            *(
                (qwen.num_heads, qwen.num_kv_heads, qwen.head_size, qwen.rope_theta)
                for qwen in (config.language, config.connector)
            ),
            (config.language.rms_norm_eps, config.connector.rms_norm_eps),
            (vision.num_heads, vision.window_size, sorted(vision.full_layers)),
            (diffusion.num_heads, diffusion.num_cross_heads, diffusion.norm_eps),
            (diffusion.timestep_scale, diffusion.sample_size),
            (config.autoencoder.head_size, config.autoencoder.scaling_factor),
        )

    def read_tokenizer(self) -> LiteTokenizer:
        """Read the tokenizer; raises CheckpointError when it does not fit the model."""
        tokenizer = LiteTokenizer.load(self.root / LANGUAGE)
        # Added tokens may lie beyond: their embeddings are replaced, or clipped as published.
        if tokenizer.ids[TURN_END] >= self.config.language.vocab_size:
            raise CheckpointError(
                f"{self.root / LANGUAGE}: {TURN_END} is token {tokenizer.ids[TURN_END]}, but "
                f"config.json's vocab_size is {self.config.language.vocab_size}; they belong to "
                "different checkpoints."
            )
        return tokenizer

    def assemble(
        self,
        parts: Parts,
        tokenizer: LiteTokenizer,
        identity: str,
        dtype: torch.dtype,
        quantisation: str | None,
    ) -> LiteUniModel:
        """Make the loaded model of parts that hold their weights."""
        return LiteUniModel(
            identity, self.config, tokenizer, parts, dtype, quantisation=quantisation
        )

    def need(self, precision: str, floats: torch.dtype) -> Need:
        """Return what the checkpoint needs in a precision; nothing is allocated."""
        return need_of(self.build, self.config, self.read_tokenizer(), precision, floats)

    def small_files(self) -> Iterator[tuple[Path, str]]:
        """Yield configs and tokenizer, so that a converted folder stands alone."""
        for folder in (*FOLDERS, SCHEDULER):
            for path in sorted((self.root / folder).glob("*.json")):
                if not path.name.endswith(INDEX_SUFFIX):
                    yield path, f"{folder}/{path.name}"
        if is_older_form(self.root / LANGUAGE):
            yield self.root / LANGUAGE / MERGES, f"{LANGUAGE}/{MERGES}"

    def folders(self) -> dict[str, Path]:
        """Return its folders by name, the one around the others first."""
        return folders(self.root)


@contextmanager
def open_checkpoint(path: Path) -> Generator[LiteUniCheckpoint, None, None]:
    """Open a checkpoint's configs and headers; raises CheckpointError or ConfigError."""
    root = find_checkpoint(path)
    refuse_relatives(root)
    converted = Converted.find(root)
    with ExitStack() as stack:
        if converted is not None:
            files = (stack.enter_context(TensorFiles(root)),)
            stored = files[0].tensors
            shapes = {stored_name(name): tensor.shape for name, tensor in stored.items()}
        else:
            files = tuple(stack.enter_context(_opened(root, folder)) for folder in FOLDERS)
            stored = dict(_named(zip(FOLDERS, files, strict=True)))
            shapes = {name: tensor.shape for name, tensor in stored.items()}
        glue = {
            name.removeprefix(f"{GLUE}/"): shape
            for name, shape in shapes.items()
            if name.startswith(f"{GLUE}/")
        }
        config = LiteUniConfig.read(root, glue)
        if converted is None:
            _override(stored)
            if config.language.is_tied:
                stored[f"{LANGUAGE}/lm_head.weight"] = stored[
                    f"{LANGUAGE}/model.embed_tokens.weight"
                ]
        yield LiteUniCheckpoint(root, config, stored, files, converted)


def weight_folders(path: Path) -> list[Path]:
    """Return the six folders with weights; what was converted has them in the one around."""
    root = find_checkpoint(path)
    is_converted = Converted.find(root) is not None
    return [root] if is_converted else [root / folder for folder in FOLDERS]


def _opened(root: Path, folder: str) -> TensorFiles:
    """Open one folder; of the glue only the file that is published."""
    if not is_folder(root / folder):
        raise CheckpointError(
            f"{root} lacks the folder {folder}. The download is incomplete: fetch it."
        )
    only = GLUE_FILE if folder == GLUE else None
    if only is not None and not is_plain_file(root / folder / only):
        raise CheckpointError(
            f"{root / folder} lacks {only}. The download is incomplete: fetch it."
        )
    return TensorFiles(root / folder, only)


def _named(opened: Iterable[tuple[str, TensorFiles]]) -> Iterator[tuple[str, StoredTensor]]:
    """Yield every tensor by its folder and name, as the matrix it amounts to."""
    for folder, files in opened:
        for name, tensor in files.tensors.items():
            name = f"{folder}/{VISION_PREFIX.sub('', name) if folder == VISION else name}"
            if FLATTENED.fullmatch(name) and len(tensor.shape) > 2:
                tensor = replace(tensor, shape=(tensor.shape[0], math.prod(tensor.shape[1:])))
            yield name, tensor


def _override(stored: dict[str, StoredTensor]) -> None:
    """Let tensors of the diffusion transformer that lie in the glue win over its own folder's."""
    prefix = f"{GLUE}/{OVERRIDE}"
    overriding = [name for name in stored if name.startswith(prefix)]
    for name in overriding:
        stored[f"{TRANSFORMER}/{name.removeprefix(prefix)}"] = stored.pop(name)
    if overriding:
        log.info("%d tensors of %s/ are taken from %s/", len(overriding), TRANSFORMER, GLUE)
