"""Every shipped workflow and blueprint opens in ComfyUI's own editor, in a headless Chromium.

In both renderers, on the frontend that ships with the host and on the newest one. All are
queued, each in one of the two renderers, and show what they made.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from browser import (
    CLASSIC,
    NODES_2,
    RUN_SECONDS,
    Browser,
)  # its folder is put on the path by conftest.py

from ming_run.prompt_checks import EDITOR_ONLY_INPUTS

pytestmark = [pytest.mark.comfy, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = ROOT / "workflows"
FILES = sorted(WORKFLOWS.glob("*.json"))
BLUEPRINTS = sorted((ROOT / "subgraphs").glob("*.json"))
RENDERERS = (CLASSIC, NODES_2)
FLOOR = "0.8.0"

SEE = """
const prompt = (await app.graphToPrompt()).output;
const shown = document.querySelectorAll('.p-toast-message, .p-dialog, [role=alertdialog]');
return {
  prompt,
  saved: app.graph.serialize(),
  messages: [...shown].map((element) => element.innerText),
  broken: app.graph.nodes.filter((node) => node.has_errors).map((node) => node.type),
  boxes: app.graph.nodes.map((node) => [node.type, [...node.boundingRect]]),
};
"""
WHAT_IS_SHOWN = """
app.canvas.ds.scale = 0.8;
const nodes = app.graph.nodes;
app.canvas.centerOnNode(nodes.find((node) => node.type === given[0]));
app.canvas.setDirty(true, true);
await wait(1200);
return {
  pictures: nodes.flatMap((node) => node.imgs ?? []).filter((image) => image.naturalWidth).length,
  drawn: [...document.querySelectorAll('.lg-node img')].filter((i) => i.naturalWidth > 1).length,
  texts: nodes.filter((node) => node.type === 'PreviewAny')
    .map((node) => node.widgets.map((widget) => `${widget.value ?? ''}`).join(' ')),
  turns: document.querySelectorAll('.ming-in-node .ming-turn').length,
};
"""
RUN_APP = """
[...document.querySelectorAll('button')].findLast((b) => b.innerText.trim() === 'Run').click();
const end = Date.now() + given[1] * 1000;
do await wait(300); while (!document.body.innerText.includes(given[0]) && Date.now() < end);
return document.body.innerText;
"""


def workflow_of(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def numbered(number: int) -> Path:
    return next(path for path in FILES if path.name.startswith(f"{number:02} "))


def opened(browser: Browser, path: Path, renderer: str) -> dict[str, Any]:
    """Open a file and return what the editor says, the console's errors included."""
    browser.use(renderer)
    browser.forget_log()
    browser.load(workflow_of(path))
    return {**browser.run(SEE), "errors": browser.errors()}


def assert_no_complaint(seen: dict[str, Any]) -> None:
    assert not seen["broken"]
    assert not seen["messages"]
    assert not seen["errors"]


def test_templates_are_listed_with_their_thumbnails(browser: Browser):
    listed = browser.server.get_json("/workflow_templates")
    ((module, names),) = listed.items()
    assert names == [path.stem for path in FILES]
    address = f"/api/workflow_templates/{module}/{FILES[0].stem}.jpg".replace(" ", "%20")
    assert browser.server.get(address) == FILES[0].with_suffix(".jpg").read_bytes()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
class TestClassic:
    """The frontend that ships with the host, as most people see it."""

    @pytest.fixture(autouse=True, scope="class")
    @staticmethod
    def remembered():
        TestClassic.seen = {}

    @pytest.fixture
    def seen(self, browser: Browser, path: Path) -> dict[str, Any]:
        if path not in TestClassic.seen:
            TestClassic.seen[path] = opened(browser, path, CLASSIC)
        return TestClassic.seen[path]

    def test_it_opens_without_complaint_and_exports_its_twin(self, seen, path: Path):
        assert_no_complaint(seen)
        name = path.stem.lower().replace(",", "").replace(" ", "_").replace("-", "_")
        twin = workflow_of(WORKFLOWS / "api" / f"{name}.json")
        for node in seen["prompt"].values():
            kept = {k: v for k, v in node["inputs"].items() if k not in EDITOR_ONLY_INPUTS}
            node["inputs"] = kept
        exported = {
            number: {key: node[key] for key in ("class_type", "inputs", "_meta")}
            for number, node in seen["prompt"].items()
        }
        assert exported == twin

    def test_the_editor_keeps_sizes_and_widget_values(self, seen, path: Path):
        saved = {node["id"]: node for node in seen["saved"]["nodes"]}
        for node in workflow_of(path)["nodes"]:
            assert [round(side) for side in saved[node["id"]]["size"]] == node["size"]
            if node["type"] != "PreviewAny":  # its widgets belong to the editor
                assert saved[node["id"]].get("widgets_values", []) == node["widgets_values"]

    def test_nothing_overlaps_as_drawn(self, seen, path: Path):
        assert_apart(seen["boxes"])


