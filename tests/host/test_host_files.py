"""Lists, saved pictures and downloads in a real ComfyUI."""

import io
import json
import os
import sys
import time
from pathlib import Path

import pytest
from comfy_server import ComfyServer
from graphs import Graph
from PIL import Image

sys.path.append(str(Path(__file__).parents[1] / "nodes"))  # the hub of the node's tests

from fake_hub import FakeHub  # noqa: E402

pytestmark = pytest.mark.comfy

COPY = {"source": "Hugging Face", "what": "the repository named below", "repository": "owner/copy"}
WEIGHTS = os.urandom(400_000)


def test_a_list_runs_what_is_behind_it_once_per_row_and_pictures_say_so(server: ComfyServer):
    rows = "name,prompt,seed\nlist/cat,a cat,7\ndog,a dog,\n"
    (server.base / "input" / "rows.csv").write_text(rows, encoding="utf-8")
    graph = Graph()
    model = graph.ming("LoadModel", "model")
    graph.ming("PromptList", "list", prompts="", file="rows.csv", seed=100)
    given = {"prompt": ["list", 0], "seed": ["list", 1]}
    graph.ming("Generate", "draw", model=[model, 0], **given)
    image = graph.ming("PixelDecode", "decode", model=[model, 0], features=["draw", 1])
    inputs = {"images": [image, 0], "context": ["draw", 0], "model": [model, 0]}
    graph.ming("SaveImage", "save", filename_prefix=["list", 2], **inputs)
    run = server.run(graph.prompt)
    assert run.ending == "execution_success"
    saved = run.output("save", "images")
    assert [file["filename"] for file in saved] == ["list_cat_00001_.png", "dog_00001_.png"]
    pictures = [Image.open(io.BytesIO(server.view(file))) for file in saved]
    records = [json.loads(picture.text["ming_univision"]) for picture in pictures]
    assert [record["turns"][0]["seed"] for record in records] == ["7", "101"]
    assert [record["turns"][0]["asked"] for record in records] == [
        [{"text": "a cat"}],
        [{"text": "a dog"}],
    ]
    assert records[0]["precision"] == "float32"
    assert json.loads(pictures[0].text["prompt"])["list"]["inputs"]["file"] == "rows.csv"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch):
    hub = FakeHub({"owner/copy": {"model.safetensors": WEIGHTS, "config.json": b"{}"}})
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    yield hub
    hub.close()


@pytest.mark.slow
def test_a_download_is_told_cancelled_and_goes_on(hub, start):
    server = start()
    folder = server.base / "models" / "ming_univision" / "copy"

    def prompt(*, confirm: bool) -> dict:
        graph = Graph()
        graph.ming("Download", "get", confirm=confirm, **COPY)
        return graph.prompt

    run = server.run(prompt(confirm=False))
    (report,) = run.output("get", "text")
    assert "400.0 kB in 2 files" in report and str(folder.parent) in report
    assert not folder.exists()

    hub.faults = [("stall", 150_000)]
    started = server.started(prompt(confirm=True))
    part = folder / "model.safetensors.part"
    deadline = time.monotonic() + 30
    while not (part.exists() and part.stat().st_size == 150_000) and time.monotonic() < deadline:
        time.sleep(0.05)
    asked = time.monotonic()
    server.post("/interrupt", {})
    assert server.finish(started).ending == "execution_interrupted"
    assert time.monotonic() - asked < 2
    assert [path.name for path in folder.iterdir()] == ["model.safetensors.part"]

    run = server.run(prompt(confirm=True))
    assert run.ending == "execution_success"
    assert "All of it is here" in run.output("get", "text")[0]
    assert hub.ranges()[-2] == "bytes=150000-"
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    assert run.progress("get")[-1] == (400_002, 400_002)
