"""What `ming run` asks of a place that executes prompts. Knows nothing about either place."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ming_core.foreign_text import plain

from .node_definitions import NodeDefinition

_LONGEST_MESSAGE = 10_000  # characters
Prompt = dict[str, dict[str, Any]]  # API format: {node id: {class_type, inputs, _meta}}


class RunError(Exception):
    """Something `ming run` reports in one message: what was seen, expected, and what to do.

    Names and values of others are in it: the message is of a bounded length, and can be printed.
    """

    def __str__(self) -> str:
        """Return the message."""
        return plain(super().__str__(), _LONGEST_MESSAGE)


class WorkflowError(RunError):
    """A workflow file, or a value set on it, cannot be used."""


class HostError(RunError):
    """The place that executes prompts cannot be started, or stopped answering."""


class NodeError(RunError):
    """A node raised while it ran."""

    def __init__(self, title: str, class_type: str, message: str) -> None:
        super().__init__(f"node {title!r} ({plain(class_type)}) failed: {message}")
        self.title = title


class Interrupted(RunError):  # noqa: N818 - it is not a failure
    """The run was cancelled before it ended."""


@dataclass(frozen=True)
class Job:
    """One workflow file, ready to run."""

    name: str  # file name without its ending
    prompt: Prompt
    workflow: Mapping[str, Any] | None = None  # the UI file, kept for the PNG metadata


@dataclass(frozen=True)
class Product:
    """One thing an output node gave: a file or a text."""

    node_id: str
    title: str
    path: Path | None = None
    text: str | None = None


class Watcher(Protocol):
    """Is told how a run goes on."""

    def node_started(self, title: str) -> None: ...

    def advanced(self, done: int, total: int) -> None: ...

    def noted(self, message: str) -> None: ...


@dataclass
class Folders:
    """Where a host reads and writes."""

    input: Path
    output: Path
    work: Path  # temporary files and, for a real ComfyUI, its base directory
    checkpoint_root: Path | None = None  # an extra folder to look for checkpoints in
    pack: Path = field(default_factory=lambda: Path(__file__).resolve().parents[1])


class Host(Protocol):
    """Executes prompts."""

    label: str

    def definitions(self) -> dict[str, NodeDefinition]:
        """The nodes there are now; combos list the files that exist now."""
        ...

    def offer_input(self, source: Path, name: str) -> None:
        """Make a picture readable under `name` for LoadImage, unless one is there already."""
        ...

    def run(self, job: Job, watcher: Watcher) -> list[Product]: ...

    def close(self) -> None: ...


def title_of(node: Mapping[str, Any]) -> str:
    """The title a person sees on a node of an API-format prompt."""
    meta = node.get("_meta")
    title = meta.get("title") if isinstance(meta, Mapping) else None
    return plain(title or node.get("class_type", "?"))


def is_link(value: object) -> bool:
    """True for ["node id", output slot]; constant lists arrive wrapped in {"__value__": ...}."""
    return isinstance(value, list)
