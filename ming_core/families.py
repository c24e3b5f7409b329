"""Which family a checkpoint folder holds: the one door to finding, opening and loading it."""

from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol

import torch

from . import conversion
from .checkpoint import LoadedModel, OpenCheckpoint, load
from .component_files import Converted
from .errors import CheckpointError
from .fitting import FLOATS, Choice, Room, choose, needs_of
from .foreign_files import entries_of, subfolders
from .lite_uni import checkpoint as lite_uni
from .operations import Operations, TorchOperations
from .progress import Progress
from .tensor_files import looks_whole as files_look_whole
from .tensor_files import read_json
from .univision import checkpoint as univision

SEARCH_DEPTH = 2
CONFIG_NAME = "config.json"


class Family(Protocol):
    """What is asked of a family before one of its checkpoints is open."""

    @property
    def NAME(self) -> str:  # noqa: N802  a constant of a module
        """The name for people."""
        ...

    @property
    def ABILITIES(self) -> frozenset[str]:  # noqa: N802  a constant of a module
        """What can be asked of its models (`abilities.py`)."""
        ...

    def holds(self, path: Path) -> bool:
        """Whether a folder is, by its small files, the main folder of a checkpoint; cheap."""
        ...

    def main_folder(self, path: Path) -> Path | None:
        """Return the main folder of the checkpoint that a folder is, holds or belongs to."""
        ...

    def folders(self, path: Path) -> dict[str, Path]:
        """Return the folders of a checkpoint by name, the main one first."""
        ...

    def weight_folders(self, path: Path) -> list[Path]:
        """Return the folders whose weight files must all be there."""
        ...

    def open_checkpoint(self, path: Path) -> AbstractContextManager[Any]:
        """Open configs and headers; raises CheckpointError or ConfigError."""
        ...


FAMILIES: tuple[Family, ...] = (univision, lite_uni)


def family_of(path: Path) -> Family:
    """Return the family of a checkpoint folder; where none is seen, the first one, which says why.

    The first family's errors name what was looked for where.
    """
    return next((f for f in FAMILIES if f.main_folder(path) is not None), FAMILIES[0])


def list_checkpoints(root: Path, ability: str | None = None) -> list[str]:
    """Name the checkpoints at most two levels below `root`, relative to it.

    ability  that their families must have; None names those of every family
    """
    able = [f for f in FAMILIES if ability is None or ability in f.ABILITIES]
    found = (f for f in _folders_in(root, SEARCH_DEPTH) if any(k.holds(f) for k in able))
    return sorted(folder.relative_to(root).as_posix() for folder in found)


def unreadable_configs(root: Path) -> list[str]:
    """Say of every config.json at most two levels below `root` why it cannot be read, if so."""
    said: list[str] = []
    for folder in _folders_in(root, SEARCH_DEPTH):
        if any(path.name == CONFIG_NAME for path in entries_of(folder)):
            try:
                read_json(folder / CONFIG_NAME)
            except CheckpointError as error:
                said.append(str(error))
    return said


def _folders_in(folder: Path, depth: int) -> Iterator[Path]:
    for child in subfolders(folder):
        yield child
        if depth > 1:
            yield from _folders_in(child, depth - 1)


def folders_of(path: Path) -> dict[str, Path]:
    """Return the folders of a checkpoint by name, the main one first; raises CheckpointError."""
    return family_of(path).folders(path)


def _main_folder(path: Path) -> Path:
    return next(iter(folders_of(path).values()))


def looks_whole(path: Path) -> bool:
    """Whether every weight file of a checkpoint is there in the length its header states; cheap."""
    try:
        return all(files_look_whole(folder) for folder in family_of(path).weight_folders(path))
    except CheckpointError:
        return False


def stored_quantisation(path: Path) -> str | None:
    """Return what `ming convert` quantised a checkpoint folder to; None where it did not."""
    converted = Converted.find(_main_folder(path))
    return None if converted is None else converted.quantisation


@contextmanager
def open_checkpoint(path: Path) -> Generator[OpenCheckpoint[Any, Any, Any], None, None]:
    """Open a checkpoint of any family; raises CheckpointError or ConfigError."""
    with family_of(path).open_checkpoint(path) as checkpoint:
        yield checkpoint


def pick_precision(path: Path, room: Room) -> Choice:
    """Pick the precision to load a checkpoint folder in; raises CheckpointError if none fits."""
    with open_checkpoint(path) as checkpoint:
        return choose(needs_of(checkpoint, FLOATS[room.floats]), room)


def load_model(
    path: Path,
    *,
    dtype: torch.dtype = torch.float32,
    quantise: str | None = None,
    operations: Operations = TorchOperations,
    on_processor: bool = False,
    progress: Progress | None = None,
) -> Any:  # noqa: ANN401  a LoadedModel, of the family's own kind
    """Load a checkpoint folder of any family into main memory (see `checkpoint.load`)."""
    with open_checkpoint(path) as checkpoint:
        return load(
            checkpoint,
            dtype,
            quantise=quantise,
            operations=operations,
            on_processor=on_processor,
            progress=progress,
        )


def convert(
    source: Path, target: Path, *, quantise: str | None = None, progress: Progress | None = None
) -> Path:
    """Write a checkpoint folder as one file per component (see `conversion.convert`)."""
    with open_checkpoint(source) as checkpoint:
        return conversion.convert(checkpoint, target, quantise=quantise, progress=progress)


__all__ = [
    "FAMILIES",
    "LoadedModel",
    "convert",
    "family_of",
    "folders_of",
    "list_checkpoints",
    "load_model",
    "looks_whole",
    "open_checkpoint",
    "pick_precision",
    "stored_quantisation",
    "unreadable_configs",
]
