"""A checkpoint of any family -> a loaded model: headers first, then strict, then the weights."""

import hashlib
import logging
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn

from .component_files import Converted
from .errors import CheckpointError
from .fitting import Need
from .foreign_text import plain
from .operations import Operations, TorchOperations
from .places import (
    Place,
    adopt,
    compare,
    component_tensors,
    first_of,
    fits,
    layer_of,
    put,
    use_stored_dtype,
)
from .processor_formats import is_laid_out_anew, lay_out_for_processor
from .progress import Callback, Progress, ProgressBar, no_callback
from .quantisation import QUANTISATIONS, operations_for, quantised_leaves
from .tensor_files import StoredTensor, TensorFiles
from .text_tokenizer import TextTokenizer

IDENTITY_FIGURES = 1 << 14  # of every tensor this many are read for the identity
FAR_MORE = 4  # times as many tensors as there are; what is nearer is built, and compared by name


class Parts(Protocol):
    """A built model's parts, which a host may move separately."""

    def named(self) -> dict[str, nn.Module]:
        """Return the components by name."""
        ...


class LoadedModel(Protocol):
    """What is asked of a loaded model without knowing its family.

    `device` is where it computes; a host that moves components sets it before every call.
    `steady` names the components that every token reads, which are better kept than paged.
    """

    identity: str
    dtype: torch.dtype
    device: torch.device
    quantisation: str | None

    @property
    def family(self) -> str:
        """The family's name for people."""
        ...

    @property
    def abilities(self) -> frozenset[str]:
        """What can be asked of it (`abilities.py`)."""
        ...

    @property
    def components(self) -> dict[str, nn.Module]:
        """The components by name, for a host that moves them."""
        ...

    @property
    def steady(self) -> tuple[str, ...]:
        """The components that every token reads."""
        ...

    @property
    def hot(self) -> nn.Module | None:
        """What is read so often for each token that it must not be streamed; None: nothing is."""
        ...


PartsT = TypeVar("PartsT", bound=Parts)
TokenizerT = TypeVar("TokenizerT", bound=TextTokenizer)
ModelT = TypeVar("ModelT", bound=LoadedModel)


class OpenCheckpoint(ABC, Generic[PartsT, TokenizerT, ModelT]):
    """A checkpoint whose configs and headers have been read and hold together.

    stored         every tensor, by the name it has there
    quantisations  those that differ for its family
    """

    stored: Mapping[str, StoredTensor]
    files: tuple[TensorFiles, ...]
    converted: Converted | None
    quantisations: ClassVar[Sequence[str]] = tuple(QUANTISATIONS)

    @property
    @abstractmethod
    def home(self) -> Path:
        """The folder that errors name."""

    @abstractmethod
    def parts(self, dtype: torch.dtype, layers: Operations) -> PartsT:
        """Build the model from a namespace of layers, without memory (on the meta device)."""

    @abstractmethod
    def expected(self, components: Mapping[str, nn.Module]) -> dict[str, Place]:
        """Return every tensor a published checkpoint must hold, and where it goes."""

    @abstractmethod
    def problems(self, places: Mapping[str, Place]) -> Iterator[str]:
        """Yield what contradicts the config in a published checkpoint, tensor by tensor."""

    @abstractmethod
    def figures(self) -> object:
        """Return what the model computes with that no shape shows, for its identity."""

    @abstractmethod
    def read_tokenizer(self) -> TokenizerT:
        """Read the tokenizer; raises CheckpointError when it does not fit the model."""

    @abstractmethod
    def assemble(
        self,
        parts: PartsT,
        tokenizer: TokenizerT,
        identity: str,
        dtype: torch.dtype,
        quantisation: str | None,
    ) -> ModelT:
        """Make the loaded model of parts that hold their weights."""

    @abstractmethod
    def need(self, precision: str, floats: torch.dtype) -> Need:
        """Return what the checkpoint needs in a precision; nothing is allocated."""

    @abstractmethod
    def small_files(self) -> Iterator[tuple[Path, str]]:
        """Yield every small file a converted folder needs, and its place in that folder."""

    @abstractmethod
    def folders(self) -> dict[str, Path]:
        """Return the folders it lies in by their names for people, the main one first."""

    def least_tensors(self) -> int:
        """Return how many tensors the counts in the config imply at least, by figures alone."""
        return 0

    def particulars(self) -> Mapping[str, str]:
        """Return what its files say that differs from checkpoint to checkpoint, for people."""
        return {}

    @property
    def quantisation(self) -> str | None:
        """How the files are quantised; what was rounded once is loaded as it is."""
        return None if self.converted is None else self.converted.quantisation

    def read(self, name: str, *, stays: bool = False) -> Tensor:
        """Return a tensor by its name, as `TensorFiles.read` does."""
        stored = self.stored[name]
        owner = next(f for f in self.files if f.folder == stored.path.parent)
        return owner.read(stored, stays=stays)

    def build(
        self, dtype: torch.dtype, operations: Operations, *, quantise: str | None = None
    ) -> PartsT:
        """Build the parts this checkpoint fills, without memory (on the meta device).

        Raises CheckpointError for a config that implies far more than the files hold: building
        that would take for ever.
        """
        least, held = self.least_tensors(), len(self.stored)
        if least > FAR_MORE * (held + 1):
            raise CheckpointError(
                f"{self.home} does not fit its config.json: that implies {least:,} tensors or "
                f"more, the files hold {held:,}. Download all of it from one place."
            )
        try:
            return self.parts(dtype, operations_for(operations, self.quantisation or quantise))
        except RuntimeError as error:  # a shape beyond what torch can count
            raise CheckpointError(
                f"{self.home}: no model of the size in its config.json can be built "
                f"({plain(error)}). Download it again."
            ) from error

    def match(self, parts: PartsT) -> tuple[dict[str, Place], list[str]]:
        """Say where every tensor goes, and name every one that does not fit."""
        if self.converted is not None:
            places = component_tensors(parts.named(), self.stored)
            return places, compare(self.stored, places)
        places = self.expected(parts.named())
        return places, list(self.problems(places))

    def identity(self, places: Mapping[str, Place], callback: Callback = no_callback) -> str:
        """Fingerprint a model: its figures, names and shapes, first numbers of each tensor.

        Precision and file layout do not enter, so what a model made moves between both.
        """
        if self.converted is not None:
            return self.converted.identity
        digest = hashlib.sha256(repr(self.figures()).encode())
        for name in sorted(places):
            callback()
            digest.update(f"{name}{self.stored[name].shape}".encode())
            first = self.read(name).flatten()[:IDENTITY_FIGURES]
            digest.update(first.float().numpy().tobytes())
        return digest.hexdigest()[:32]


