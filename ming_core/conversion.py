"""A published checkpoint -> one safetensors file per component, optionally 8-bit.

Written tensor by tensor, so that it needs little memory, goes on where it was stopped, and is held
against its source afterwards.
"""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor, nn

from .checkpoint import OpenCheckpoint, identity_of, open_checkpoint
from .checkpoint_files import COMPONENTS_NAME, COMPONENTS_VERSION, TensorFiles
from .errors import CheckpointError
from .key_map import Place, layer_of, put, replace_tensor
from .model import Components
from .operations import Int8Leaf, TorchOperations
from .progress import Meter, Progress

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
DTYPE_NAMES = {
    torch.float32: "F32",
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.int8: "I8",
}
DTYPES = {name: dtype for dtype, name in DTYPE_NAMES.items()}


@dataclass(frozen=True, slots=True)
class Job:
    """One tensor of a component file: its layer, and the checkpoint tensors it is made of."""

    name: str
    component: str
    layer: nn.Module
    own_name: str
    sources: tuple[tuple[str, Place], ...]


def convert(
    source: Path, target: Path, *, quantise: bool = False, progress: Progress | None = None
) -> Path:
    """Write a published checkpoint as one file per component into `target`; returns it.

    Each file appears under its own name only when it is whole. Raises CheckpointError when the
    source is unusable, the disk is too small, or what was written differs from the source.
    """
    with open_checkpoint(source) as checkpoint:
        if checkpoint.converted is not None:
            raise CheckpointError(
                f"{checkpoint.folder.univision} is converted already; give the published folder."
            )
        components = checkpoint.build(torch.float32, TorchOperations, quantise=quantise)
        places, problems = checkpoint.match(components)
        if problems:
            raise CheckpointError(
                f"{checkpoint.folder.univision} cannot be converted:\n  " + "\n  ".join(problems)
            )
        _use_stored_dtypes(checkpoint, components, places)
        jobs = list(_jobs(components, places))
        _check_space(target, components)
        meter = Meter(progress, 2 * len(jobs))
        _copy_small_files(checkpoint, target)
        for component in components.named():
            own = [job for job in jobs if job.component == component]
            _write_component(checkpoint, components, own, target, meter)
            _verify_component(checkpoint, components, own, target, meter)
        note = {
            "version": COMPONENTS_VERSION,
            "identity": identity_of(checkpoint, places),
            "precision": "int8" if quantise else "as published",
        }
    # Written last: a folder without this note is not taken for a converted one.
    _write_text(target / COMPONENTS_NAME, json.dumps(note, indent=1))
    return target


def _use_stored_dtypes(
    checkpoint: OpenCheckpoint, components: Components, places: dict[str, Place]
) -> None:
    """Give every float parameter the format its checkpoint tensors have."""
    for name, place in places.items():
        layer, own = layer_of(components, place)
        tensor, dtype = getattr(layer, own), DTYPES[checkpoint.stored[name].dtype]
        if tensor.is_floating_point() and tensor.dtype != dtype:
            replace_tensor(layer, own, torch.empty_like(tensor, dtype=dtype))


def _jobs(components: Components, places: dict[str, Place]) -> Iterator[Job]:
    """List the tensors to write, in the order of the file."""
    sources: dict[str, list[tuple[str, Place]]] = {}
    for name, place in places.items():
        sources.setdefault(f"{place.component}.{place.parameter}", []).append((name, place))
    for component, module in components.named().items():
        for path in module.state_dict(keep_vars=True):
            layer, own = layer_of(components, Place(component, path, (), ()))
            name = f"{component}.{path}"
            weight = name.removesuffix("scale") + "weight" if own == "scale" else name
            yield Job(name, component, layer, own, tuple(sources[weight]))


def _produce(checkpoint: OpenCheckpoint, components: Components, job: Job) -> Tensor:
    """Make one tensor from its sources; the layer is left without memory again."""
    for name, place in job.sources:
        put(components, place, checkpoint.read(name))
    made = getattr(job.layer, job.own_name).detach()
    for own in (
        (job.own_name, "weight", "scale") if isinstance(job.layer, Int8Leaf) else (job.own_name,)
    ):
        tensor = getattr(job.layer, own)
        if not tensor.is_meta:
            replace_tensor(job.layer, own, torch.empty_like(tensor, device="meta"))
    return made


