"""Reads workflow files and turns the editor's (UI) format into the API format.

Knows nothing about running: the result is a prompt any ComfyUI accepts.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .host import Prompt, WorkflowError
from .node_definitions import InputDefinition, NodeDefinition

MUTED, BYPASSED = 2, 4
NOTE_TYPES = ("Note", "MarkdownNote")
VIRTUAL_TYPES = (*NOTE_TYPES, "Reroute", "PrimitiveNode")
_EXPORT_HINT = "Open it in ComfyUI and export it with File > Export (API), then run that file."
_SUBGRAPH_TYPE = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def read_workflow(path: Path) -> dict[str, Any]:
    """The JSON object in a workflow file of either format."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise WorkflowError(f"{path}: cannot be read ({error.strerror}).") from error
    except ValueError as error:
        raise WorkflowError(f"{path}: is not JSON ({error}).") from error
    if is_ui_format(content) or is_api_format(content):
        return content
    raise WorkflowError(
        f"{path}: is neither a ComfyUI workflow (an object with 'nodes' and 'links') "
        "nor an API export (an object of nodes with 'class_type' and 'inputs')."
    )


def is_ui_format(content: object) -> bool:
    """True for what the editor saves."""
    return isinstance(content, dict) and isinstance(content.get("nodes"), list)


def is_api_format(content: object) -> bool:
    """True for what the editor sends to the server."""
    if not isinstance(content, dict) or not content:
        return False
    return all(
        isinstance(node, dict)
        and isinstance(node.get("class_type"), str)
        and isinstance(node.get("inputs"), dict)
        for node in content.values()
    )


@dataclass(frozen=True)
class _Link:
    origin: str
    origin_slot: int
    kind: str


@dataclass(frozen=True)
class _Constant:
    """What a PrimitiveNode feeds into an input."""

    value: Any


class _Graph:
    """The nodes and links of a UI file, by id."""

    def __init__(self, workflow: Mapping[str, Any], source: str) -> None:
        self.source = source
        self.nodes = {str(node["id"]): node for node in workflow["nodes"]}
        self.links = {link_id: link for link_id, link in map(self._link, workflow["links"])}
        subgraphs = workflow.get("definitions", {}).get("subgraphs") or []
        self.subgraph_names = {entry["id"]: entry.get("name", "?") for entry in subgraphs}

    @staticmethod
    def _link(entry: Any) -> tuple[int, _Link]:  # noqa: ANN401 - a list (0.4) or an object (1)
        if isinstance(entry, Mapping):
            keys = ("id", "origin_id", "origin_slot", "type")
            link_id, origin, slot, kind = (entry[key] for key in keys)
        else:
            link_id, origin, slot, _, _, kind = entry[:6]
        return link_id, _Link(str(origin), slot, str(kind))

    def source_of(self, link_id: int, consumer: str) -> list[Any] | _Constant | None:
        """The real output behind a link: through reroutes and bypassed nodes; None if muted."""
        seen: set[tuple[str, int]] = set()
        current: int | None = link_id
        while current is not None:
            link = self.links.get(current)
            if link is None or link.origin not in self.nodes:
                raise self._broken(current, consumer)
            if (link.origin, link.origin_slot) in seen:
                raise WorkflowError(f"{self.source}: the links behind {consumer} run in a circle.")
            seen.add((link.origin, link.origin_slot))
            node = self.nodes[link.origin]
            if node.get("mode", 0) == MUTED:
                return None
            if node["type"] == "PrimitiveNode":
                values = node.get("widgets_values") or [None]
                return _Constant(values[0])
            if node["type"] == "Reroute":
                current = node["inputs"][0].get("link")
            elif node.get("mode", 0) == BYPASSED:
                current = _bypass_link(node, link)
            else:
                return [link.origin, link.origin_slot]
        return None

    def _broken(self, link_id: int, consumer: str) -> WorkflowError:
        return WorkflowError(
            f"{self.source}: {consumer} is linked by link {link_id}, which leads to no node. "
            "The file was edited by hand or cut short: open it in ComfyUI, connect that input "
            "again and save."
        )


def _bypass_link(node: Mapping[str, Any], link: _Link) -> int | None:
    """The input a bypassed node passes on: the same slot if its type fits, else the first fit."""
    inputs = node.get("inputs") or []
    slot = link.origin_slot
    outputs = node.get("outputs") or []
    kind = outputs[slot]["type"] if slot < len(outputs) else link.kind
    candidates = [*inputs[slot : slot + 1], *inputs]
    return next((entry.get("link") for entry in candidates if entry["type"] == kind), None)


