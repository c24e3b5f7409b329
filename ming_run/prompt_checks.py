"""Checks a prompt against the node definitions before anything runs.

Knows nothing about where the prompt will run.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ming_core.foreign_text import plain, several, shown

from .editor.unknown import unknown_type
from .host import Prompt, WorkflowError, is_link, title_of
from .node_definitions import InputDefinition, NodeDefinition, kinds_fit

# Widgets that exist only in the editor; exports carry them, no node takes them.
EDITOR_ONLY_INPUTS = frozenset(
    ("preview", "preview_markdown", "preview_text", "previewMode", "upload", "audioUI")
)
# Combos whose nodes say more about a wrong choice than a list of right ones.
SELF_CHECKED = frozenset(("checkpoint", "file", "precision"))
# What the server does with a constant before a node gets it.
CONVERSIONS: Mapping[str, Callable[[Any], Any]] = {
    "INT": int,
    "FLOAT": float,
    "STRING": str,
    "BOOLEAN": bool,
}


def check_prompt(
    prompt: Prompt,
    definitions: Mapping[str, NodeDefinition],
    source: str,
    note: Callable[[str], None] = lambda _message: None,
) -> list[str]:
    """Raise WorkflowError naming every fault; else return the node ids in running order.

    note   is told of what the server passes over
    """
    for node_id, node in prompt.items():
        if node.get("class_type") not in definitions:
            kind, properties = str(node.get("class_type")), node.get("properties") or {}
            pack = properties.get("cnr_id")
            raise WorkflowError(unknown_type(source, node_id, kind, definitions, pack))
    order = running_order(prompt, definitions, source)
    linked = {kind for entry in definitions.values() for kind in entry.output_kinds}
    checks = [_Check(node_id, prompt, definitions, linked) for node_id in order]
    faults = [fault for check in checks for fault in check.faults()]
    strays = [stray for check in checks for stray in check.strays()]
    if faults:
        lines = "\n".join(f"  - {line}" for line in (*faults, *strays))
        raise WorkflowError(f"{source}: cannot run.\n{lines}")
    for stray in strays:
        note(stray)
    return order


def running_order(
    prompt: Prompt, definitions: Mapping[str, NodeDefinition], source: str
) -> list[str]:
    """The nodes that output nodes need, each after everything it reads."""
    outputs = [i for i, node in prompt.items() if definitions[node["class_type"]].is_output_node]
    if not outputs:
        raise WorkflowError(
            f"{source}: has no output node, so nothing would run. Add one, such as Save Image or "
            "Preview as Text."
        )
    order: dict[str, None] = {}
    for output in outputs:
        _visit(output, prompt, order, source)
    return list(order)


def _visit(start: str, prompt: Prompt, order: dict[str, None], source: str) -> None:
    """Append `start` behind everything it reads; iterative, since chains can be long."""
    open_nodes = [start]
    pending = {start: _sources(prompt[start])}
    while open_nodes:
        node_id = open_nodes[-1]
        following = next(pending[node_id], None)
        if following is None:
            order.setdefault(node_id)
            open_nodes.pop()
            del pending[node_id]
        elif following in pending:
            circle = [*open_nodes[open_nodes.index(following) :], following]
            names = several((f"{i} {title_of(prompt[i])!r}" for i in circle), " -> ")
            raise WorkflowError(
                f"{source}: these nodes wait for each other in a circle: {names}. "
                "Remove one of the links."
            )
        elif following in prompt and following not in order:
            open_nodes.append(following)
            pending[following] = _sources(prompt[following])


def _sources(node: Mapping[str, Any]) -> Iterator[str]:
    return iter([str(value[0]) for value in node["inputs"].values() if is_link(value) and value])


@dataclass(frozen=True)
class _Check:
    """One node of a prompt against its definition; `linked` are the kinds that nodes give."""

    node_id: str
    prompt: Prompt
    definitions: Mapping[str, NodeDefinition]
    linked: Collection[str]

    @property
    def node(self) -> Mapping[str, Any]:
        return self.prompt[self.node_id]

    @property
    def definition(self) -> NodeDefinition:
        return self.definitions[self.node["class_type"]]

    def faults(self) -> list[str]:
        """What the server would refuse, or what would fail when it runs."""
        faults = []
        for name, value in self.node["inputs"].items():
            entry = _entry_for(name, self.definition)
            if entry is None:
                faults += [self._unknown(name)] if is_link(value) and not self._takes_all else []
            elif is_link(value):
                faults += _link_faults(entry, value, self.prompt, self.definitions)
            else:
                faults += _value_faults(entry, value, self.linked)
        faults += [
            f"input {entry.name!r} ({entry.kind}) is not connected"
            for entry in self.definition.inputs
            if entry.is_required and not entry.is_dynamic and entry.name not in self.node["inputs"]
        ]
        return [f"{self._where}: {fault}" for fault in faults]

    def strays(self) -> list[str]:
        """Constants that no input takes: the server passes over them."""
        return [
            f"{self._where}: {self._unknown(name)}"
            for name, value in self.node["inputs"].items()
            if not (is_link(value) or self._takes_all or name in EDITOR_ONLY_INPUTS)
            and _entry_for(name, self.definition) is None
        ]

    @property
    def _where(self) -> str:
        return f"node {plain(self.node_id)} {title_of(self.node)!r}"

    @property
    def _takes_all(self) -> bool:
        return self.definition.accepts_all or self.definition.class_type == "CustomCombo"

    def _unknown(self, name: str) -> str:
        known = several(entry.name for entry in self.definition.inputs) or "none"
        kind = plain(self.definition.class_type)
        return f"{kind} has no input {shown(name)}; its inputs are: {known}"


def _entry_for(name: str, definition: NodeDefinition) -> InputDefinition | None:
    entry = definition.input_named(name)
    if entry is None and "." in name:  # "sampling.temperature" belongs to the dynamic "sampling"
        entry = definition.input_named(name.split(".")[0])
        return entry if entry is not None and entry.is_dynamic else None
    return entry


def _link_faults(
    entry: InputDefinition,
    value: list[Any],
    prompt: Prompt,
    definitions: Mapping[str, NodeDefinition],
) -> list[str]:
    slot = value[1] if len(value) == 2 else None
    if len(value) != 2 or not isinstance(slot, int):
        return [f"input {entry.name!r} holds {shown(value)}; a link is [node id, output number]"]
    origin = prompt.get(str(value[0]))
    if origin is None:
        return [
            f"input {entry.name!r} is linked to node {plain(value[0])}, which is not in the file"
        ]
    kinds = definitions[origin["class_type"]].output_kinds
    if not 0 <= slot < len(kinds):
        return [
            f"input {entry.name!r} is linked to output {slot} of {title_of(origin)!r}, "
            f"which has {len(kinds)} (counted from 0)"
        ]
    if not kinds_fit(kinds[slot], entry.kind):
        return [
            f"input {entry.name!r} expects {entry.kind}, but output {slot} of "
            f"{title_of(origin)!r} gives {kinds[slot]}"
        ]
    return []


def _value_faults(entry: InputDefinition, value: Any, linked: Collection[str]) -> list[str]:  # noqa: ANN401
    if entry.is_dynamic or isinstance(value, dict):  # what is in an object is the server's business
        return []
    kinds = set(entry.kind.split(","))
    if not entry.has_widget and kinds & {*linked} and not kinds & {*CONVERSIONS, "*"}:
        return [f"input {entry.name!r} takes a link of type {entry.kind}, not {shown(value)}"]
    if entry.kind == "BOOLEAN" and isinstance(value, str):  # any text counts as true there
        return [f"input {entry.name!r} is the text {shown(value)}; expected true or false"]
    try:
        value = CONVERSIONS.get(entry.kind, lambda same: same)(value)
    except (TypeError, ValueError, OverflowError):
        return [f"input {entry.name!r} is {shown(value)}, but {entry.kind} is expected"]
    # A file that LoadImage will read may name another folder ("x.png [output]"): it checks itself.
    is_self_checked = entry.is_upload or entry.name in SELF_CHECKED
    if entry.choices is not None and not is_self_checked and value not in entry.choices:
        return [f"input {entry.name!r} is {shown(value)}; there is {_some(entry.choices)}"]
    return _range_faults(entry, value)


def _range_faults(entry: InputDefinition, value: Any) -> list[str]:  # noqa: ANN401
    if entry.kind not in ("INT", "FLOAT"):
        return []
    if value != value:  # noqa: PLR0124 - the server takes it, and answers in JSON no page reads
        return [f"input {entry.name!r} is not a number (NaN); expected {entry.kind}"]
    low, high = entry.options.get("min"), entry.options.get("max")
    if (low is not None and value < low) or (high is not None and value > high):
        return [f"input {entry.name!r} is {shown(value)}, outside {low} to {high}"]
    return []


def _some(choices: tuple[Any, ...]) -> str:
    if not choices:
        return "nothing to choose from"
    first = ", ".join(map(shown, choices[:8]))
    return f"only {first}" + (f" and {len(choices) - 8} more" if len(choices) > 8 else "")
