"""A headless Chromium with ComfyUI open in it.

Needs `selenium` (pip) and `chromium` with `chromedriver` (the system's packages).
"""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from comfy_server import ComfyServer

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
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
START_SECONDS, RUN_SECONDS = 120, 120
CLASSIC, NODES_2 = "classic", "nodes-2"
# The host asks for files a fresh installation lacks, and for addresses its own policy forbids.
HOST_NOISE = ("status of 404", "favicon", "Content Security Policy", "Content-Security-Policy")
# A frontend newer than the server asks for what the server does not know yet.
NEWER_HOST_NOISE = (*HOST_NOISE, "Jobs API", "api/jobs", "status of 400")

WHEN_DONE = """
const given = [...arguments], done = given.pop();
const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
(async () => { %s })().then(
  (value) => done({ value: value === undefined ? null : value }),
  (error) => done({ failure: `${error?.stack ?? error}` }),
);
"""
QUEUE = """
await app.queuePrompt(0, 1);
const end = Date.now() + given[0] * 1000;
let queue;
do {
  await wait(200);
  queue = await (await fetch('/queue')).json();
} while ((queue.queue_running.length || queue.queue_pending.length) && Date.now() < end);
await wait(700);
const history = Object.values(await (await fetch('/history?max_items=1')).json());
return history[0]?.status?.status_str ?? null;
"""
SHORTEN = """
for (const node of app.graph.nodes) {
  for (const widget of node.widgets ?? []) {
    if (widget.name === 'steps') widget.value = 2;
    if (widget.name === 'max_tokens') widget.value = 12;
  }
}
"""

# Another pack whose script fails wherever it can.
BROKEN_PACK = """
const fail = () => { throw new Error('the other pack fails here'); };
if (!window.hasBrokenPack) {
  window.hasBrokenPack = true;
  app.registerExtension({
    name: 'Other.Broken', nodeCreated: fail, loadedGraphNode: fail, afterConfigureGraph: fail,
  });
  LiteGraph.LGraphNode.prototype.onExecuted = fail;
  app.api?.addEventListener('executed', fail);
  document.addEventListener('keydown', fail);
}
"""


class Browser:
    """One page; its scripts may await, see their arguments as `given`, and return JSON."""

    def __init__(self, server: ComfyServer, shots: Path, name: str, *, is_newer: bool = False):
        self.server, self.shots, self.name = server, shots, name
        self._holders, self._is_blank = 0, False
        self._noise = NEWER_HOST_NOISE if is_newer else HOST_NOISE
        self.driver = _start_chromium()
        self.driver.set_script_timeout(RUN_SECONDS + 20)
        server.post("/settings", {"Comfy.TutorialCompleted": True})  # else a dialog is in the way
        self.open()
        origin = f"http://127.0.0.1:{server.port}"
        allowed = ["clipboardReadWrite", "clipboardSanitizedWrite"]
        self.driver.execute_cdp_cmd(
            "Browser.grantPermissions", {"origin": origin, "permissions": allowed}
        )

    @contextmanager
    def held(self) -> Iterator["Browser"]:
        """Show the editor while it is needed, else nothing: an idle one goes on drawing."""
        if self._is_blank:
            self.open()
        self._holders += 1
        yield self
        self._holders -= 1
        if not self._holders:
            self.driver.get("about:blank")
            self._is_blank = True

    def open(self) -> None:
        """Open the editor anew and wait until it can be used."""
        self.driver.get(f"http://127.0.0.1:{self.server.port}")
        self._is_blank = False
        ready = (
            "return !!(window.app && app.graph && app.extensionManager && "
            "!document.querySelector('#vue-app .p-progressspinner'))"
        )
        deadline = time.monotonic() + START_SECONDS
        while not self.driver.execute_script(ready):
            assert time.monotonic() < deadline, "the editor did not start"
            time.sleep(0.3)
        time.sleep(2.5)  # extensions still register node types

    def run(self, script: str, *given: object) -> Any:
        """Run a script in the page and return what it returns."""
        answer = self.driver.execute_async_script(WHEN_DONE % script, *given)
        assert "failure" not in answer, answer["failure"]
        return answer["value"]

    def set(self, setting: str, value: object) -> None:
        """Change a setting of the editor."""
        self.run(
            "await app.extensionManager.setting.set(given[0], given[1]); await wait(300);",
            setting,
            value,
        )

    def use(self, renderer: str) -> None:
        """Switch between the classic renderer and Nodes 2.0."""
        self.set("Comfy.VueNodes.Enabled", renderer == NODES_2)

    def load(self, workflow: dict[str, Any], *, as_app: bool = False) -> None:
        """Open a workflow, one that is an app as its graph unless asked otherwise."""
        shown = {**workflow, "extra": {**workflow.get("extra", {}), "linearMode": as_app}}
        self.run("await app.loadGraphData(given[0]); await wait(700);", shown)

    def queue(self) -> str:
        """Run the open workflow with few steps; return the status in the history."""
        self.run(SHORTEN)
        return self.run(QUEUE, RUN_SECONDS)

    def forget_log(self) -> None:
        """Leave what was logged so far out of `errors`."""
        self.driver.get_log("browser")

    def errors(self) -> list[str]:
        """Return the console's errors since the last call, the host's usual ones left out."""
        entries = self.driver.get_log("browser")
        severe = [entry["message"] for entry in entries if entry["level"] == "SEVERE"]
        return [text for text in severe if not any(noise in text for noise in self._noise)]

    def shoot(self, name: str) -> Path:
        """Keep a screenshot."""
        path = self.shots / f"{name}.png"
        self.driver.save_screenshot(str(path))
        return path

    def find(self, selector: str) -> list[Any]:
        """Return the elements a CSS selector finds."""
        return self.driver.find_elements("css selector", selector)

    def press(self, *keys: str) -> None:
        """Press keys, one after the other."""
        from selenium.webdriver.common.action_chains import ActionChains

        for key in keys:
            ActionChains(self.driver).send_keys(key).perform()
        time.sleep(0.15)

    def close(self) -> None:
        """End the browser."""
        self.driver.quit()


def _start_chromium() -> Any:
    selenium = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    program = next((found for name in PROGRAMS if (found := shutil.which(name))), None)
    driver = shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("no chromium with chromedriver found")
    options = selenium.ChromeOptions()
    options.binary_location = program
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return selenium.Chrome(options=options, service=selenium.ChromeService(driver))
