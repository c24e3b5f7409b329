"""A published checkpoint folder -> a loaded model: headers first, then strict, then the weights."""

import hashlib
import re
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from .checkpoint_files import (
    CheckpointFolder,
    Converted,
    StoredTensor,
    TensorFiles,
    find_checkpoint,
    read_json,
)
from .config import MingConfig
from .errors import CheckpointError
from .key_map import (
    IGNORED,
    Place,
    adopt,
    component_tensors,
    expected_tensors,
    put,
    replace_tensor,
)
from .model import Components, MingModel
from .operations import Operations, TorchOperations
from .progress import Meter, Progress, Tick, unwatched
from .quantisation import operations_for
from .text_tokenizer import TextTokenizer

VISION = "vision."
SHOWN_PROBLEMS = 200
IDENTITY_FIGURES = 1 << 14  # of every tensor this many are read for the identity


@dataclass(frozen=True, slots=True)
class OpenCheckpoint:
    """A checkpoint whose configs and headers have been read and hold together."""

    folder: CheckpointFolder
    config: MingConfig
    stored: dict[str, StoredTensor]
    files: tuple[TensorFiles, ...]
    converted: Converted | None

    def read(self, name: str) -> torch.Tensor:
        """Return a tensor by its name in the big checkpoint, backed by the mapped file."""
        stored = self.stored[name]
        owner = next(f for f in self.files if f.folder == stored.path.parent)
        return owner.read(stored)

    def build(
        self, dtype: torch.dtype, operations: Operations, *, quantise: str | None = None
    ) -> Components:
        """Build the model this checkpoint fills, without memory (on the meta device)."""
        layers = operations_for(operations, self.quantisation or quantise)
        return Components.build(self.config, layers, dtype)

    @property
    def quantisation(self) -> str | None:
        """How the files are quantised; what was rounded once is loaded as it is."""
        return None if self.converted is None else self.converted.quantisation

    def match(self, components: Components) -> tuple[dict[str, Place], list[str]]:
        """Say where every tensor goes, and name every one that does not fit."""
        if self.converted is not None:
            places = component_tensors(components, self.stored)
            return places, compare(self.stored, places)
        places = expected_tensors(self.config, components)
        return places, [*_odd_figures(self.config, self.stored), *compare(self.stored, places)]


@contextmanager
def open_checkpoint(path: Path) -> Generator[OpenCheckpoint, None, None]:
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
        yield OpenCheckpoint(folder, config, stored, files, converted)


def compare(stored: dict[str, StoredTensor], places: dict[str, Place]) -> list[str]:
    """List every missing, unexpected, wrongly shaped or unreadable tensor."""
    problems = [f"missing: {name} {places[name].shape}" for name in places if name not in stored]
    for name, tensor in stored.items():
        if name not in places:
            if not IGNORED.fullmatch(name):
                problems.append(f"unexpected: {name} {tensor.shape}")
        elif tensor.shape != places[name].shape:
            problems.append(
                f"wrong shape: {name} is {tensor.shape}, config.json implies {places[name].shape}"
            )
        elif tensor.dtype not in places[name].dtypes:
            problems.append(
                f"unsupported dtype: {name} is {tensor.dtype}; supported: {places[name].dtypes}"
            )
    return problems


def first_of(problems: list[str]) -> list[str]:
    """Shorten a list of problems to what a dialog can show; `ming inspect` lists them all."""
    if len(problems) <= SHOWN_PROBLEMS:
        return problems
    rest = len(problems) - SHOWN_PROBLEMS
    return [*problems[:SHOWN_PROBLEMS], f"... and {rest} more; `ming inspect` lists them all"]


