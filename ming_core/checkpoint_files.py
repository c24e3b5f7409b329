"""Checkpoint folders and their safetensors files: what is there, whole and readable.

Knows nothing about the model: headers and names only, no tensor is read before it is asked for.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from .errors import CheckpointError
from .quantisation import QUANTISATIONS

INDEX_NAME = "model.safetensors.index.json"
PICKLE_SUFFIXES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
SEARCH_DEPTH = 2


@dataclass(frozen=True, slots=True)
class CheckpointFolder:
    """The two folders of a published checkpoint."""

    univision: Path
    mingtok: Path

    def tokenizer_home(self) -> Path:
        """Return the folder with the tokenizer: beside the weights, or a sibling that has one."""
        siblings = sorted(self.univision.parent.glob("*/tokenizer.json"))
        places = [self.univision, self.mingtok, *(file.parent for file in siblings)]
        found = (place for place in places if (place / "tokenizer.json").is_file())
        return next(found, self.univision)


COMPONENTS_NAME = "ming_components.json"
COMPONENTS_VERSION = 1
AS_PUBLISHED = "as published"


@dataclass(frozen=True, slots=True)
class Converted:
    """What `ming convert` noted of a folder: one file per component, named by our parameters."""

    identity: str
    quantisation: str | None

    @classmethod
    def find(cls, folder: Path) -> "Converted | None":
        """Read the note of a converted folder; None when the folder is as published."""
        path = folder / COMPONENTS_NAME
        if not path.is_file():
            return None
        note = read_json(path)
        if note.get("version") != COMPONENTS_VERSION:
            raise CheckpointError(
                f"{path} is of version {note.get('version')!r}; this pack reads version "
                f"{COMPONENTS_VERSION}. Update the pack, or convert the checkpoint again."
            )
        precision = str(note.get("precision"))
        known = (AS_PUBLISHED, *QUANTISATIONS)
        if precision not in known:
            raise CheckpointError(
                f"{path} says precision {precision!r}; this pack reads {', '.join(known)}. Update "
                "the pack, or convert the checkpoint again."
            )
        quantisation = None if precision == AS_PUBLISHED else precision
        return cls(str(note.get("identity")), quantisation)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; raises CheckpointError naming the file."""
    try:
        value = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing; download the folder again.") from None
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read as JSON ({error}).") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} holds {type(value).__name__}; expected a JSON object.")
    return value


def _has_config(folder: Path, key: str) -> bool:
    config = folder / "config.json"
    try:
        return config.is_file() and key in read_json(config)
    except CheckpointError:
        return False


def _subfolders(folder: Path) -> list[Path]:
    try:
        return sorted(child for child in folder.iterdir() if child.is_dir())
    except OSError:
        return []


def _with_config(folder: Path, key: str) -> list[Path]:
    return [child for child in _subfolders(folder) if _has_config(child, key)]


def list_checkpoints(root: Path) -> list[str]:
    """Name the Ming-UniVision folders at most two levels below `root`, relative to it."""
    found: list[str] = []
    level = [root]
    for _ in range(SEARCH_DEPTH):
        level = [child for folder in level for child in _subfolders(folder)]
        found += [f.relative_to(root).as_posix() for f in level if _has_config(f, "llm_config")]
    return sorted(found)


def find_checkpoint(path: Path) -> CheckpointFolder:
    """Find the two folders of a checkpoint from either of them or the folder around them.

    Raises CheckpointError saying what was looked for where.
    """
    if not path.is_dir():
        raise CheckpointError(
            f"{path} is no folder; expected a folder with Ming-UniVision and MingTok-Vision."
        )
    neighbours = path.parent if _has_config(path, "low_level_encoder") else path
    univision = [path] if _has_config(path, "llm_config") else []
    univision += [] if univision else _with_config(neighbours, "llm_config")
    if not univision:
        _refuse_broken_configs([path, *_subfolders(neighbours)])
    if len(univision) != 1:
        seen = ", ".join(f.name for f in univision) or "none"
        raise CheckpointError(
            f"{path} should hold one Ming-UniVision folder (a config.json with llm_config); "
            f"found: {seen}. Name the folder itself."
        )
    mingtok = _with_config(univision[0], "low_level_encoder")
    mingtok += _with_config(univision[0].parent, "low_level_encoder")
    if not mingtok:
        _refuse_broken_configs([*_subfolders(univision[0]), *_subfolders(univision[0].parent)])
        raise CheckpointError(
            f"No MingTok-Vision folder beside {univision[0]}: a folder whose config.json has "
            "low_level_encoder. Its config.json is needed even though its weights may lie in "
            "Ming-UniVision; put MingTok-Vision beside it."
        )
    return CheckpointFolder(univision[0], mingtok[0])


