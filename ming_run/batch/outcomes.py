"""What came of a row: run it, take its results, write them under its name, note it down."""

import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ming_core.prompt_rows import file_name

from ..host import Folders, Host, HostError, Interrupted, Product, RunError, Watcher
from .tasks import Task

JOURNAL_NAME = "ming-batch.jsonl"
CONTEXT_SUFFIX = ".mingctx.safetensors"
_SAVED_MARK = " [output]"


@dataclass(frozen=True)
class Item:
    """One file that a row gave."""

    title: str  # of the node that wrote it
    suffix: str
    content: bytes


@dataclass(frozen=True)
class Outcome:
    """What a row gave, or why it did not."""

    items: list[Item] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    error: str | None = None
    seconds: float = 0.0
    process: int = field(default_factory=os.getpid)  # that ran it


def execute(task: Task, host: Host, folders: Folders, watcher: Watcher) -> Outcome:
    """Run one row. What is wrong with the row is its outcome; a host that ended is an error."""
    started = time.monotonic()
    try:
        for name, picture in task.pictures.items():
            host.offer_input(picture, name)
        products = host.run(task.job, watcher)
        named = {p.text for p in products if _saved(p, folders) is not None}
        items = [item for product in products if (item := _item(product, folders))]
    except (Interrupted, HostError):
        raise
    except RunError as error:
        return Outcome(error=str(error), seconds=time.monotonic() - started)
    texts = [p.text for p in products if p.text is not None and p.text not in named]
    return Outcome(items, texts, seconds=time.monotonic() - started)


def _item(product: Product, folders: Folders) -> Item | None:
    """Take a file out of the folder of results; it is written again under its row's name."""
    path = product.path or _saved(product, folders)
    if path is None:
        return None
    suffix = CONTEXT_SUFFIX if path.name.endswith(CONTEXT_SUFFIX) else path.suffix
    item = Item(product.title, suffix, path.read_bytes())
    if path.resolve().is_relative_to(folders.output.resolve()):
        path.unlink()
    return item


def _saved(product: Product, folders: Folders) -> Path | None:
    """The file that a text of Save Latent Context names; other texts may end alike."""
    if product.text is None or not product.text.endswith(CONTEXT_SUFFIX + _SAVED_MARK):
        return None
    with suppress(OSError, ValueError):  # no name of a file
        path = (folders.output / product.text.removesuffix(_SAVED_MARK)).resolve()
        if path.is_relative_to(folders.output.resolve()) and path.is_file():
            return path
    return None


def write_results(name: str, outcome: Outcome, output: Path) -> list[str]:
    """Write what a row gave as NAME.png, or NAME_TITLE.png where there is more; return names."""
    entries = [(item.title, item.suffix, item.content) for item in outcome.items]
    if outcome.texts:
        entries.append(("", ".txt", "\n\n".join(outcome.texts).encode() + b"\n"))
    written: list[str] = []
    for title, suffix, content in entries:
        is_alone = sum(entry[1] == suffix for entry in entries) == 1
        stem = name if is_alone else f"{name}_{file_name(title)}"
        file, number = f"{stem}{suffix}", 1
        while file in written:
            number += 1
            file = f"{stem}_{number}{suffix}"
        partial = output / f"{file}.part"
        try:
            partial.write_bytes(content)
            partial.replace(output / file)
        finally:
            partial.unlink(missing_ok=True)
        written.append(file)
    return written


class Journal:
    """The rows that are finished, one JSON line each, in the folder of the results."""

    def __init__(self, output: Path) -> None:
        self._output = output
        self._path = output / JOURNAL_NAME
        self._done: dict[str, Mapping[str, Any]] = {}
        written = self._path.read_bytes() if self._path.exists() else b""
        self._is_cut = not written.endswith(b"\n") and written != b""
        for line in written.decode(errors="replace").splitlines():
            with suppress(
                ValueError, TypeError, LookupError, RecursionError
            ):  # a line that a crash cut short
                entry = json.loads(line)
                self._done[entry["row"]] = entry

    def is_done(self, task: Task) -> bool:
        """Whether this row, unchanged, went well before and its files are still there."""
        entry = self._done.get(task.name, {})
        files = (self._output / file for file in entry.get("files", ()))
        is_same = entry.get("status") == "done" and entry.get("key") == task.key
        return is_same and all(file.is_file() for file in files)

    def add(self, task: Task, outcome: Outcome, files: list[str]) -> None:
        """Append a line in one write, so that it is there whole or not at all."""
        entry = {
            "row": task.name,
            "key": task.key,
            "status": "failed" if outcome.error else "done",
            "files": files,
            "texts": outcome.texts,
            "error": outcome.error,
            "seconds": round(outcome.seconds, 3),
            "process": outcome.process,
        }
        line = ("\n" if self._is_cut else "") + json.dumps(entry) + "\n"
        self._is_cut = False
        handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(handle, line.encode())
            os.fsync(handle)
        finally:
            os.close(handle)
        self._done[task.name] = entry
