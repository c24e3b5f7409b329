"""Values that stand on one node and count on another: primitives, and widgets on a subgraph's node.

Changes the values of a graph in place, in the order in which the page does.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ming_core.foreign_json import parse_json

from .graph import PRIMITIVE, REROUTE, Boundary, Graph, Node

_REPLACES = "Run widget replace on values"  # a property of primitives
_ON_THE_NODE = "-1"


def promote(graph: Graph) -> None:
    """Give every subgraph's node its widgets' values; what lies inside comes first."""
    for node in graph.nodes.values():
        if node.subgraph is not None:
            promote(node.subgraph)
            _take_values(node, node.subgraph)


def apply_primitives(graph: Graph, replace: Callable[[str], str]) -> None:
    """Write every primitive's value into the widgets that it is linked to."""
    for node in graph.nodes.values():
        if node.subgraph is not None:
            apply_primitives(node.subgraph, replace)
        elif node.type == PRIMITIVE and isinstance(node.stored, Sequence) and node.stored:
            value = node.stored[0]
            if isinstance(value, str) and node.properties.get(_REPLACES):
                value = replace(value)
            for target, widget in _fed_by(graph, node):
                target.values[widget] = value


def widget_inside(graph: Graph, boundary: Boundary) -> tuple[Node, str] | None:
    """The widget that an input of a subgraph stands for: the first one it leads to."""
    for number in boundary.links:
        link = graph.links.get(number)
        found = graph.input_of(link) if link else None
        if found is None:
            continue
        node, entry = found
        name = entry.name if node.subgraph is not None else entry.widget
        if name is not None and name in node.values:
            return node, name
    return None


def _take_values(host: Node, inside: Graph) -> None:
    sources: dict[str, tuple[Node, str]] = {}
    for boundary in inside.inputs:
        found = widget_inside(inside, boundary)
        if found is not None:
            sources[boundary.name] = found
    host.values = {name: node.values[widget] for name, (node, widget) in sources.items()}
    stored = host.stored if isinstance(host.stored, list) else []
    host.values.update(zip(sources, stored, strict=False))
    inputs = {(node.number, widget): name for name, (node, widget) in sources.items()}
    for index, (number, widget) in enumerate(_proxies(host)):
        value = stored[index] if index < len(stored) else None
        name = widget if number == _ON_THE_NODE else inputs.get((number, widget))
        if name is None:
            _override(host, inside, (number, widget), value)
        elif value is not None and name in host.values:
            host.values[name] = value


def _override(host: Node, inside: Graph, place: tuple[str, str], value: Any) -> None:  # noqa: ANN401
    """A widget shown on the subgraph's node without an input of its own (pages of 2025)."""
    node = inside.nodes.get(place[0])
    if node is None:
        return
    if node.type == PRIMITIVE:
        own = node.stored[0] if isinstance(node.stored, Sequence) and node.stored else None
        given = own if value is None else value
        for target, widget in _fed_by(inside, node):
            host.overrides[target.number, widget] = given
    elif place[1] in node.values:
        host.overrides[place] = node.values[place[1]] if value is None else value


def _proxies(host: Node) -> Iterator[tuple[str, str]]:
    listed = host.properties.get("proxyWidgets") or []
    if isinstance(listed, str):
        listed = parse_json(listed, "proxyWidgets")
    for entry in listed:
        yield str(entry[0]), str(entry[1])


def _fed_by(graph: Graph, primitive: Node) -> Iterator[tuple[Node, str]]:
    """The widgets that a primitive is linked to."""
    for link in graph.links.values():
        found = graph.input_of(link) if link.origin == primitive.number else None
        if found is not None:
            node, entry = found
            name = entry.name if node.subgraph is not None else entry.widget
            if name is not None and node.type != REROUTE:
                yield node, name


def shown_values(node: Node) -> Mapping[str, Any]:
    """The widgets of a node, primitives included, by name."""
    if node.type == PRIMITIVE and isinstance(node.stored, Sequence) and node.stored:
        return {"value": node.stored[0]}
    return node.values
