"""Every shipped workflow opens in ComfyUI's own editor, in a headless Chromium.

Needs `selenium` (pip) and `chromium` with `chromedriver` (the system's packages); without them
these tests are skipped.
"""

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from comfy_server import ComfyServer  # its folder is put on the path by conftest.py

from ming_cli.run.prompt_checks import EDITOR_ONLY_INPUTS

pytestmark = [pytest.mark.comfy, pytest.mark.slow]

WORKFLOWS = Path(__file__).resolve().parents[2] / "workflows"
FILES = sorted(WORKFLOWS.glob("*.json"))
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--window-size=1800,1000",
)
START_SECONDS = 120

OPEN_WORKFLOW = """
const [workflow, done] = arguments;
(async () => {
  await app.loadGraphData(workflow);
  await new Promise(resolve => setTimeout(resolve, 500));
  const prompt = (await app.graphToPrompt()).output;
  const shown = document.querySelectorAll('.p-toast-message, .p-dialog');
  done({
    prompt,
    saved: app.graph.serialize(),
    messages: [...shown].map(element => element.innerText),
    broken: app.graph.nodes.filter(node => node.has_errors).map(node => node.type),
    boxes: app.graph.nodes.map(node => [node.type, [...node.boundingRect]]),
  });
})().catch(error => done({failure: String(error)}));
"""


@pytest.fixture(scope="module")
def browser(server: ComfyServer) -> Iterator[Any]:
    """A browser with ComfyUI open in it."""
    selenium = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    program = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    driver = shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("no chromium with chromedriver found")
    options = selenium.ChromeOptions()
    options.binary_location = program
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    server.post("/settings", {"Comfy.TutorialCompleted": True})  # else a dialog covers the canvas
    for picture in (WORKFLOWS / "input").glob("*.png"):
        shutil.copy(picture, server.base / "input")
    chrome = selenium.Chrome(options=options, service=selenium.ChromeService(driver))
    try:
        chrome.set_script_timeout(60)
        chrome.get(f"http://127.0.0.1:{server.port}")
        _wait_for_editor(chrome)
        yield chrome
    finally:
        chrome.quit()


def _wait_for_editor(chrome: Any) -> None:
    ready = "return !!(window.app && app.graph && app.extensionManager && !document.querySelector("
    deadline = time.monotonic() + START_SECONDS
    while not chrome.execute_script(ready + "'#vue-app .p-progressspinner'))"):
        assert time.monotonic() < deadline, "the editor did not start"
        time.sleep(0.5)
    time.sleep(3)  # extensions still register node types


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def workflow(request: pytest.FixtureRequest) -> dict[str, Any]:
    return json.loads(request.param.read_text(encoding="utf-8")) | {"name": request.param.stem}


@pytest.fixture
def opened(browser: Any, workflow: dict[str, Any]) -> dict[str, Any]:
    """What the editor says after opening the file."""
    browser.get_log("browser")  # empties it
    answer = browser.execute_async_script(OPEN_WORKFLOW, workflow)
    assert "failure" not in answer, answer["failure"]
    entries = browser.get_log("browser")
    return {**answer, "errors": [x["message"] for x in entries if x["level"] == "SEVERE"]}


def test_templates_are_listed(server: ComfyServer):
    listed = server.get_json("/workflow_templates")
    assert [sorted(names) for names in listed.values()] == [[path.stem for path in FILES]]


def test_it_opens_without_complaint_and_exports_its_twin(
    opened: dict[str, Any], workflow: dict[str, Any]
):
    assert not opened["broken"]
    assert not opened["messages"]
    assert not [text for text in opened["errors"] if "favicon" not in text]
    name = workflow["name"].lower().replace(",", "").replace(" ", "_").replace("-", "_")
    twin = json.loads((WORKFLOWS / "api" / f"{name}.json").read_text(encoding="utf-8"))
    for node in opened["prompt"].values():
        kept = {k: v for k, v in node["inputs"].items() if k not in EDITOR_ONLY_INPUTS}
        node["inputs"] = kept
    exported = {
        number: {key: node[key] for key in ("class_type", "inputs", "_meta")}
        for number, node in opened["prompt"].items()
    }
    assert exported == twin


def test_the_editor_keeps_sizes_and_widget_values(opened: dict[str, Any], workflow: dict[str, Any]):
    saved = {node["id"]: node for node in opened["saved"]["nodes"]}
    for node in workflow["nodes"]:
        assert [round(side) for side in saved[node["id"]]["size"]] == node["size"]
        if node["type"] != "PreviewAny":  # its widgets belong to the editor
            assert saved[node["id"]].get("widgets_values", []) == node["widgets_values"]


def test_nothing_overlaps_as_drawn(opened: dict[str, Any]):
    boxes = [(kind, x, y, x + w, y + h) for kind, (x, y, w, h) in opened["boxes"]]
    for number, (kind, left, top, right, bottom) in enumerate(boxes):
        for other, x0, y0, x1, y1 in boxes[number + 1 :]:
            is_apart = right <= x0 or x1 <= left or bottom <= y0 or y1 <= top
            assert is_apart, f"{kind} and {other}"
