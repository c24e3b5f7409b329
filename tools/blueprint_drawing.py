"""Turns a drawn canvas into a subgraph blueprint: one node that stands for the whole graph.

The root graph holds exactly that node, or the editor refuses the file. What it shows of its
inside are inputs (sockets and widgets) and outputs by name.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workflow_drawing import NAMESPACE, Canvas, DrawnNode

INPUT_NODE, OUTPUT_NODE = -10, -20  # the editor's ids for the two ends inside a subgraph
END_WIDTH, SLOT, END_GAP = 150, 20, 120
NODE_WIDTH = 420

Link = dict[str, Any]


@dataclass(frozen=True)
class Face:
    """What a blueprint shows: inputs feed inner inputs of one kind, outputs come from inner ones.

    inputs    {name: [(inner node, its input), ...]}
    outputs   {name: (inner node, its output)}
    """

    inputs: Mapping[str, Sequence[tuple[DrawnNode, str]]]
    outputs: Mapping[str, tuple[DrawnNode, str]]
    description: str
    aliases: Sequence[str]


def to_blueprint(canvas: Canvas, face: Face) -> dict[str, Any]:
    """Return the file of a blueprint."""
    inside = canvas.to_workflow()
    nodes = {node["id"]: node for node in inside["nodes"]}
    links = [_as_object(link) for link in inside["links"]]
    inputs = [_input_end(canvas, name, ends, nodes, links) for name, ends in face.inputs.items()]
    outputs = [
        _output_end(canvas, slot, (name, *end), nodes, links)
        for slot, (name, end) in enumerate(face.outputs.items())
    ]
    _place_ends(list(nodes.values()), inputs, outputs)
    subgraph_id = _stable_id(canvas.name, "subgraph")
    subgraph = {
        "id": subgraph_id,
        "version": 1,
        "state": {
            "lastGroupId": len(inside["groups"]),
            "lastNodeId": len(nodes),
            "lastLinkId": len(links),
            "lastRerouteId": 0,
        },
        "revision": 0,
        "config": {},
        "name": canvas.name,
        "inputNode": {"id": INPUT_NODE, "bounding": _bounding(inputs)},
        "outputNode": {"id": OUTPUT_NODE, "bounding": _bounding(outputs)},
        "inputs": inputs,
        "outputs": outputs,
        "widgets": [],
        "nodes": list(nodes.values()),
        "groups": inside["groups"],
        "links": links,
        "extra": {},
        "description": face.description,
    }
    return {
        "id": _stable_id(canvas.name, "root"),
        "revision": 0,
        "last_node_id": 1,
        "last_link_id": 0,
        "nodes": [_root_node(canvas, face, subgraph)],
        "links": [],
        "groups": [],
        "definitions": {"subgraphs": [subgraph]},
        "config": {},
        "extra": {
            "BlueprintDescription": face.description,
            "BlueprintSearchAliases": list(face.aliases),
        },
        "version": 0.4,
    }


def _input_end(
    canvas: Canvas,
    name: str,
    ends: Sequence[tuple[DrawnNode, str]],
    nodes: Mapping[int, dict[str, Any]],
    links: list[Link],
) -> dict[str, Any]:
    """Link an input of the blueprint to the inner inputs it feeds."""
    entry = {"id": _stable_id(canvas.name, f"in {name}"), "name": name, "type": "", "linkIds": []}
    slot = len({link["origin_slot"] for link in links if link["origin_id"] == INPUT_NODE})
    for node, inner in ends:
        drawn = nodes[node.number]["inputs"]
        target = [each["name"] for each in drawn].index(inner)
        entry["type"] = drawn[target]["type"]
        drawn[target]["link"] = len(links) + 1
        entry["linkIds"].append(len(links) + 1)
        links.append(_link(links, (INPUT_NODE, slot), (node.number, target), entry["type"]))
    return entry


def _output_end(
    canvas: Canvas,
    slot: int,
    end: tuple[str, DrawnNode, str],
    nodes: Mapping[int, dict[str, Any]],
    links: list[Link],
) -> dict[str, Any]:
    """Link an inner output to an output of the blueprint."""
    name, node, inner = end
    output = node[inner]
    drawn = nodes[node.number]["outputs"][output.slot]
    drawn["links"] = [*(drawn["links"] or []), len(links) + 1]
    links.append(_link(links, (node.number, output.slot), (OUTPUT_NODE, slot), output.kind))
    identity = _stable_id(canvas.name, f"out {name}")
    return {"id": identity, "name": name, "type": output.kind, "linkIds": [len(links)]}


def _link(links: list[Link], origin: tuple[int, int], target: tuple[int, int], kind: str) -> Link:
    return _as_object([len(links) + 1, *origin, *target, kind])


def _as_object(link: Sequence[Any]) -> Link:
    names = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")
    return dict(zip(names, link, strict=True))


def _place_ends(
    nodes: Sequence[dict[str, Any]], inputs: list[dict[str, Any]], outputs: list[dict[str, Any]]
) -> None:
    """Put the two ends left and right of the inner nodes."""
    left = min(node["pos"][0] for node in nodes) - END_GAP
    right = max(node["pos"][0] + node["size"][0] for node in nodes) + END_GAP
    for x, ends in ((left, inputs), (right, outputs)):
        for row, end in enumerate(ends):
            end["pos"] = [x, SLOT * (row + 1)]


def _bounding(ends: list[dict[str, Any]]) -> list[int]:
    x, y = ends[0]["pos"]
    is_left = x < 0
    return [x - (END_WIDTH if is_left else 0), y - SLOT, END_WIDTH, SLOT * (len(ends) + 2)]


def _root_node(canvas: Canvas, face: Face, subgraph: dict[str, Any]) -> dict[str, Any]:
    definitions = {
        name: ends[0][0].definition.input_named(ends[0][1]) for name, ends in face.inputs.items()
    }
    has_widget = {name: d is not None and d.has_widget for name, d in definitions.items()}
    entries = []
    for end in subgraph["inputs"]:
        entry = {"name": end["name"], "type": end["type"], "link": None}
        if has_widget[end["name"]]:
            entry["widget"] = {"name": end["name"]}
        entries.append(entry)
    height = 60 + SLOT * len(face.outputs) + 40 * len(entries)
    return {
        "id": 1,
        "type": subgraph["id"],
        "pos": [0, 0],
        "size": [NODE_WIDTH, height],
        "flags": {},
        "order": 0,
        "mode": 0,
        "inputs": entries,
        "outputs": [
            {"name": end["name"], "type": end["type"], "links": None} for end in subgraph["outputs"]
        ],
        "title": canvas.name,
        "properties": {},
        "widgets_values": [],
    }


def _stable_id(name: str, role: str) -> str:
    return str(uuid.uuid5(NAMESPACE, f"blueprint {name} {role}"))
