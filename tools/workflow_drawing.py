"""Lays a described graph out on the canvas and writes it in ComfyUI's UI format 0.4.

Knows nothing about which workflows there are. Node types come from the node definitions.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ming_run.editor.widgets import widget_slots
from ming_run.node_definitions import InputDefinition, NodeDefinition

PREFIX, LITE_PREFIX = "MingUniVision_", "MingLiteUni_"
PACK, CORE = "ming-univision-nodes", "comfy-core"
CORE_VERSION = "0.8.0"
CORE_NODES = ("LoadImage", "SaveImage", "PreviewImage", "PreviewAny")
NAMESPACE = uuid.UUID("5f0c9a54-6d0e-4f7e-9a35-2d1f6f0f4f11")  # ours; makes file ids repeatable

WIDE, NARROW, PICTURE = 400, 300, 320
SLOT, WIDGET, TEXT_BOX, PICTURE_BOX, TIMELINE_BOX = 20, 30, 120, 300, 420
COLUMN_GAP, ROW_GAP, STACK_GAP, MARGIN, TITLE = 90, 130, 60, 20, 30
NOTE_COLOURS = {"color": "#432", "bgcolor": "#653"}
GROUP_COLOURS = ("#3f789e", "#8a6d3b", "#4a7c59", "#7d5a8c")
OPTIONAL_SHAPE, LIST_SHAPE = 7, 6


@dataclass(frozen=True)
class Output:
    """One output of a drawn node, ready to be given to an input of another."""

    node: int
    slot: int
    kind: str


@dataclass
class DrawnNode:
    """A node on the grid; indexing it by an output's name gives that output."""

    number: int
    definition: NodeDefinition
    cell: tuple[int, int]
    title: str | None
    links: dict[str, Output]
    values: dict[str, Any]

    def __getitem__(self, output: str) -> Output:
        slot = self.definition.output_names.index(output)
        return Output(self.number, slot, self.definition.output_kinds[slot])


@dataclass
class Canvas:
    """A graph being described: `add` nodes at (column, row), then `to_workflow`."""

    name: str
    definitions: Mapping[str, NodeDefinition]
    version: str
    note: str = ""
    nodes: list[DrawnNode] = field(default_factory=list)
    groups: list[tuple[str, list[DrawnNode]]] = field(default_factory=list)
    app: dict[str, Any] = field(default_factory=dict)

    def add(
        self,
        name: str,
        at: tuple[int, int],
        title: str | None = None,
        **inputs: Any,  # noqa: ANN401
    ) -> DrawnNode:
        """Place a node; inputs are outputs of others, or widget values.

        name   the part of a node id behind the first family's prefix, else a whole id
        """
        is_whole = name in CORE_NODES or name.startswith((PREFIX, LITE_PREFIX))
        class_type = name if is_whole else PREFIX + name
        definition = self.definitions[class_type]
        unknown = [key for key in inputs if definition.input_named(key) is None]
        if unknown:
            raise ValueError(f"{self.name}: {class_type} has no inputs {unknown}")
        links = {key: value for key, value in inputs.items() if isinstance(value, Output)}
        values = {key: value for key, value in inputs.items() if key not in links}
        node = DrawnNode(len(self.nodes) + 1, definition, at, title, links, values)
        self.nodes.append(node)
        return node

    def group(self, title: str, *members: DrawnNode) -> None:
        """Draw a titled frame around nodes."""
        self.groups.append((title, list(members)))

    def as_app(self, asked: Sequence[tuple[DrawnNode, str]], shown: Sequence[DrawnNode]) -> None:
        """Open as an app, where the host has that: the widgets asked for, and what is shown."""
        inputs = [[node.number, widget] for node, widget in asked]
        outputs = [node.number for node in shown]
        self.app = {"linearData": {"inputs": inputs, "outputs": outputs}, "linearMode": True}

    def to_workflow(self) -> dict[str, Any]:
        """The file the editor opens."""
        places = _place(self.nodes)
        links = [
            [0, source.node, source.slot, node.number, _slot_of(node, name), source.kind]
            for node in self.nodes
            for name, source in node.links.items()
        ]
        for number, link in enumerate(links, start=1):
            link[0] = number
        nodes = [self._draw_node(node, places[node.number], links) for node in self.nodes]
        if self.note:
            nodes.append(_draw_note(len(nodes) + 1, self.note))
        return {
            "id": str(uuid.uuid5(NAMESPACE, self.name)),
            "revision": 0,
            "last_node_id": len(nodes),
            "last_link_id": len(links),
            "nodes": nodes,
            "links": links,
            "groups": [
                _draw_group(number, title, [places[node.number] for node in members])
                for number, (title, members) in enumerate(self.groups, start=1)
            ],
            "config": {},
            "extra": {"ds": {"scale": 0.6, "offset": [620, 160]}, **self.app},
            "version": 0.4,
        }

    def _draw_node(
        self, node: DrawnNode, place: "_Place", links: list[list[Any]]
    ) -> dict[str, Any]:
        class_type = node.definition.class_type
        is_ours = class_type.startswith((PREFIX, LITE_PREFIX))
        entry = {
            "id": node.number,
            "type": class_type,
            "pos": [place.x, place.y],
            "size": [place.width, place.height],
            "flags": {},
            "order": node.number - 1,
            "mode": 0,
            "inputs": [_draw_input(slot, node, links) for slot in _slots(node.definition)],
            "outputs": [_draw_output(slot, node, links) for slot in range(len(_kinds(node)))],
            "properties": {
                "cnr_id": PACK if is_ours else CORE,
                "ver": self.version if is_ours else CORE_VERSION,
                "Node name for S&R": class_type,
            },
            "widgets_values": _widget_values(node),
        }
        if node.title:
            entry["title"] = node.title
        return entry