@pytest.mark.parametrize("renderer", RENDERERS)
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_it_opens_in_every_frontend(any_browser: Browser, path: Path, renderer: str):
    seen = opened(any_browser, path, renderer)
    assert_no_complaint(seen)
    any_browser.shoot(f"{any_browser.name} {renderer} {path.stem}")


@pytest.mark.parametrize("path", BLUEPRINTS, ids=lambda path: path.stem)
def test_a_blueprint_is_offered_and_is_one_working_node(any_browser: Browser, path: Path):
    browser = any_browser
    browser.use(CLASSIC)
    browser.forget_log()
    listed = browser.server.get_json("/global_subgraphs")
    (key,) = (key for key, entry in listed.items() if entry["name"] == path.stem)
    blueprint = json.loads(browser.server.get_json(f"/global_subgraphs/{key}")["data"])
    browser.load(blueprint)
    seen = browser.run(SEE)
    (box,) = seen["boxes"]
    assert box[0] == blueprint["definitions"]["subgraphs"][0]["id"]
    assert_no_complaint({**seen, "errors": browser.errors()})
    widgets = browser.run("return app.graph.nodes[0].widgets.map((widget) => widget.name)")
    face = blueprint["nodes"][0]["inputs"]
    assert widgets == [entry["name"] for entry in face if "widget" in entry]


@pytest.mark.parametrize(
    ("number", "renderer", "looked_at"),
    [
        (1, CLASSIC, "SaveImage"),
        (2, NODES_2, "PreviewAny"),
        (4, NODES_2, "SaveImage"),
        (3, CLASSIC, "MingUniVision_ContextTimeline"),
        (5, NODES_2, "SaveImage"),
        (6, CLASSIC, "SaveImage"),
        (7, NODES_2, "SaveImage"),
        (8, CLASSIC, "SaveImage"),  # resumes what the third has saved
        (9, NODES_2, "SaveImage"),
        (10, CLASSIC, "SaveImage"),
        (11, NODES_2, "SaveImage"),
        (12, CLASSIC, "PreviewAny"),
        (13, CLASSIC, "SaveImage"),
        (14, CLASSIC, "MingLiteUni_Sample"),
        (15, CLASSIC, "MingUniVision_SaveImage"),
        (17, NODES_2, "SaveImage"),
        (18, CLASSIC, "PreviewAny"),
        (19, NODES_2, "SaveImage"),
    ],
)
def test_it_is_queued_and_shows_what_it_made(
    browser: Browser, number: int, renderer: str, looked_at: str
):
    path = numbered(number)
    workflow = workflow_of(path)
    assert_no_complaint(opened(browser, path, renderer))
    assert browser.queue() == "success"
    shown = browser.run(WHAT_IS_SHOWN, looked_at)
    browser.shoot(f"{browser.name} {renderer} {path.stem} queued")
    kinds = [node["type"] for node in workflow["nodes"]]
    num_pictures = kinds.count("SaveImage") + kinds.count("LoadImage")
    assert max(shown["pictures"], shown["drawn"]) >= (1 if renderer == NODES_2 else num_pictures)
    assert all(text.strip() for text in shown["texts"])
    assert len(shown["texts"]) == kinds.count("PreviewAny")
    assert shown["turns"] == {3: 3, 8: 4, 18: 1}.get(number, 0)
    assert not browser.errors()


def test_our_save_nodes_fill_in_file_names_as_the_hosts_own(browser: Browser):
    content = (ROOT / "tests" / "run" / "cases" / "a3e_prefix_save_with_context.json").read_text()
    browser.load(json.loads(content))
    prefix = browser.run(SEE)["prompt"]["6"]["inputs"]["filename_prefix"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d/ming_7", prefix)


@pytest.mark.parametrize(
    ("number", "fields", "shown"),
    [
        (17, ["prompt", "instruction", "seed", "steps"], "17_changed"),
        (18, ["image", "question"], "ming_timeline"),
    ],
)
def test_an_app_shows_its_fields_and_what_came_of_them(
    any_browser: Browser, number: int, fields: list[str], shown: str
):
    if any_browser.name == FLOOR:
        pytest.skip("the floor's frontend has no apps")
    any_browser.load(workflow_of(numbered(number)), as_app=True)
    words = any_browser.run("await wait(1500); return document.body.innerText").split("\n")
    after = any_browser.run(RUN_APP, shown, RUN_SECONDS)
    any_browser.shoot(f"{any_browser.name} app {number}")
    any_browser.open()
    assert [word for word in words if word in fields] == fields
    assert shown in after


def assert_apart(boxes: list[tuple[str, list[float]]]) -> None:
    """Check that no two nodes lie over one another."""
    edges = [(kind, x, y, x + w, y + h) for kind, (x, y, w, h) in boxes]
    for number, (kind, left, top, right, bottom) in enumerate(edges):
        for other, x0, y0, x1, y1 in edges[number + 1 :]:
            is_apart = right <= x0 or x1 <= left or bottom <= y0 or y1 <= top
            assert is_apart, f"{kind} and {other}"
