"""Every shipped workflow, queued as its API twin, runs and shows something."""

import io
import json
import shutil
from pathlib import Path

import pytest
from graphs import Graph
from PIL import Image

pytestmark = pytest.mark.comfy

FOLDER = Path(__file__).parents[2] / "workflows"
WORKFLOWS = sorted((FOLDER / "api").glob("*.json"))
STEPS = 2  # enough to go the whole way; the shipped figure is for good pictures
MAX_TOKENS = 16


def test_there_are_workflows():
    assert WORKFLOWS


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_runs_and_its_outputs_can_be_fetched(server, path):
    prompt = json.loads(path.read_text(encoding="utf-8"))
    offer_inputs(server)
    for node in prompt.values():
        shorten(node["inputs"])
        if node["class_type"] == "MingUniVision_LoadContext":
            save_a_context_as(server, node["inputs"]["file"])
    run = server.run(prompt)
    assert run.ending == "execution_success", run.error
    known = server.get_json("/object_info")
    shown = {key for key, node in prompt.items() if known[node["class_type"]]["output_node"]}
    assert shown == set(run.history["outputs"])
    for node_id in shown:
        check_output(server, run.history["outputs"][node_id])


def check_output(server, output):
    """What a user gets is a picture that is not blank, or a text."""
    pictures = [*output.get("images", []), *output.get("ming_sheet", [])]
    assert pictures or output.get("text")
    for file in pictures:
        picture = Image.open(io.BytesIO(server.view(file))).convert("RGB")
        assert any(low != high for low, high in picture.getextrema()), f"{file} is blank"


def shorten(inputs):
    """Keep the run short without changing the graph; auto may find another test's checkpoint."""
    if inputs.get("checkpoint") == "auto":
        inputs["checkpoint"] = "Ming-UniVision"
    if "steps" in inputs:
        inputs["steps"] = STEPS
    if "max_tokens" in inputs:
        inputs["max_tokens"] = MAX_TOKENS


def offer_inputs(server):
    """Put the pictures that the workflows load where the host looks for them."""
    for picture in (FOLDER / "input").glob("*"):
        shutil.copy(picture, server.base / "input" / picture.name)


def save_a_context_as(server, name):
    """Save a context under the name a workflow resumes."""
    target = server.base / "output" / name.removesuffix(" [output]")
    graph = Graph()
    model = graph.ming("LoadModel", "model")
    graph.ming("Generate", "draw", model=[model, 0])
    graph.ming("SaveContext", "saved", context=["draw", 0], filename_prefix="to_resume/c")
    (saved,) = server.run(graph.prompt).output("saved", "text")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(server.base / "output" / saved.removesuffix(" [output]"), target)