def load(
    checkpoint: OpenCheckpoint[PartsT, TokenizerT, ModelT],
    dtype: torch.dtype,
    *,
    quantise: str | None = None,
    operations: Operations = TorchOperations,
    on_processor: bool = False,
    progress: Progress | None = None,
) -> ModelT:
    """Load an open checkpoint into main memory, computing in `dtype`.

    quantise      names one of `QUANTISATIONS`: large matrices are then kept in 8 or 4 bits. A
                  folder that was converted so stays as it is.
    on_processor  the model will never leave main memory, so few bits may be laid out for the
                  processor's own products

    Raises CheckpointError naming every missing, unexpected or wrongly shaped tensor, before
    anything large is allocated.
    """
    parts = checkpoint.build(dtype, operations, quantise=quantise)
    places, problems = checkpoint.match(parts)
    if problems:
        raise CheckpointError(
            f"{checkpoint.home} does not fit its config.json:\n  "
            + "\n  ".join(first_of(problems))
            + "\nDownload or convert it again, all of it from one place."
        )
    tokenizer = checkpoint.read_tokenizer()
    bar = ProgressBar(progress, len(places))
    identity = checkpoint.identity(places, bar.check_cancelled)
    quantisation = checkpoint.quantisation or quantise
    if on_processor and quantisation:  # where main memory is what there is too little of
        _keep_as_stored(checkpoint, parts, places)
    _bring_weights(checkpoint, parts, places, bar, on_processor=on_processor)
    _say_what_is_wider(checkpoint, parts)
    if on_processor:
        lay_out_for_processor(parts.named().values())
    return checkpoint.assemble(parts, tokenizer, identity, dtype, quantisation)


def _keep_as_stored(
    checkpoint: OpenCheckpoint[PartsT, TokenizerT, ModelT],
    parts: PartsT,
    places: Mapping[str, Place],
) -> None:
    """Keep components that widen their weights themselves in the formats of the files."""
    components = parts.named()
    for name, place in places.items():
        if getattr(components[place.component], "widens_weights", False):
            use_stored_dtype(components, place, checkpoint.stored[name])


def _bring_weights(
    checkpoint: OpenCheckpoint[PartsT, TokenizerT, ModelT],
    parts: PartsT,
    places: Mapping[str, Place],
    bar: ProgressBar,
    *,
    on_processor: bool,
) -> None:
    """Fill the components tensor by tensor.

    What a converted file holds as the layer needs it stays in the mapped file; all else is copied,
    and its pages are let go.
    """
    components = parts.named()
    for name, place in places.items():
        bar.check_cancelled()
        stored = checkpoint.stored[name]
        layer, _ = layer_of(components, place)
        moves = on_processor and is_laid_out_anew(layer)
        stays = checkpoint.converted is not None and fits(components, place, stored) and not moves
        bring = adopt if stays else put
        bring(components, place, checkpoint.read(name, stays=stays))
        bar.update()
    for module in components.values():
        module.requires_grad_(requires_grad=False).eval()


def _say_what_is_wider(
    checkpoint: OpenCheckpoint[PartsT, TokenizerT, ModelT], parts: Parts
) -> None:
    """Tell how many matrices are kept in 8 bits because 4 do not fit their widths."""
    leaves = quantised_leaves(parts.named().values())
    odd = [leaf for leaf in leaves if leaf.too_odd]
    if odd:
        widths = ", ".join(str(width) for width in sorted({leaf.shape[-1] for leaf in odd}))
        logging.getLogger("ming").info(
            "%s: %d of %d large matrices have widths that 4 bits cannot take (%s) and are kept "
            "in 8.", checkpoint.home.name, len(odd), len(leaves), widths,
        )  # fmt: skip