def _refuse_broken_configs(folders: list[Path]) -> None:
    """Raise the error of the first config.json that is there but cannot be read."""
    for folder in folders:
        if (folder / "config.json").is_file():
            read_json(folder / "config.json")


def stored_quantisation(path: Path) -> str | None:
    """Return what `ming convert` quantised a checkpoint folder to; None where it did not."""
    converted = Converted.find(find_checkpoint(path).univision)
    return None if converted is None else converted.quantisation


def looks_whole(folder: Path) -> bool:
    """Whether every weight file of a folder is there in the length its header states; cheap."""
    try:
        index = folder / INDEX_NAME
        names = set(read_json(index)["weight_map"].values()) if index.is_file() else set[str]()
        files = [folder / name for name in names] or list(folder.glob("*.safetensors"))
        return bool(files) and all(path.stat().st_size == _stated_size(path) for path in files)
    except (OSError, KeyError, TypeError, ValueError, AttributeError, CheckpointError):
        return False


def _stated_size(path: Path) -> int:
    """Return how long the header of a safetensors file says it is."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > path.stat().st_size:
            return -1
        entries = json.loads(file.read(length))
    ends = [entry["data_offsets"][1] for name, entry in entries.items() if name != "__metadata__"]
    return 8 + length + max(ends, default=0)


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """Where a tensor lies, and what its header says."""

    path: Path
    name: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def num_elements(self) -> int:
        """Figures in the tensor."""
        count = 1
        for size in self.shape:
            count *= size
        return count


class TensorFiles:
    """The safetensors files of one folder, opened memory-mapped; close it, or use it in `with`."""

    def __init__(self, folder: Path, only: str | None = None) -> None:
        """Open every file (or one) and check it against the index; raises CheckpointError."""
        self.folder = folder
        self._files: dict[Path, Any] = {}
        self.tensors: dict[str, StoredTensor] = {}
        for path in self._paths() if only is None else [folder / only]:
            self._open(path)
        self._check_index()

    def __enter__(self) -> "TensorFiles":
        return self

    def __exit__(self, *exception: object) -> None:
        self._files.clear()

    def read(self, stored: StoredTensor) -> Tensor:
        """Return a tensor, backed by the mapped file."""
        return self._files[stored.path].get_tensor(stored.name)

    def _index(self) -> dict[str, str]:
        path = self.folder / INDEX_NAME
        if not path.is_file():
            return {}
        weight_map = read_json(path).get("weight_map")
        if not isinstance(weight_map, dict) or not weight_map:
            raise CheckpointError(f"{path} has no weight_map; download it again.")
        for file in weight_map.values():
            if Path(str(file)).name != file:
                raise CheckpointError(f"{path} names {file!r}, which lies outside its folder.")
        return weight_map

    def _paths(self) -> list[Path]:
        paths = sorted({self.folder / file for file in self._index().values()})
        if not paths:
            paths = sorted(self.folder.glob("*.safetensors"))
        missing = [path.name for path in paths if not path.is_file()]
        if missing:
            raise CheckpointError(
                f"{self.folder} lacks {', '.join(missing)}, which its index names. "
                "The download is incomplete: fetch the missing files."
            )
        if not paths:
            pickles = [f.name for f in self.folder.iterdir() if f.suffix in PICKLE_SUFFIXES]
            if pickles:
                raise CheckpointError(
                    f"{self.folder} holds only pickle files ({', '.join(sorted(pickles))}), which "
                    "can run code when read. Only safetensors is read: download that version."
                )
            raise CheckpointError(
                f"{self.folder} holds no weights (*.safetensors), only the files beside them. "
                "The download is incomplete: fetch the missing files."
            )
        return paths

    def _open(self, path: Path) -> None:
        try:
            file = safe_open(str(path), framework="pt", device="cpu")
        except (SafetensorError, OSError) as error:
            raise CheckpointError(
                f"{path} is no whole safetensors file ({error}; {path.stat().st_size} bytes). "
                "It is truncated or of another kind: download it again."
            ) from error
        self._files[path] = file
        for name in file.keys():  # noqa: SIM118  not a dict
            header = file.get_slice(name)
            if name in self.tensors:
                raise CheckpointError(
                    f"The tensor {name} lies in both {self.tensors[name].path.name} and "
                    f"{path.name}; the folder mixes two checkpoints."
                )
            stored = StoredTensor(path, name, tuple(header.get_shape()), header.get_dtype())
            self.tensors[name] = stored

    def _check_index(self) -> None:
        lost = [
            f"{name} ({file})"
            for name, file in self._index().items()
            if name not in self.tensors or self.tensors[name].path.name != file
        ]
        if lost:
            raise CheckpointError(
                f"{self.folder / INDEX_NAME} names tensors its files do not hold: "
                f"{', '.join(lost)}. Download the index and the shards again, together."
            )