def _header(jobs: list[Job]) -> tuple[bytes, list[int]]:
    """Return a safetensors header, and where each tensor starts behind it."""
    entries: dict[str, dict[str, object]] = {}
    starts, offset = [0], 0
    for job in jobs:
        tensor: Tensor = getattr(job.layer, job.own_name)
        offset += tensor.nbytes
        entries[job.name] = {
            "dtype": DTYPE_NAMES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [starts[-1], offset],
        }
        starts.append(offset)
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text, starts


def _write_component(
    checkpoint: OpenCheckpoint, components: Components, jobs: list[Job], target: Path, meter: Meter
) -> None:
    """Write one file, going on behind the last whole tensor of an earlier try."""
    path = target / f"{jobs[0].component}.safetensors"
    unfinished = path.with_name(path.name + ".part")
    header, starts = _header(jobs)
    if path.is_file() and path.stat().st_size == len(header) + starts[-1]:
        for _ in jobs:
            meter.tick()
        return
    with unfinished.open("r+b" if unfinished.is_file() else "w+b") as file:
        done = _tensors_written(file, header, starts)
        file.seek(len(header) + starts[done])
        file.truncate()
        for index, job in enumerate(jobs):
            meter.check_cancelled()
            if index >= done:
                tensor = _produce(checkpoint, components, job)
                file.write(tensor.contiguous().view(torch.uint8).numpy().data)
            meter.tick()
    unfinished.replace(path)


def _tensors_written(file: BinaryIO, header: bytes, starts: list[int]) -> int:
    """Return how many tensors of an unfinished file are whole; begins the file when it is new."""
    if file.read(len(header)) != header:
        file.seek(0)
        file.write(header)
        return 0
    size = file.seek(0, 2) - len(header)
    return sum(1 for end in starts[1:] if end <= size)


def _verify_component(
    checkpoint: OpenCheckpoint, components: Components, jobs: list[Job], target: Path, meter: Meter
) -> None:
    """Read a written file back and compare every tensor with its source, bit for bit."""
    path = target / f"{jobs[0].component}.safetensors"
    with TensorFiles(target, only=path.name) as files:
        for job in jobs:
            meter.check_cancelled()
            written = files.read(files.tensors[job.name])
            if not torch.equal(written, _produce(checkpoint, components, job)):
                path.unlink()
                raise CheckpointError(
                    f"{path} differs from its source in {job.name}; it was deleted. Check the "
                    "disk and convert again."
                )
            meter.tick()


def _check_space(target: Path, components: Components) -> None:
    """Refuse before writing when the disk cannot hold the files."""
    target.mkdir(parents=True, exist_ok=True)
    needed = sum(
        tensor.nbytes
        for module in components.named().values()
        for tensor in module.state_dict(keep_vars=True).values()
    )
    needed -= sum(file.stat().st_size for file in target.glob("*.safetensors*"))
    free = shutil.disk_usage(target).free
    if free < needed:
        raise CheckpointError(
            f"{target} has {free / 1e9:.1f} GB free, and {needed / 1e9:.1f} GB are needed; free "
            "some space or choose another disk."
        )


def _copy_small_files(checkpoint: OpenCheckpoint, target: Path) -> None:
    """Copy configs and tokenizer, so that the converted folder stands alone."""
    folder = checkpoint.folder
    mingtok = target / "MingTok-Vision"
    mingtok.mkdir(exist_ok=True)
    shutil.copyfile(folder.univision / "config.json", target / "config.json")
    shutil.copyfile(folder.mingtok / "config.json", mingtok / "config.json")
    home = folder.tokenizer_home()
    for name in TOKENIZER_FILES:
        if (home / name).is_file():
            shutil.copyfile(home / name, target / name)


def _write_text(path: Path, text: str) -> None:
    unfinished = path.with_name(path.name + ".part")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)
