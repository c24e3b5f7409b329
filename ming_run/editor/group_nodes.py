"""Rewrites group nodes, which pages before 2026 had, as subgraphs, as newer pages do.

A group lies in `extra.groupNodes`: nodes and links by their place in a list. Its node in the file
holds all widgets inside in one list, and names its inputs after those inside.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from ..node_definitions import InputDefinition, NodeDefinition
from .graph import INPUT_NODE, PRIMITIVE, REROUTE
from .numbering import KEEPS_IDS
from .widgets import read_widgets

_PREFIXES = ("workflow>", "workflow/")
_OUTPUT_NODE = -20


def with_subgraphs(
    workflow: Mapping[str, Any], definitions: Mapping[str, NodeDefinition]
) -> Mapping[str, Any]:
    """The file with a subgraph in the place of every group node."""
    groups = (workflow.get("extra") or {}).get("groupNodes") or {}
    nodes, made = [], []
    for node in workflow["nodes"]:
        name = str(node["type"])
        known = name.startswith(_PREFIXES) and name[len(_PREFIXES[0]) :] in groups
        if known:
            blueprint = _Group(groups[name[len(_PREFIXES[0]) :]], definitions).subgraph(node)
            made.append(blueprint)
            title = node.get("title") or name[len(_PREFIXES[0]) :]
            node = {**node, "type": blueprint["id"], "title": title, "widgets_values": []}
        nodes.append(node)
    if not made:
        return workflow
    kept = (workflow.get("definitions") or {}).get("subgraphs") or []
    return {**workflow, "nodes": nodes, "definitions": {"subgraphs": [*kept, *made]}}


@dataclass
class _Group:
    """One group, unfolded for one node that stands for it."""

    content: Mapping[str, Any]
    definitions: Mapping[str, NodeDefinition]
    seen: Counter[str] = field(default_factory=Counter)
    inputs: list[dict[str, Any]] = field(default_factory=list)
    outputs: list[dict[str, Any]] = field(default_factory=list)
    links: list[dict[str, Any]] = field(default_factory=list)

    def subgraph(self, host: Mapping[str, Any]) -> dict[str, Any]:
        nodes = deepcopy(self.content["nodes"])
        stored = iter(host.get("widgets_values") or [])
        for index, node in enumerate(nodes):
            node["id"] = index
            for entry in node.get("inputs") or ():
                entry["link"] = None
        for entry in self.content.get("links") or ():
            self._link_inside(nodes, entry)
        for node in nodes:
            self._take_values(node, stored)
            self._open_sockets(node)
        for node in nodes:
            self._open_converted(node)
            self._open_outputs(node)
        return {
            "id": f"group node {host['id']}",
            "name": host["type"],
            "nodes": nodes,
            "links": self.links,
            "inputs": self.inputs,
            "outputs": self.outputs,
            KEEPS_IDS: True,
        }

    def _link_inside(self, nodes: list[dict[str, Any]], entry: list[Any]) -> None:
        origin, slot, target, target_slot = entry[:4]
        if None in (origin, slot, target, target_slot):
            return
        link = self._link(origin, slot, target, entry[5] if len(entry) > 5 else "*")  # noqa: PLR2004
        nodes[target]["inputs"][target_slot]["link"] = link

    def _link(self, origin: object, slot: int, target: object, kind: str) -> int:
        number = len(self.links) + 1
        ends = {"origin_id": origin, "origin_slot": slot, "target_id": target, "target_slot": 0}
        self.links.append({"id": number, **ends, "type": kind})
        return number

    def _entries(self, node: Mapping[str, Any]) -> tuple[InputDefinition, ...]:
        definition = self.definitions.get(str(node["type"]))
        return definition.inputs if definition else ()

    def _take_values(self, node: dict[str, Any], stored: Iterator[Any]) -> None:
        """Give a node inside its part of the values that the group's node holds."""
        if node["type"] == PRIMITIVE:
            kept = node.get("widgets_values") or [None]
            self._named(node, "value")
            node["widgets_values"] = [next(stored, kept[0])]
            next(stored, None)  # its control
            return
        definition = self.definitions.get(str(node["type"]))
        if definition is None:
            return
        converted = _converted(node)
        values: dict[str, Any] = {}
        for widget in read_widgets(definition, node.get("widgets_values")):
            if widget.entry is None:
                next(stored, None)
            elif widget.name not in converted:
                self._named(node, widget.name)
                values[widget.name] = next(stored, widget.value)
            else:
                values[widget.name] = widget.value
        node["widgets_values"] = values

    def _open_sockets(self, node: dict[str, Any]) -> None:
        entries = [entry for entry in self._entries(node) if not entry.has_widget]
        names = [(entry.name, entry.kind) for entry in entries]
        if node["type"] == REROUTE:
            names = [(slot["name"], str(slot.get("type"))) for slot in node.get("inputs") or ()]
        for name, kind in names:
            self._open(node, name, kind)

    def _open_converted(self, node: dict[str, Any]) -> None:
        for name in _converted(node):
            self._open(node, name, "*")

    def _open(self, node: dict[str, Any], name: str, kind: str) -> None:
        slots = node.setdefault("inputs", [])
        slot = next((entry for entry in slots if entry["name"] == name), None)
        if slot is None:
            slot = {"name": name, "type": kind, "link": None}
            slots.append(slot)
        if slot.get("link") is not None:
            return
        outer = self._named(node, name)
        slot["link"] = self._link(int(INPUT_NODE), len(self.inputs), node["id"], kind)
        self.inputs.append({"name": outer, "linkIds": [slot["link"]]})

    def _named(self, node: Mapping[str, Any], name: str) -> str:
        """The name of an input on the group's node; a repeated one gets its node's title."""
        config = self._config(node, "input").get(name) or {}
        slots = [slot for slot in node.get("inputs") or () if slot["name"] == name]
        outer = key = config.get("name") or (slots[0].get("label") if slots else None) or name
        if outer in self.seen or (node["type"] == PRIMITIVE and node.get("title")):
            before = node.get("title") or node["type"]
            outer = key = f"{before} {name}"
            if outer in self.seen:
                outer = f"{before} {self.seen[outer]} {name}"
        self.seen[key] += 1
        return outer

    def _open_outputs(self, node: Mapping[str, Any]) -> None:
        definition = self.definitions.get(str(node["type"]))
        slots = node.get("outputs") or ()
        kinds = definition.output_kinds if definition else [str(slot.get("type")) for slot in slots]
        external = {(entry[0], entry[1]) for entry in self.content.get("external") or ()}
        inside = {(link["origin_id"], link["origin_slot"]) for link in self.links}
        config = self._config(node, "output")
        for slot, kind in enumerate(kinds):
            place = (node["id"], slot)
            is_shown = (config.get(str(slot)) or {}).get("visible")
            if is_shown if is_shown is not None else place not in inside or place in external:
                link = self._link(node["id"], slot, _OUTPUT_NODE, str(kind))
                self.outputs.append({"name": str(kind), "linkIds": [link]})

    def _config(self, node: Mapping[str, Any], part: str) -> Mapping[str, Any]:
        entry = (self.content.get("config") or {}).get(str(node["id"])) or {}
        return entry.get(part) or {}


def _converted(node: Mapping[str, Any]) -> list[str]:
    """The widgets of a node that stand as inputs in the file."""
    slots = node.get("inputs") or ()
    return [slot["name"] for slot in slots if (slot.get("widget") or {}).get("name")]
