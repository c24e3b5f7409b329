"""The safetensors files of a folder, and the JSON beside them: what is there, whole and readable.

Knows nothing about models: headers and names only, no tensor is read before it is asked for.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from .errors import CheckpointError, ForeignError, MingError
from .foreign_code import guarded
from .foreign_files import is_plain_file, open_plain
from .foreign_json import parse_json, read_any_json
from .foreign_text import plain, several, shown

INDEX_PATTERN = "*.safetensors.index.json"  # model, or diffusion_pytorch_model
PICKLE_SUFFIXES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
MOST_HEADER = 100_000_000  # bytes, by the format
# Bytes read of a mapped file until it is mapped anew: pages that were read stay in memory as long
# as anything of their mapping is held.
PASSING = 1 << 28


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; raises CheckpointError naming the file."""
    try:
        value = read_any_json(path)
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing; download the folder again.") from None
    except ForeignError as error:
        raise CheckpointError(f"{error} Download it again.") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} holds {type(value).__name__}; expected a JSON object.")
    return value


def looks_whole(folder: Path) -> bool:
    """Whether every weight file of a folder is there in the length its header states; cheap."""
    try:
        return all(path.stat().st_size == _stated_size(path) for path in weight_files(folder))
    except (OSError, LookupError, TypeError, ValueError, AttributeError, MingError):
        return False


def index_of(folder: Path) -> Path | None:
    """Return the index of a folder's shards, if it has one."""
    return next(iter(sorted(filter(is_plain_file, folder.glob(INDEX_PATTERN)))), None)


def _stated_size(path: Path) -> int:
    """Return how long the header of a safetensors file says it is."""
    with open_plain(path) as file:
        length = int.from_bytes(file.read(8), "little")
        if length > MOST_HEADER:
            return -1
        entries = parse_json(file.read(length), plain(path))
    ends = [entry["data_offsets"][1] for name, entry in entries.items() if name != "__metadata__"]
    return 8 + length + max(ends, default=0)


def weight_files(folder: Path) -> list[Path]:
    """Return the weight files of a folder, those its index names if it has one.

    Raises CheckpointError naming what is missing.
    """
    named = sorted({folder / file for file in read_index(folder).values()})
    paths = named or sorted(filter(is_plain_file, folder.glob("*.safetensors")))
    missing = [plain(path.name) for path in paths if not is_plain_file(path)]
    if missing:
        raise CheckpointError(
            f"{folder} lacks {several(missing)}, which its index names. "
            "The download is incomplete: fetch the missing files."
        )
    if not paths:
        pickles = [plain(f.name) for f in folder.iterdir() if f.suffix in PICKLE_SUFFIXES]
        if pickles:
            raise CheckpointError(
                f"{folder} holds only pickle files ({several(sorted(pickles))}), which "
                "can run code when read. Only safetensors is read: download that version."
            )
        raise CheckpointError(
            f"{folder} holds no weights (*.safetensors), only the files beside them. "
            "The download is incomplete: fetch the missing files."
        )
    return paths


def read_index(folder: Path) -> dict[str, str]:
    """Return which file holds each tensor; empty where a folder has no index."""
    path = index_of(folder)
    if path is None:
        return {}
    weight_map = read_json(path).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(f"{path} has no weight_map; download it again.")
    for file in weight_map.values():
        if not isinstance(file, str) or Path(file).name != file:
            raise CheckpointError(f"{path} names {shown(file)}, which lies outside its folder.")
    return weight_map


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


def open_tensors(
    path: Path, error_of: Callable[[str], MingError]
) -> tuple[Any, dict[str, StoredTensor]]:
    """Open a safetensors file, memory-mapped; return it, and what its header says.

    error_of  makes the error of a file that cannot be read, of the reason
    """
    if not is_plain_file(path):
        raise error_of("it is no file")
    with guarded(error_of, SafetensorError, OSError):
        file = safe_open(str(path), framework="pt", device="cpu")
        headers = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118  no dict
        return file, {
            name: StoredTensor(path, name, tuple(header.get_shape()), header.get_dtype())
            for name, header in headers.items()
        }


class TensorFiles:
    """The safetensors files of one folder, opened memory-mapped; close it, or use it in `with`."""

    def __init__(self, folder: Path, only: str | None = None) -> None:
        """Open every file (or one) and check it against the index; raises CheckpointError."""
        self.folder = folder
        self._files: dict[Path, Any] = {}
        # The file that was last read from, mapped once more, and the bytes that it may still read.
        self._passing: dict[Path, tuple[Any, int]] = {}
        self.tensors: dict[str, StoredTensor] = {}
        for path in weight_files(folder) if only is None else [folder / only]:
            self._open(path)
        self._check_index()

    def __enter__(self) -> "TensorFiles":
        return self

    def __exit__(self, *exception: object) -> None:
        self._files.clear()
        self._passing.clear()

    def read(self, stored: StoredTensor, *, stays: bool = False) -> Tensor:
        """Return a tensor, backed by the mapped file.

        stays  it will be held for good; others are let go soon, and leave memory then
        """
        with guarded(_unreadable(stored.path), SafetensorError, OSError):
            file = self._files[stored.path] if stays else self._soon_let_go(stored.path)
            tensor: Tensor = file.get_tensor(stored.name)
        if not stays:
            self._passing[stored.path] = file, self._passing[stored.path][1] - tensor.nbytes
        if tensor.numel() != stored.num_elements:
            raise CheckpointError(f"{stored.path} was replaced while it was read; load it again.")
        return tensor

    def _soon_let_go(self, path: Path) -> Any:  # noqa: ANN401  safetensors' own
        """Return a mapping of a file that little was read of."""
        file, left = self._passing.get(path, (None, 0))
        if left <= 0:
            self._passing.clear()
            file, left = safe_open(str(path), framework="pt", device="cpu"), PASSING
            self._passing[path] = file, left
        return file

    def _open(self, path: Path) -> None:
        self._files[path], found = open_tensors(path, _unreadable(path))
        for name, stored in found.items():
            if name in self.tensors:
                raise CheckpointError(
                    f"The tensor {plain(name)} lies in both {self.tensors[name].path.name} and "
                    f"{path.name}; the folder mixes two checkpoints."
                )
            self.tensors[name] = stored

    def _check_index(self) -> None:
        lost = [
            f"{plain(name)} ({file})"
            for name, file in read_index(self.folder).items()
            if name not in self.tensors or self.tensors[name].path.name != file
        ]
        if lost:
            raise CheckpointError(
                f"{index_of(self.folder)} names tensors its files do not hold: "
                f"{several(lost)}. Download the index and the shards again, together."
            )


def _unreadable(path: Path) -> Callable[[str], CheckpointError]:
    def error_of(reason: str) -> CheckpointError:
        size = path.stat().st_size if is_plain_file(path) else 0
        return CheckpointError(
            f"{path} is no whole safetensors file ({reason}; {size} bytes). "
            "It is truncated or of another kind: download it again."
        )

    return error_of