@dataclass(frozen=True)
class _Place:
    x: int
    y: int
    width: int
    height: int


def _kinds(node: DrawnNode) -> tuple[str, ...]:
    return node.definition.output_kinds


def _slots(definition: NodeDefinition) -> list[InputDefinition]:
    """Inputs as the editor orders them: sockets first, then widgets."""
    return sorted(definition.inputs, key=lambda entry: entry.has_widget)


def _slot_of(node: DrawnNode, name: str) -> int:
    return [entry.name for entry in _slots(node.definition)].index(name)


def _draw_input(entry: InputDefinition, node: DrawnNode, links: list[list[Any]]) -> dict[str, Any]:
    slot = _slot_of(node, entry.name)
    link = next((x[0] for x in links if x[3] == node.number and x[4] == slot), None)
    drawn: dict[str, Any] = {"name": entry.name, "type": entry.kind, "link": link}
    if not entry.is_required:
        drawn["shape"] = OPTIONAL_SHAPE
    if entry.has_widget:
        drawn["widget"] = {"name": entry.name}
    return drawn


def _draw_output(slot: int, node: DrawnNode, links: list[list[Any]]) -> dict[str, Any]:
    definition = node.definition
    used = [link[0] for link in links if (link[1], link[2]) == (node.number, slot)]
    drawn: dict[str, Any] = {
        "name": definition.output_names[slot],
        "type": definition.output_kinds[slot],
        "links": used or None,
    }
    if definition.output_is_list[slot]:
        drawn["shape"] = LIST_SHAPE
    return drawn


def _widget_values(node: DrawnNode) -> list[Any]:
    """One value per widget, in the editor's order; its own widgets get their usual value."""
    values = []
    previous: InputDefinition | None = None
    for name in widget_slots(node.definition):
        if name is None:
            is_seed = previous is not None and previous.has_seed_control
            values.append("fixed" if is_seed else "image")
            continue
        previous = node.definition.input_named(name)
        default = previous.default if previous else None
        values.append(node.values.get(name, default))
    return values


def _size_of(node: DrawnNode) -> tuple[int, int]:
    """Width and height that both of the editor's renderers can hold."""
    inputs = node.definition.inputs
    widgets = [entry for entry in inputs if entry.has_widget]
    num_texts = sum(bool(entry.options.get("multiline")) for entry in widgets)
    num_controls = sum(name is None for name in widget_slots(node.definition))
    num_plain = len(widgets) - num_texts + num_controls
    num_sockets = max(len(inputs) - len(widgets), len(_kinds(node)))
    height = SLOT * num_sockets + WIDGET * num_plain + TEXT_BOX * num_texts + 16
    shown_by = ("LoadImage", "SaveImage", "PreviewImage", f"{PREFIX}SaveImage")
    shows_picture = node.definition.class_type in shown_by
    if shows_picture:
        return PICTURE, height + PICTURE_BOX
    if node.definition.class_type.endswith("Timeline"):
        return WIDE, height + TIMELINE_BOX
    if node.definition.class_type.endswith("SaveContext"):
        return WIDE, height + TEXT_BOX + WIDGET  # the turns are listed on it
    if node.definition.class_type == "PreviewAny":
        return WIDE, height + TEXT_BOX + WIDGET
    return (WIDE if num_texts or len(widgets) > 3 else NARROW), height


def _place(nodes: list[DrawnNode]) -> dict[int, _Place]:
    """Put every node into its cell.

    A column is as wide as its widest node. Row 0 is as high as its highest; below it each column
    stacks its nodes without waiting for the others.
    """
    sizes = {node.number: _size_of(node) for node in nodes}
    lefts: dict[int, int] = {}
    position = 0
    for column in sorted({node.cell[0] for node in nodes}):
        lefts[column] = position
        position += max(sizes[n.number][0] for n in nodes if n.cell[0] == column) + COLUMN_GAP
    below = max(sizes[node.number][1] for node in nodes if node.cell[1] == 0) + ROW_GAP
    tops = dict.fromkeys(lefts, below)
    places = {}
    for node in sorted(nodes, key=lambda entry: entry.cell[1]):
        column, row = node.cell
        width, height = sizes[node.number]
        places[node.number] = _Place(lefts[column], tops[column] if row else 0, width, height)
        tops[column] += (height + STACK_GAP) if row else 0
    return places


def _draw_note(number: int, text: str) -> dict[str, Any]:
    """The explanation, left of everything else."""
    height = 70 + 18 * sum(1 + len(line) // 64 for line in text.splitlines())
    return {
        "id": number,
        "type": "MarkdownNote",
        "pos": [-WIDE - 60 - MARGIN, 0],
        "size": [WIDE + 20, height],
        "flags": {},
        "order": number - 1,
        "mode": 0,
        "inputs": [],
        "outputs": [],
        "title": "About this workflow",
        "properties": {},
        "widgets_values": [text],
        **NOTE_COLOURS,
    }


def _draw_group(number: int, title: str, places: list[_Place]) -> dict[str, Any]:
    left, top = min(p.x for p in places), min(p.y for p in places)
    right = max(p.x + p.width for p in places)
    bottom = max(p.y + p.height for p in places)
    head = TITLE + MARGIN + 44  # the node's title bar, the pack badge above it, our own title
    return {
        "id": number,
        "title": title,
        "bounding": [
            left - MARGIN,
            top - head,
            right - left + 2 * MARGIN,
            bottom - top + head + MARGIN,
        ],
        "color": GROUP_COLOURS[(number - 1) % len(GROUP_COLOURS)],
        "font_size": 22,
        "flags": {},
    }
