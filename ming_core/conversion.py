"""A published checkpoint -> one safetensors file per component, optionally quantised.

Written tensor by tensor, so that it needs little memory, goes on where it was stopped, and is held
against its source afterwards.
"""

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor, nn

from .checkpoint import OpenCheckpoint
from .component_files import AS_PUBLISHED, COMPONENTS_NAME, COMPONENTS_VERSION
from .errors import CheckpointError
from .foreign_files import is_plain_file
from .foreign_text import shown
from .kernels.processor import ALIGNMENT
from .operations import TorchOperations
from .places import (
    STORED_NAMES,
    Components,
    Place,
    first_of,
    layer_of,
    put,
    replace_tensor,
    use_stored_dtype,
)
from .progress import Progress, ProgressBar
from .tensor_files import TensorFiles, read_json

Source = OpenCheckpoint[Any, Any, Any]  # of any family
UNFINISHED_NAME = "ming_components.unfinished.json"


@dataclass(frozen=True, slots=True)
class Job:
    """One tensor of a component file: its layer, and the checkpoint tensors it is made of."""

    name: str
    component: str
    layer: nn.Module
    own_name: str
    sources: tuple[tuple[str, Place], ...]


def convert(
    checkpoint: Source,
    target: Path,
    *,
    quantise: str | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write an open published checkpoint as one file per component into `target`; returns it.

    quantise  names one of `QUANTISATIONS`; None keeps every tensor as published
    Each file appears under its own name only when it is whole. Raises CheckpointError when the
    source is unusable, the disk is too small, or what was written differs from the source.
    """
    if checkpoint.converted is not None:
        raise CheckpointError(f"{checkpoint.home} is converted already; give the published folder.")
    parts = checkpoint.build(torch.float32, TorchOperations, quantise=quantise)
    places, problems = checkpoint.match(parts)
    if problems:
        listed = "\n  ".join(first_of(problems))
        raise CheckpointError(f"{checkpoint.home} cannot be converted:\n  {listed}")
    note = {
        "version": COMPONENTS_VERSION,
        "identity": checkpoint.identity(places),
        "precision": quantise or AS_PUBLISHED,
    }
    components = parts.named()
    _claim(target, list(checkpoint.folders().values()), note)
    for name, place in places.items():
        use_stored_dtype(components, place, checkpoint.stored[name])
    jobs = list(_jobs(components, places))
    _check_space(target, components)
    bar = ProgressBar(progress, 2 * len(jobs))
    _copy_small_files(checkpoint, target)
    for component in components:
        own = [job for job in jobs if job.component == component]
        written = ComponentFile(target / f"{component}.safetensors", own, note)
        written.write(checkpoint, components, bar)
        written.verify(checkpoint, components, bar)
    # Last: a folder without this name is not taken for a converted one.
    (target / UNFINISHED_NAME).replace(target / COMPONENTS_NAME)
    return target


def _claim(target: Path, sources: Sequence[Path], note: dict[str, Any]) -> None:
    """Refuse a target that holds anything but an earlier try of this very conversion."""
    own, place = [p.resolve() for p in sources], target.resolve()
    if any(place == p or place in p.parents or p in place.parents for p in own):
        raise CheckpointError(f"{target} is, holds or lies in the checkpoint; name a new folder.")
    if target.exists() and not target.is_dir():
        raise CheckpointError(f"{target} is a file; name a new folder.")
    notes = [target / name for name in (COMPONENTS_NAME, UNFINISHED_NAME)]
    found = [read_json(path) for path in notes if is_plain_file(path)]
    begun = notes[1].with_name(UNFINISHED_NAME + ".part")  # of a try that was killed over its note
    is_used = target.is_dir() and any(path != begun for path in target.iterdir())
    if is_used and found[:1] != [note]:
        held = f"the conversion of {shown(found[0])}" if found else "files of another kind"
        raise CheckpointError(f"{target} holds {held}; name an empty folder, or delete it first.")
    target.mkdir(parents=True, exist_ok=True)
    begun.write_text(json.dumps(note, indent=1), encoding="utf-8")
    begun.replace(notes[1])
    notes[0].unlink(missing_ok=True)


def _jobs(components: Components, places: dict[str, Place]) -> Iterator[Job]:
    """List the tensors to write, in the order of the file."""
    sources: dict[str, list[tuple[str, Place]]] = {}
    for name, place in places.items():
        sources.setdefault(f"{place.component}.{place.parameter}", []).append((name, place))
    for component, module in components.items():
        for path in module.state_dict(keep_vars=True):
            layer, own = layer_of(components, Place(component, path, (), ()))
            name = f"{component}.{path}"
            weight = name.removesuffix("scale") + "weight" if own == "scale" else name
            yield Job(name, component, layer, own, tuple(sources[weight]))


def _produce(checkpoint: Source, components: Components, job: Job) -> Tensor:
    """Make one tensor from its sources; the layer is left without memory again.

    But for scales: they come about with the weight, and stay until it is their turn.
    """
    if getattr(job.layer, job.own_name).is_meta:
        for name, place in job.sources:
            put(components, place, checkpoint.read(name))
    made = getattr(job.layer, job.own_name).detach()
    for own in ("weight", "scale") if job.own_name == "scale" else (job.own_name,):
        tensor = getattr(job.layer, own)
        replace_tensor(job.layer, own, torch.empty_like(tensor, device="meta"))
    return made


class ComponentFile:
    """One component's safetensors file, written tensor by tensor under a name of its own."""

    def __init__(self, path: Path, jobs: list[Job], note: dict[str, Any]) -> None:
        self.path, self.jobs = path, jobs
        entries: dict[str, Any] = {"__metadata__": {k: str(value) for k, value in note.items()}}
        self.starts = [0]
        for job in jobs:
            tensor: Tensor = getattr(job.layer, job.own_name)
            end = self.starts[-1] + tensor.nbytes
            entries[job.name] = {
                "dtype": STORED_NAMES[tensor.dtype],
                "shape": list(tensor.shape),
                "data_offsets": [self.starts[-1], end],
            }
            self.starts.append(end)
        text = json.dumps(entries, separators=(",", ":")).encode()
        text += b" " * (-(8 + len(text)) % ALIGNMENT)  # where a processor likes to load from
        self.header = len(text).to_bytes(8, "little") + text

    def write(self, checkpoint: Source, components: Components, bar: ProgressBar) -> None:
        """Write the file, going on behind the last whole tensor of an earlier try."""
        if self._is_written():
            for _ in self.jobs:
                bar.update()
            return
        unfinished = self.path.with_name(self.path.name + ".part")
        with unfinished.open("r+b" if unfinished.is_file() else "w+b") as file:
            done = self._tensors_written(file)
            file.seek(len(self.header) + self.starts[done])
            file.truncate()
            for index, job in enumerate(self.jobs):
                bar.check_cancelled()
                if index >= done:
                    tensor = _produce(checkpoint, components, job)
                    file.write(tensor.contiguous().view(torch.uint8).numpy().data)
                bar.update()
            file.flush()
            os.fsync(file.fileno())  # or a power cut could leave a whole name on half a file
        unfinished.replace(self.path)

    def verify(self, checkpoint: Source, components: Components, bar: ProgressBar) -> None:
        """Read the file back and compare every tensor with the source converted once more."""
        with TensorFiles(self.path.parent, only=self.path.name) as files:
            for job in self.jobs:
                bar.check_cancelled()
                written = files.read(files.tensors[job.name])
                if not torch.equal(written, _produce(checkpoint, components, job)):
                    self.path.unlink()
                    raise CheckpointError(
                        f"{self.path} differs from its source in {job.name}; it was deleted. Check "
                        "the disk and convert again."
                    )
                bar.update()

    def _is_written(self) -> bool:
        """Whether the file of this very conversion is there in full length."""
        if not self.path.is_file():
            return False
        with self.path.open("rb") as file:
            begins_alike = file.read(len(self.header)) == self.header
        size = self.path.stat().st_size
        return begins_alike and size == len(self.header) + self.starts[-1]

    def _tensors_written(self, file: BinaryIO) -> int:
        """Return how many tensors of an unfinished file are whole; begins it when it is new."""
        if file.read(len(self.header)) != self.header:
            file.seek(0)
            file.write(self.header)
            return 0
        size = file.seek(0, os.SEEK_END) - len(self.header)
        return sum(1 for end in self.starts[1:] if end <= size)


def _check_space(target: Path, components: Components) -> None:
    """Refuse before writing when the disk cannot hold the files."""
    needed = sum(
        tensor.nbytes
        for module in components.values()
        for tensor in module.state_dict(keep_vars=True).values()
    )
    needed -= sum(file.stat().st_size for file in target.glob("*.safetensors*"))
    free = shutil.disk_usage(target).free
    if free < needed:
        raise CheckpointError(
            f"{target} has {free / 1e9:.1f} GB free, and {needed / 1e9:.1f} GB are needed; free "
            "some space or choose another disk."
        )


def _copy_small_files(checkpoint: Source, target: Path) -> None:
    """Copy configs and tokenizer, so that the converted folder stands alone."""
    for source, name in checkpoint.small_files():
        (target / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(source, target / name)
