"""Gives the nodes inside subgraphs ids that no other level has, as the page does when it loads.

Without it an id in a prompt would not be the one that the page shows.
"""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

from ming_core.foreign_json import parse_json

KEEPS_IDS = "keeps_ids"  # set on what a group node became: its ids are places in a list
_ENDS = ("origin_id", "target_id")


def renumbered(workflow: Mapping[str, Any]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The nodes of the file, and its subgraphs by id; a repeated id inside one is a new one."""
    nodes = deepcopy(workflow["nodes"])
    subgraphs = [deepcopy(dict(entry)) for entry in _subgraphs(workflow)]
    last = max([int(workflow.get("last_node_id") or 0), *_numbers(nodes)])
    used = {str(node["id"]) for node in nodes}
    changes: dict[str, dict[str, int]] = {}
    for subgraph in subgraphs:
        if subgraph.get(KEEPS_IDS):
            continue
        changed = changes.setdefault(str(subgraph["id"]), {})
        for node in subgraph["nodes"]:
            if str(node["id"]) in used:
                last += 1
                while str(last) in used:
                    last += 1
                changed[str(node["id"])] = node["id"] = last
            last = max([last, *_numbers([node])])
            used.add(str(node["id"]))
        _follow_links(subgraph, changed)
    for level in (nodes, *(subgraph["nodes"] for subgraph in subgraphs)):
        for node in level:
            _follow_proxies(node, changes.get(str(node["type"]), {}))
    return nodes, {str(subgraph["id"]): subgraph for subgraph in subgraphs}


def _subgraphs(content: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for entry in (content.get("definitions") or {}).get("subgraphs") or ():
        yield entry
        yield from _subgraphs(entry)


def _numbers(nodes: list[dict[str, Any]]) -> list[int]:
    return [node["id"] for node in nodes if isinstance(node["id"], int)]


def _follow_links(subgraph: Mapping[str, Any], changed: Mapping[str, int]) -> None:
    for link in subgraph.get("links") or ():
        for end in _ENDS if isinstance(link, dict) else ():
            link[end] = changed.get(str(link[end]), link[end])


def _follow_proxies(node: Mapping[str, Any], changed: Mapping[str, int]) -> None:
    """Widgets that a subgraph's node shows are named by the ids inside."""
    properties = node.get("properties") or {}
    listed = properties.get("proxyWidgets")
    if isinstance(listed, str):
        listed = properties["proxyWidgets"] = parse_json(listed, "proxyWidgets")
    for entry in listed or ():
        entry[0] = str(changed.get(str(entry[0]), entry[0]))
