"""Where checkpoints and saved contexts lie, given the folders to look in.

Knows nothing about the host: `host.py` says which folders those are.
"""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..ming_core import CheckpointError, ContextError, find_checkpoint, list_checkpoints

AUTO, BUNDLED = "auto", "bundled"
CONTEXT_SUFFIX = ".mingctx.safetensors"
_OUTPUT_MARK, _INPUT_MARK = " [output]", " [input]"

_WHAT_TO_PUT = (
    "Put the two folders that inclusionAI publishes on Hugging Face there, side by side: "
    "Ming-UniVision-16B-A3B (about 38 GB) and MingTok-Vision (about 1.5 GB); for the licence "
    "see the model card. Another disk can be named under ming_univision in "
    "extra_model_paths.yaml. Then refresh the page."
)


@dataclass(frozen=True)
class CheckpointFolders:
    """The folders that hold checkpoints, and the model that comes with the pack, if it does."""

    roots: tuple[Path, ...]
    bundled: Path

    def choices(self) -> list[str]:
        """Return what a user may choose: auto, every checkpoint found, the bundled model."""
        return [AUTO, *sorted(self._found()), *([BUNDLED] if self.bundled.is_dir() else [])]

    def resolve(self, name: str) -> Path:
        """Return the folder of a choice; only what was found can be chosen, so no path escapes."""
        found = self._found()
        if name in found:
            return found[name]
        if name == AUTO and found:
            return max((size_of(path), path) for path in found.values())[1]
        if name in (AUTO, BUNDLED) and self.bundled.is_dir():
            return self.bundled
        seen = "No checkpoint" if name == AUTO else f"No checkpoint named {name!r}"
        there = f" There is: {', '.join(sorted(found))}." if found else ""
        searched = ", ".join(str(root) for root in self.roots)
        raise CheckpointError(f"{seen} was found in {searched}.{there} {_WHAT_TO_PUT}")

    def _found(self) -> dict[str, Path]:
        """Map names to folders; an earlier root wins, as it does in the host."""
        return {
            name: root / name
            for root in reversed(self.roots)
            if root.is_dir()
            for name in list_checkpoints(root)
        }


def size_of(folder: Path) -> int:
    """Return the bytes of the weights in a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*.safetensors"))


def fingerprint(folder: Path) -> str:
    """Return text that changes when a file of the checkpoint is replaced."""
    parts = find_checkpoint(folder)
    stamps = [
        f"{file} {file.stat().st_mtime_ns} {file.stat().st_size}"
        for part in (parts.univision, parts.mingtok)
        for file in sorted(part.iterdir())
        if file.suffix in (".json", ".safetensors")
    ]
    return hashlib.sha256("\n".join(stamps).encode()).hexdigest()


@dataclass(frozen=True)
class ContextFolders:
    """The two folders that saved contexts are read from."""

    input: Path
    output: Path

    def choices(self) -> list[str]:
        """Return the saved contexts; those of the output folder carry its mark."""
        saved = [name + _OUTPUT_MARK for name in _contexts_in(self.output)]
        return [*_contexts_in(self.input), *saved]

    def resolve(self, name: str) -> Path:
        """Return the file of a choice, or say what is wrong with it."""
        in_output = name.endswith(_OUTPUT_MARK)
        base = self.output if in_output else self.input
        relative = name.removesuffix(_OUTPUT_MARK if in_output else _INPUT_MARK)
        path = Path(os.path.normpath(base / relative))
        if not path.is_relative_to(base) or not path.name.endswith(CONTEXT_SUFFIX):
            raise ContextError(
                f"{name!r} is not a saved context: its name must end in {CONTEXT_SUFFIX} and lie "
                "in the input or output folder."
            )
        if not path.is_file():
            raise ContextError(
                f"The saved context {relative!r} is not in {base}. Save one with Save Latent "
                "Context, or put the file into the input folder, then refresh the page."
            )
        return path


def _contexts_in(folder: Path) -> Iterator[str]:
    """Yield the saved contexts below a folder, as paths relative to it."""
    files = sorted(folder.rglob("*" + CONTEXT_SUFFIX)) if folder.is_dir() else []
    return (file.relative_to(folder).as_posix() for file in files)
