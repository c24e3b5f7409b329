"""The safetensors files of a folder, and the JSON beside them: what is there, whole and readable.

Knows nothing about models: headers and names only, no tensor is read before it is asked for.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from .errors import CheckpointError

INDEX_PATTERN = "*.safetensors.index.json"  # model, or diffusion_pytorch_model
PICKLE_SUFFIXES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")


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


def looks_whole(folder: Path) -> bool:
    """Whether every weight file of a folder is there in the length its header states; cheap."""
    try:
        index = index_of(folder)
        names = set[str]() if index is None else set(read_json(index)["weight_map"].values())
        files = [folder / name for name in names] or list(folder.glob("*.safetensors"))
        return bool(files) and all(path.stat().st_size == _stated_size(path) for path in files)
    except (OSError, KeyError, TypeError, ValueError, AttributeError, CheckpointError):
        return False


def index_of(folder: Path) -> Path | None:
    """Return the index of a folder's shards, if it has one."""
    return next(iter(sorted(folder.glob(INDEX_PATTERN))), None)


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
        path = index_of(self.folder)
        if path is None:
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
                f"{index_of(self.folder)} names tensors its files do not hold: "
                f"{', '.join(lost)}. Download the index and the shards again, together."
            )
