"""Checks a prompt against the node definitions before anything runs.

Knows nothing about where the prompt will run.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from .host import Prompt, WorkflowError, is_link, title_of
from .node_definitions import InputDefinition, NodeDefinition, kinds_fit
from .workflow_format import missing_type_message

# Widgets that exist only in the editor; exports carry them, no node takes them.
EDITOR_ONLY_INPUTS = frozenset(
    ("preview", "preview_markdown", "preview_text", "previewMode", "upload", "audioUI")
)
# Combos whose nodes say more about a wrong choice than a list of right ones.
SELF_CHECKED = frozenset(("checkpoint", "file", "precision"))
_PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "INT": (int,),
    "FLOAT": (int, float),
    "STRING": (str,),
    "BOOLEAN": (bool,),
}


def check_prompt(
    prompt: Prompt, definitions: Mapping[str, NodeDefinition], source: str
) -> list[str]:
    """Raise WorkflowError naming every fault; else return the node ids in running order."""
    for node_id, node in prompt.items():
        if node.get("class_type") not in definitions:
            raise WorkflowError(missing_type_message(source, node_id, node, definitions))
    order = running_order(prompt, definitions, source)
    faults = [fault for node_id in order for fault in _node_faults(node_id, prompt, definitions)]
    if faults:
        raise WorkflowError(f"{source}: cannot run.\n" + "\n".join(f"  - {x}" for x in faults))
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
            names = " -> ".join(f"{i} {title_of(prompt[i])!r}" for i in circle)
            raise WorkflowError(
                f"{source}: these nodes wait for each other in a circle: {names}. "
                "Remove one of the links."
            )
        elif following in prompt and following not in order:
            open_nodes.append(following)
            pending[following] = _sources(prompt[following])


def _sources(node: Mapping[str, Any]) -> Iterator[str]:
    return iter([str(value[0]) for value in node["inputs"].values() if is_link(value) and value])


def _node_faults(
    node_id: str, prompt: Prompt, definitions: Mapping[str, NodeDefinition]
) -> list[str]:
    node = prompt[node_id]
    definition = definitions[node["class_type"]]
    where = f"node {node_id} {title_of(node)!r}"
    faults = []
    for name, value in node["inputs"].items():
        entry = _entry_for(name, definition)
        if entry is None:
            faults += _unknown_input(name, value, definition)
        elif is_link(value):
            faults += _link_faults(entry, value, prompt, definitions)
        else:
            faults += _value_faults(entry, value)
    faults += [
        f"input {entry.name!r} ({entry.kind}) is not connected"
        for entry in definition.inputs
        if entry.is_required and not entry.is_dynamic and entry.name not in node["inputs"]
    ]
    return [f"{where}: {fault}" for fault in faults]


def _entry_for(name: str, definition: NodeDefinition) -> InputDefinition | None:
    entry = definition.input_named(name)
    if entry is None and "." in name:  # "sampling.temperature" belongs to the dynamic "sampling"
        entry = definition.input_named(name.split(".")[0])
        return entry if entry is not None and entry.is_dynamic else None
    return entry


def _unknown_input(name: str, value: object, definition: NodeDefinition) -> list[str]:
    if definition.accepts_all or (name in EDITOR_ONLY_INPUTS and not is_link(value)):
        return []
    known = ", ".join(entry.name for entry in definition.inputs) or "none"
    return [f"{definition.class_type} has no input {name!r}; its inputs are: {known}"]


def _link_faults(
    entry: InputDefinition,
    value: list[Any],
    prompt: Prompt,
    definitions: Mapping[str, NodeDefinition],
) -> list[str]:
    slot = value[1] if len(value) == 2 else None
    if len(value) != 2 or not isinstance(slot, int):
        return [f"input {entry.name!r} holds {value!r}; a link is [node id, output number]"]
    origin = prompt.get(str(value[0]))
    if origin is None:
        return [f"input {entry.name!r} is linked to node {value[0]}, which is not in the file"]
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


def _value_faults(entry: InputDefinition, value: object) -> list[str]:
    if entry.is_dynamic or (isinstance(value, dict) and "__value__" in value):
        return []
    wanted = _PYTHON_TYPES.get(entry.kind)
    if wanted and (not isinstance(value, wanted) or _is_stray_bool(entry.kind, value)):
        return [f"input {entry.name!r} is {value!r}, but {entry.kind} is expected"]
    if not entry.has_widget and entry.kind not in _PYTHON_TYPES and entry.kind != "*":
        return [f"input {entry.name!r} takes a link of type {entry.kind}, not {value!r}"]
    # A file that LoadImage will read may name another folder ("x.png [output]"): it checks itself.
    is_self_checked = entry.is_upload or entry.name in SELF_CHECKED
    if entry.choices is not None and not is_self_checked and value not in entry.choices:
        return [f"input {entry.name!r} is {value!r}; there is {_some(entry.choices)}"]
    return _range_faults(entry, value)


def _is_stray_bool(kind: str, value: object) -> bool:
    return kind in ("INT", "FLOAT") and isinstance(value, bool)


def _range_faults(entry: InputDefinition, value: Any) -> list[str]:  # noqa: ANN401
    if entry.kind not in ("INT", "FLOAT"):
        return []
    low, high = entry.options.get("min"), entry.options.get("max")
    if (low is not None and value < low) or (high is not None and value > high):
        return [f"input {entry.name!r} is {value}, outside {low} to {high}"]
    return []


def _some(choices: tuple[Any, ...]) -> str:
    if not choices:
        return "nothing to choose from"
    shown = ", ".join(repr(choice) for choice in choices[:8])
    return f"only {shown}" + (f" and {len(choices) - 8} more" if len(choices) > 8 else "")