def to_prompt(
    workflow: Mapping[str, Any], definitions: Mapping[str, NodeDefinition], source: str
) -> Prompt:
    """The API-format prompt of a UI file, as the editor would send it.

    Muted and bypassed nodes, notes, reroutes and primitives disappear; constant lists are
    wrapped in {"__value__": [...]}; the seed's control widget is left out.
    """
    try:
        graph = _Graph(workflow, source)
        return {
            node_id: _convert_node(graph, node_id, node, definitions)
            for node_id, node in graph.nodes.items()
            if node["type"] not in VIRTUAL_TYPES and node.get("mode", 0) not in (MUTED, BYPASSED)
        }
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise WorkflowError(
            f"{source}: does not follow the workflow format ({type(error).__name__}: {error}). "
            "Open it in ComfyUI and save it again."
        ) from error


def _convert_node(
    graph: _Graph,
    node_id: str,
    node: Mapping[str, Any],
    definitions: Mapping[str, NodeDefinition],
) -> dict[str, Any]:
    definition = _definition_of(graph, node_id, node, definitions)
    title = node.get("title") or definition.display_name
    inputs: dict[str, Any] = dict(_widget_values(node, definition, f"{graph.source}: {title!r}"))
    for entry in node.get("inputs") or []:
        if entry.get("link") is None:
            continue
        found = graph.source_of(entry["link"], f"input {entry['name']!r} of {title!r}")
        if isinstance(found, _Constant):
            inputs[entry["name"]] = _wrapped(found.value)
        elif found is not None:
            inputs[entry["name"]] = found
        else:
            inputs.pop(entry["name"], None)
    return {"class_type": node["type"], "inputs": inputs, "_meta": {"title": title}}


def _definition_of(
    graph: _Graph,
    node_id: str,
    node: Mapping[str, Any],
    definitions: Mapping[str, NodeDefinition],
) -> NodeDefinition:
    class_type = node["type"]
    if class_type in graph.subgraph_names or _SUBGRAPH_TYPE.fullmatch(class_type):
        name = graph.subgraph_names.get(class_type, class_type)
        raise WorkflowError(
            f"{graph.source}: node {node_id} is the subgraph {name!r}, which `ming run` does not "
            f"unfold. {_EXPORT_HINT}"
        )
    if class_type not in definitions:
        raise WorkflowError(missing_type_message(graph.source, node_id, node, definitions))
    definition = definitions[class_type]
    dynamic = [entry.name for entry in definition.inputs if entry.is_dynamic]
    if dynamic:
        raise WorkflowError(
            f"{graph.source}: node {node_id} ({class_type}) has inputs that unfold in the editor "
            f"({', '.join(dynamic)}), which `ming run` cannot read from this format. {_EXPORT_HINT}"
        )
    return definition


def missing_type_message(
    source: str, node_id: str, node: Mapping[str, Any], definitions: Mapping[str, NodeDefinition]
) -> str:
    """Says which node type is missing, what looks like it, and how to get it."""
    import difflib

    class_type = node.get("type") or node.get("class_type") or "?"
    close = difflib.get_close_matches(class_type, definitions, n=1)
    pack = (node.get("properties") or {}).get("cnr_id")
    origin = f" It comes from the pack {pack!r}." if pack and pack != "comfy-core" else ""
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return (
        f"{source}: node {node_id} has the type {class_type!r}, which is not among the "
        f"{len(definitions)} known here.{hint}{origin} Run it in a ComfyUI that has it "
        "(`ming run --server URL`), or remove the node."
    )


def _widget_values(
    node: Mapping[str, Any], definition: NodeDefinition, where: str
) -> list[tuple[str, Any]]:
    """Name and value of every widget; what the file does not say keeps its default."""
    saved = node.get("widgets_values") or []
    if isinstance(saved, Mapping):
        by_name = dict(saved)
    else:
        slots = zip(definition.widget_slots, saved, strict=False)
        by_name = {name: value for name, value in slots if name is not None}
    values = []
    for entry in definition.inputs:
        if entry.has_widget:
            value = by_name.get(entry.name, entry.default)
            _check_shape(entry, value, where)
            values.append((entry.name, _wrapped(value)))
    return values


def _check_shape(entry: InputDefinition, value: object, where: str) -> None:
    """Refuse a value of a wrong kind: widgets are stored by position, so a shift shows here."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    wrong_number = entry.kind in ("INT", "FLOAT") and not is_number
    wrong_switch = entry.kind == "BOOLEAN" and not isinstance(value, bool)
    if wrong_number or wrong_switch:
        raise WorkflowError(
            f"{where}: its widget {entry.name!r} holds {value!r}, but the node expects "
            f"{entry.kind}. The file was probably saved with another version of the node: open "
            "it in ComfyUI, check that node's values and save."
        )


def _wrapped(value: object) -> Any:  # noqa: ANN401 - any JSON value
    return {"__value__": value} if isinstance(value, list) else value
