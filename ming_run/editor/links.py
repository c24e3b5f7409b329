"""Follows a link of the page to the output that really gives the value, or to a constant.

Through reroutes, bypassed nodes, named pipes (Set and Get), into subgraphs and out of them.
"""

from dataclasses import dataclass
from typing import Any

from ming_core.foreign_text import plain, shown

from ..host import WorkflowError
from .graph import BYPASSED, INPUT_NODE, MUTED, NOTES, PRIMITIVE, REROUTE, Graph, Input, Link, Node

SETTERS, GETTERS = ("SetNode", "easy setNode"), ("GetNode", "easy getNode")
_RELAYS = (REROUTE, "Reroute (rgthree)", *SETTERS)
# Nodes that other packs draw on the page alone: nothing of them reaches the server.
_PAGE_ONLY = (
    "Label (rgthree)",
    "Bookmark (rgthree)",
    "Fast Groups Bypasser (rgthree)",
    "Fast Groups Muter (rgthree)",
    "Fast Bypasser (rgthree)",
    "Fast Muter (rgthree)",
    "Fast Actions Button (rgthree)",
    "Mute / Bypass Repeater (rgthree)",
    "Mute / Bypass Relay (rgthree)",
    "Node Collector (rgthree)",
    "Random Unmuter (rgthree)",
)
VIRTUAL = frozenset((*NOTES, PRIMITIVE, *_RELAYS, *GETTERS, *_PAGE_ONLY))


@dataclass(frozen=True, slots=True)
class Output:
    """An output of a node that runs."""

    node: str
    slot: int


@dataclass(frozen=True, slots=True)
class Constant:
    """What a widget of a subgraph's node gives to an input inside."""

    value: Any


Found = Output | Constant | None  # None: nothing reaches the input


@dataclass(frozen=True, slots=True)
class Scope:
    """One level as one node stands for it; ids inside are written "outer:inner"."""

    graph: Graph
    source: str
    path: tuple[str, ...] = ()
    host: Node | None = None
    parent: "Scope | None" = None

    def inside(self, host: Node) -> "Scope":
        """The level that a subgraph's node stands for."""
        if host.subgraph is None:
            raise WorkflowError(f"{self.source}: node {host.number} is no subgraph.")
        return Scope(host.subgraph, self.source, (*self.path, host.number), host, self)

    def name_of(self, node: Node) -> str:
        """The id of a node in the prompt."""
        return ":".join((*self.path, node.number))

    def value_on(self, host: Node, name: str) -> Any:  # noqa: ANN401 - any JSON value
        """The value that a subgraph's node holds for one of its inputs."""
        if self.host is not None:
            return self.host.overrides.get((host.number, name), host.values[name])
        return host.values[name]


Seen = frozenset[tuple[str, str, object]]


def follow(
    scope: Scope, node: Node, entry: Input, seen: Seen = frozenset(), kind: str | None = None
) -> Found:
    """What feeds an input; `kind` is that of the input at the end of the way."""
    if entry.link is None:
        return None
    step = (scope.name_of(node), "in", entry.name)
    if step in seen:
        raise WorkflowError(
            f"{scope.source}: the links behind input {shown(entry.name)} of {shown(node.title)} "
            "run in a circle. Remove one of them."
        )
    link = scope.graph.links.get(entry.link)
    if link is None:
        raise _broken(scope, node, entry)
    if scope.host is not None and link.origin == INPUT_NODE:
        return _from_outside(scope, link, seen | {step})
    origin = scope.graph.nodes.get(link.origin)
    if origin is None:
        raise _broken(scope, node, entry)
    return _from_output(scope, origin, link.origin_slot, seen | {step}, kind or entry.kind)


def _from_outside(scope: Scope, link: Link, seen: Seen) -> Found:
    if scope.host is None or scope.parent is None:
        return None
    name = scope.graph.inputs[link.origin_slot].name
    entry = scope.host.input_named(name)
    if entry is not None and entry.link is not None:
        return follow(scope.parent, scope.host, entry, seen)
    if name not in scope.host.values:
        return None
    return Constant(scope.parent.value_on(scope.host, name))


def _from_output(scope: Scope, node: Node, slot: int, seen: Seen, kind: str) -> Found:
    if node.mode == MUTED:
        return None
    if node.mode == BYPASSED:
        entry = _passed_on(node, slot, kind)
        return follow(scope, node, entry, seen, kind) if entry else None
    if node.subgraph is not None:
        return _from_inside(scope.inside(node), node.subgraph, slot, seen, kind)
    if node.type in GETTERS:
        return _from_setter(scope, node, seen, kind)
    if node.type in _RELAYS:
        return follow(scope, node, node.inputs[0], seen, kind) if node.inputs else None
    if node.type in VIRTUAL:
        return None
    return Output(scope.name_of(node), slot)


def _from_inside(scope: Scope, graph: Graph, slot: int, seen: Seen, kind: str) -> Found:
    link = next(filter(None, map(graph.links.get, graph.outputs[slot].links)), None)
    if link is None:
        return None
    if link.origin == INPUT_NODE:
        return _from_outside(scope, link, seen)
    return _from_output(scope, graph.nodes[link.origin], link.origin_slot, seen, kind)


def _from_setter(scope: Scope, getter: Node, seen: Seen, kind: str) -> Found:
    """A Get node gives what the Set node of the same name takes, here or further out."""
    name = _pipe(getter)
    level: Scope | None = scope
    while level is not None:
        for node in level.graph.nodes.values():
            if node.type in SETTERS and _pipe(node) == name and node.inputs:
                return follow(level, node, node.inputs[0], seen, kind)
        level = level.parent
    raise WorkflowError(
        f"{scope.source}: node {plain(scope.name_of(getter))} gets {shown(name)}, but no Set "
        "node of the file has that name. Open it in ComfyUI and connect it again."
    )


def _pipe(node: Node) -> object:
    values = node.stored
    if isinstance(values, dict):
        return next(iter(values.values()), None)
    return values[0] if values else None


def _passed_on(node: Node, slot: int, kind: str) -> Input | None:
    """The input that a bypassed node passes on: the same slot, an equal type, one that fits."""
    inputs = node.inputs
    if not inputs:
        return None
    if kind in ("*", ""):
        return inputs[slot] if slot < len(inputs) else inputs[0]
    given = node.output_kinds[slot] if slot < len(node.output_kinds) else kind

    def fits(entry: Input) -> bool:
        return _may_connect(entry.kind, given) and _may_connect(entry.kind, kind)

    if slot < len(inputs) and fits(inputs[slot]):
        return inputs[slot]
    equal = [entry for entry in inputs if entry.kind == kind]
    return next(iter(equal or filter(fits, inputs)), None)


def _may_connect(one: str, other: str) -> bool:
    if one in ("*", "", "0") or other in ("*", "", "0"):
        return True
    return bool(set(one.lower().split(",")) & set(other.lower().split(",")))


def _broken(scope: Scope, node: Node, entry: Input) -> WorkflowError:
    return WorkflowError(
        f"{scope.source}: input {shown(entry.name)} of {shown(node.title)} is linked "
        f"by link {plain(entry.link)}, which leads to no node. The file was edited by hand or cut "
        "short: open it in ComfyUI, connect that input again and save."
    )
