"""The nodes and links of a workflow file, level by level: the file itself and each subgraph in it.

Knows nothing of what the page would send; values are those that the file holds.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ming_core.foreign_text import shown

from ..host import WorkflowError
from ..node_definitions import NodeDefinition
from .numbering import renumbered
from .widgets import MISSING, Widget, read_widgets

DEEPEST, MOST_NODES = 50, 100_000  # subgraphs in one another; nodes when all are unfolded
MUTED, BYPASSED = 2, 4
INPUT_NODE = "-10"  # where links into a subgraph begin inside it
NOTES = ("Note", "MarkdownNote")
PRIMITIVE, REROUTE = "PrimitiveNode", "Reroute"
_PAGE_TITLES = {PRIMITIVE: "Primitive", "MarkdownNote": "Markdown Note"}


@dataclass(frozen=True, slots=True)
class Link:
    """From an output of one node to an input of another."""

    number: str
    origin: str
    origin_slot: int
    target: str
    kind: str


@dataclass(frozen=True, slots=True)
class Input:
    """One input of a node as the file has it."""

    name: str
    kind: str
    link: str | None = None
    widget: str | None = None  # that the link stands in for


@dataclass(frozen=True, slots=True)
class Boundary:
    """One input of a subgraph, seen from inside."""

    name: str
    links: tuple[str, ...]


@dataclass(slots=True)
class Node:
    """One node. `values` are its widgets' values; primitives and hosts may change them."""

    number: str
    type: str
    title: str
    mode: int
    inputs: list[Input]
    output_kinds: list[str]
    stored: Any  # widgets_values
    properties: Mapping[str, Any]
    definition: NodeDefinition | None = None
    subgraph: "Graph | None" = None
    widgets: list[Widget] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)
    # Of a subgraph's node: values it gives to widgets inside, by (node, widget).
    overrides: dict[tuple[str, str], Any] = field(default_factory=dict)

    @property
    def is_active(self) -> bool:
        """True unless muted or bypassed."""
        return self.mode not in (MUTED, BYPASSED)

    def input_named(self, name: str) -> Input | None:
        """The input of that name, if there is one."""
        return next((entry for entry in self.inputs if entry.name == name), None)


@dataclass(slots=True)
class Graph:
    """One level."""

    nodes: dict[str, Node]
    links: dict[str, Link]
    inputs: tuple[Boundary, ...] = ()
    outputs: tuple[Boundary, ...] = ()
    num_nodes: int = 0  # with every subgraph unfolded, as often as a node stands for it

    def input_of(self, link: Link) -> tuple[Node, Input] | None:
        """The node and the input that a link leads to."""
        node = self.nodes.get(link.target)
        found = [entry for entry in node.inputs if entry.link == link.number] if node else []
        return (node, found[0]) if node and found else None

    def everywhere(self) -> Iterator[Node]:
        """All nodes, those inside subgraphs before the node that stands for them."""
        for node in self.nodes.values():
            if node.subgraph is not None:
                yield from node.subgraph.everywhere()
            yield node


def read_graph(
    workflow: Mapping[str, Any], definitions: Mapping[str, NodeDefinition], source: str
) -> Graph:
    """The root level of a file; a subgraph's levels hang on the nodes that stand for them."""
    nodes, blueprints = renumbered(workflow)
    return _Reader(blueprints, definitions, source).graph({**workflow, "nodes": nodes}, ())