def load_model(
    path: Path,
    *,
    dtype: torch.dtype = torch.float32,
    quantise: str | None = None,
    operations: Operations = TorchOperations,
    progress: Progress | None = None,
) -> MingModel:
    """Load a published checkpoint folder into main memory, computing in `dtype`.

    quantise  names one of `QUANTISATIONS`: the large matrices of the language model and the flow
              head are then kept in 8 or 4 bits. A folder that was converted so stays as it is.

    Raises CheckpointError naming every missing, unexpected or wrongly shaped tensor, and
    ConfigError for unsupported figures, before anything large is allocated.
    """
    with open_checkpoint(path) as checkpoint:
        config = checkpoint.config
        components = checkpoint.build(dtype, operations, quantise=quantise)
        places, problems = checkpoint.match(components)
        if problems:
            raise CheckpointError(
                f"{checkpoint.folder.univision} does not fit its config.json:\n  "
                + "\n  ".join(first_of(problems))
                + "\nDownload or convert it again, all of it from one place."
            )
        tokenizer = read_tokenizer(checkpoint.folder, config)
        meter = Meter(progress, len(places))
        identity = identity_of(checkpoint, places, meter.check_cancelled)
        _bring_weights(checkpoint, components, places, meter)
        quantisation = checkpoint.quantisation or quantise
    if config.language.norm_head:
        normalise_head(components)
    return MingModel(identity, config, tokenizer, components, dtype, quantisation=quantisation)


def _bring_weights(
    checkpoint: OpenCheckpoint,
    components: Components,
    places: dict[str, Place],
    meter: Meter,
) -> None:
    """Fill the components tensor by tensor.

    What a converted file holds as the layer needs it stays in the mapped file; all else is copied.
    """
    for name, place in places.items():
        meter.check_cancelled()
        tensor = checkpoint.read(name)
        if checkpoint.converted is None or not adopt(components, place, tensor):
            put(components, place, tensor)
        meter.tick()
    for module in components.named().values():
        module.requires_grad_(requires_grad=False).eval()


def normalise_head(components: Components) -> None:
    """Give every channel of the vocabulary head unit length over the vocabulary (`norm_head`)."""
    head = components.language_model.transformer.lm_head
    weight = head.weight.data.float()
    lengths = weight.norm(dim=0, keepdim=True) + 1e-7
    replace_tensor(head, "weight", (weight / lengths).to(head.weight.dtype))


def read_tokenizer(folder: CheckpointFolder, config: MingConfig) -> TextTokenizer:
    """Read a checkpoint's tokenizer; raises CheckpointError when it does not fit the model."""
    home = folder.tokenizer_home()
    tokenizer = TextTokenizer.load(home)
    if tokenizer.max_id >= config.language.vocab_size:
        raise CheckpointError(
            f"{home / 'tokenizer.json'} has ids up to {tokenizer.max_id}, but config.json's "
            f"vocab_size is {config.language.vocab_size}; they belong to different checkpoints."
        )
    return tokenizer


def identity_of(
    checkpoint: OpenCheckpoint, places: dict[str, Place], tick: Tick = unwatched
) -> str:
    """Fingerprint a model: what it computes with, names and shapes, first figures of each tensor.

    Precision and file layout do not enter, so a context moves between both.
    """
    if checkpoint.converted is not None:
        return checkpoint.converted.identity
    language, mingtok = checkpoint.config.language, checkpoint.config.mingtok
    # What the shapes do not show. Named one by one, so that identities outlive a new config field.
    figures = (
        (language.num_heads, language.num_kv_heads, language.head_size),
        (language.rope_theta, language.rms_norm_eps, language.top_k),
        (language.norm_topk_prob, language.multi_gate, language.norm_head),
        (language.num_image_tokens, mingtok.mean, mingtok.scale),
        (mingtok.encoder.patch_size, mingtok.semantic.patch_size, mingtok.pixel.patch_size),
    )
    digest = hashlib.sha256(repr(figures).encode())
    for name in sorted(places):
        tick()
        stored = checkpoint.stored[name]
        digest.update(f"{name}{stored.shape}".encode())
        figures = checkpoint.read(name).flatten()[:IDENTITY_FIGURES]
        digest.update(figures.float().numpy().tobytes())
    return digest.hexdigest()[:32]


def _odd_figures(config: MingConfig, stored: dict[str, StoredTensor]) -> Iterator[str]:
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
        numbers = {int(m[1]) for m in (re.match(pattern, name) for name in stored) if m}
        if len(numbers) != stated:
            yield f"config.json says {key} = {stated}, the tensors have {len(numbers)}"
    if head is not None and head.shape[0] != flow.width:
        yield (
            f"config.json says vishead_diffloss_config.diffloss_w = {flow.width}, "
            f"the tensors have {head.shape[0]}"
        )
