"""Where checkpoints and saved contexts lie, given the folders to look in.

Knows nothing about the host: `host/files.py` says which folders those are.
"""

import hashlib
import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ..ming_core import (
    CONDITION,
    LATENT_CONTEXT,
    CheckpointError,
    ContextError,
    MingError,
    entries_of,
    folders_of,
    is_plain_file,
    is_text,
    list_checkpoints,
    looks_whole,
    several,
    shown,
    unreadable_configs,
)

AUTO, AUTO_LITE, BUNDLED = "auto", "auto: Ming-Lite-Uni", "bundled"
# What marks the family that either of them takes the largest checkpoint of.
MARK_OF = {AUTO: LATENT_CONTEXT, AUTO_LITE: CONDITION}
CONTEXT_SUFFIX = ".mingctx.safetensors"
_OUTPUT_MARK, _INPUT_MARK = " [output]", " [input]"

_WHAT_TO_PUT = (
    "Run the node Download Ming-UniVision, which names size and licence first. Or put there "
    "yourself what inclusionAI publishes on Hugging Face: Ming-UniVision-16B-A3B (about 38 GB) "
    "with MingTok-Vision (about 1.5 GB) beside it, or Ming-Lite-Uni with its seven folders inside; "
    "for the licences see the model cards. Another disk can be named under ming_univision in "
    "extra_model_paths.yaml. Then refresh the page."
)


class Choices(ABC):
    """What a combo offers: names for paths, told apart from what is not there."""

    @abstractmethod
    def choices(self) -> list[str]:
        """Return the names."""

    @abstractmethod
    def resolve(self, name: str) -> Path:
        """Return the path of a name, or raise what is wrong with it."""

    @abstractmethod
    def files(self, path: Path) -> list[Path]:
        """Return the files that a path stands for."""

    def offered(self) -> list[str]:
        """Return the names, or none: whatever lies in those folders, the pack has to load."""
        try:
            return self.choices()
        except Exception:  # noqa: BLE001  of any kind: the list is a convenience
            logging.getLogger("ming").exception("The list of %s cannot be made.", type(self))
            return []

    def problem(self, name: str) -> str | None:
        """Return what is wrong with a name, or nothing."""
        if not isinstance(name, str):
            return f"The choice is {shown(name)}; it should be a name, as the list offers them."
        try:
            self.resolve(name)
        except (MingError, OSError) as error:
            return str(error)
        return None

    def fingerprint(self, name: str) -> str:
        """Return text that changes when a file behind a name is replaced."""
        if not isinstance(name, str):
            return ""  # a linked input; what it holds is part of the host's own key
        try:
            stats = {file: file.stat() for file in self.files(self.resolve(name))}
        except (MingError, OSError) as error:
            return str(error)  # the node will raise the same, and so say it to the user
        stamps = [f"{file} {stat.st_mtime_ns} {stat.st_size}" for file, stat in stats.items()]
        return hashlib.sha256("\n".join(stamps).encode()).hexdigest()


@dataclass(frozen=True)
class CheckpointFolders(Choices):
    """The folders that hold checkpoints, and the model that comes with the pack, if it does."""

    roots: tuple[Path, ...]
    bundled: Path

    def choices(self) -> list[str]:
        """Return what a user may choose: auto, every checkpoint found, the bundled model."""
        for reason in self._unreadable():
            _warn_once(f"A folder is left out of the list of checkpoints: {reason}")
        bundled = [BUNDLED] if self.bundled.is_dir() else []
        return [*MARK_OF, *sorted(self._found()), *bundled]

    def resolve(self, name: str) -> Path:
        """Return the folder of a choice; only what was found can be chosen, so no path escapes."""
        found = self._found()
        if name in found:
            return found[name]
        if name in MARK_OF and (able := self._found(MARK_OF[name])):
            return max((looks_whole(path), size_of(path), path) for path in able.values())[2]
        if name in (AUTO, BUNDLED) and self.bundled.is_dir():
            return self.bundled
        seen = f"No checkpoint named {shown(name)}"  # which over the API may be no text at all
        if name in MARK_OF:
            seen = f"No checkpoint{name.removeprefix(AUTO).replace(':', ' of')}"
        there = f" There is: {several(sorted(found))}." if found else ""
        searched = ", ".join(str(root) for root in self.roots)
        hints = "".join(f" {hint}" for hint in (*self._misplaced(), *self._unreadable()))
        raise CheckpointError(
            f"{seen} was found in {searched} (two levels deep).{there}{hints} {_WHAT_TO_PUT}"
        )

    def passed_over(self, name: str) -> str | None:
        """Say which checkpoints are broken, where auto takes the bundled model in their place."""
        reasons = self._unreadable()
        if name != AUTO or not reasons or self._found(LATENT_CONTEXT):
            return None
        return (
            "auto took the small bundled model, because the only other checkpoint cannot be read. "
            + " ".join(reasons)
        )

    def files(self, path: Path) -> list[Path]:
        """Return the configs and weights of both folders of a checkpoint."""
        files = (file for folder in folders_of(path).values() for file in entries_of(folder))
        return sorted(file for file in files if file.suffix in (".json", ".safetensors"))

    def _found(self, ability: str | None = None) -> dict[str, Path]:
        """Map names to folders; an earlier root wins, as it does in the host.

        ability  that their families must have; None finds those of every family
        """
        return {
            name: root / name
            for root in reversed(self.roots)
            if root.is_dir()
            for name in list_checkpoints(root, ability)
        }

    def _unreadable(self) -> list[str]:
        return [reason for root in self.roots for reason in unreadable_configs(root)]

    def _misplaced(self) -> Iterator[str]:
        """Yield where a checkpoint was put without a folder of its own."""
        for root in self.roots:
            if is_plain_file(root / "config.json"):
                yield (
                    f"There is a config.json right in {root}: move its files into a folder of "
                    "their own."
                )


@lru_cache(maxsize=256)
def _warn_once(text: str) -> None:
    """Write a line into the log, the first time only: lists are made over and over."""
    logging.getLogger("ming").warning(text)


def size_of(folder: Path) -> int:
    """Return the bytes of the weights in a folder."""
    files = filter(is_plain_file, folder.rglob("*.safetensors"))
    return sum(file.stat().st_size for file in files)


@dataclass(frozen=True)
class ContextFolders(Choices):
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
        base = Path(os.path.normpath(self.output if in_output else self.input))
        relative = name.removesuffix(_OUTPUT_MARK if in_output else _INPUT_MARK)
        path = Path(os.path.normpath(base / relative))
        if not path.is_relative_to(base) or not path.name.endswith(CONTEXT_SUFFIX):
            raise ContextError(
                f"{shown(name)} is not a saved context: its name must end in {CONTEXT_SUFFIX} and "
                "lie in the input or output folder."
            )
        if not is_plain_file(path):
            raise ContextError(
                f"The saved context {shown(relative)} is not in {base}. Save one with Save Latent "
                "Context, or put the file into the input folder, then refresh the page."
            )
        return path

    def files(self, path: Path) -> list[Path]:
        """Return the one file a context is."""
        return [path]


def _contexts_in(folder: Path) -> Iterator[str]:
    """Yield the saved contexts below a folder, as paths relative to it."""
    files = sorted(folder.rglob("*" + CONTEXT_SUFFIX)) if folder.is_dir() else []
    names = (file.relative_to(folder).as_posix() for file in files if is_plain_file(file))
    return filter(is_text, names)