@dataclass(slots=True)
class _Reader:
    blueprints: Mapping[str, Mapping[str, Any]]
    definitions: Mapping[str, NodeDefinition]
    source: str
    made: dict[str, Graph] = field(default_factory=dict)

    def graph(self, content: Mapping[str, Any], inside: tuple[str, ...]) -> Graph:
        links = [_link(entry) for entry in content.get("links") or () if entry]
        nodes = [self._node(entry, inside) for entry in content["nodes"]]
        unfolded = sum(1 + (node.subgraph.num_nodes if node.subgraph else 0) for node in nodes)
        if unfolded > MOST_NODES:
            raise WorkflowError(f"{self.source}: unfolds to more than {MOST_NODES:,} nodes.")
        return Graph(
            {node.number: node for node in nodes},
            {link.number: link for link in links},
            _boundaries(content.get("inputs")),
            _boundaries(content.get("outputs")),
            unfolded,
        )

    def _subgraph(self, number: str, inside: tuple[str, ...]) -> Graph:
        """One level per subgraph: its nodes are shared by all that stand for it, as on the page."""
        if number in inside:
            name = self.blueprints[number].get("name", number)
            raise WorkflowError(f"{self.source}: the subgraph {shown(name)} contains itself.")
        if len(inside) == DEEPEST:
            raise WorkflowError(f"{self.source}: more than {DEEPEST} subgraphs lie in one another.")
        if number not in self.made:
            self.made[number] = self.graph(self.blueprints[number], (*inside, number))
        return self.made[number]

    def _node(self, entry: Mapping[str, Any], inside: tuple[str, ...]) -> Node:
        kind = entry["type"]
        blueprint = self.blueprints.get(kind)
        definition = None if blueprint else self.definitions.get(kind)
        named = blueprint.get("name") if blueprint else None
        known = named or (definition.display_name if definition else _PAGE_TITLES.get(kind, kind))
        node = Node(
            number=str(entry["id"]),
            type=kind,
            title=str(entry.get("title") or known),
            mode=entry.get("mode") or 0,
            inputs=[_input(slot) for slot in entry.get("inputs") or ()],
            output_kinds=[str(slot.get("type")) for slot in entry.get("outputs") or ()],
            stored=entry.get("widgets_values"),
            properties=entry.get("properties") or {},
            definition=definition,
            subgraph=self._subgraph(kind, inside) if blueprint else None,
        )
        if definition is not None:
            _furnish(node, definition)
        return node


def _furnish(node: Node, definition: NodeDefinition) -> None:
    """Give a node the widgets and inputs that the page would give it."""
    marked = {entry.widget for entry in node.inputs if entry.widget}
    node.widgets = read_widgets(definition, node.stored, marked)
    named = [widget for widget in node.widgets if widget.entry is not None]
    node.values = {widget.name: widget.value for widget in named if widget.value is not MISSING}
    node.inputs = _as_on_the_page(node, definition, [widget.name for widget in named])


def _as_on_the_page(node: Node, definition: NodeDefinition, widgets: Sequence[str]) -> list[Input]:
    """The inputs in the page's order, sockets first; a file may leave some out or have more."""
    kinds = {entry.name: entry.kind for entry in definition.inputs}
    sockets = [name for name in kinds if name not in widgets]
    filed = {entry.name: entry for entry in node.inputs}
    ordered = []
    for name in (*sockets, *widgets):
        entry = filed.pop(name, None)
        kind = kinds.get(name) or (entry.kind if entry else "*")
        widget = name if name in widgets else None
        if not kind.startswith("COMFY_") or entry is not None or widget:
            ordered.append(Input(name, kind, entry.link if entry else None, widget))
    # What is left unfolds on the page ("images.image1"), or is no longer known to the node.
    return [*ordered, *filed.values()]


def _link(entry: Any) -> Link:  # noqa: ANN401 - a list (0.4) or an object (1)
    if isinstance(entry, Mapping):
        keys = ("id", "origin_id", "origin_slot", "target_id", "type")
        number, origin, slot, target, kind = (entry[key] for key in keys)
    else:
        number, origin, slot, target, _, kind = entry[:6]
    return Link(str(number), str(origin), int(slot), str(target), str(kind))


def _input(slot: Mapping[str, Any]) -> Input:
    link, widget = slot.get("link"), slot.get("widget")
    return Input(
        str(slot["name"]),
        str(slot.get("type")),
        None if link is None else str(link),
        widget.get("name") if isinstance(widget, Mapping) else None,
    )


def _boundaries(slots: Any) -> tuple[Boundary, ...]:  # noqa: ANN401
    return tuple(
        Boundary(str(slot["name"]), tuple(str(link) for link in slot.get("linkIds") or ()))
        for slot in slots or ()
    )
