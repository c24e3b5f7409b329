"""Ming-Lite-Uni in a real ComfyUI: drawing, a sweep that encodes once, edits, answers, cancel."""

import io

import pytest
from graphs import Graph
from PIL import Image

pytestmark = pytest.mark.comfy

CHECKPOINT = "Ming-Lite-Uni"


def started() -> Graph:
    graph = Graph()
    graph.ming("LoadModel", "model", checkpoint=CHECKPOINT, precision="fp32")
    return graph


def sweep(*settings: tuple[int, float], prompt: str = "a cat") -> Graph:
    """One prompt, sampled and shown once per (seed, guidance)."""
    graph = started()
    graph.lite("EncodePrompt", "encode", model=["model", 0], prompt=prompt)
    for seed, guidance in settings:
        name = f"{seed} {guidance}"
        drawn = {"model": ["model", 0], "condition": ["encode", 0]}
        graph.lite("Sample", f"draw {name}", **drawn, seed=seed, guidance=guidance)
        graph.add("PreviewImage", f"show {name}", images=[f"draw {name}", 0])
    return graph


def picture(server, run, node: str) -> Image.Image:
    (file,) = run.output(node, "images")
    return Image.open(io.BytesIO(server.view(file))).convert("RGB")


def test_a_prompt_becomes_a_picture_with_progress_per_layer_and_step(server):
    graph = started()
    graph.lite("Generate", "draw", model=["model", 0], prompt="a cat", steps=3)
    graph.add("PreviewImage", "show", images=["draw", 0])
    run = server.run(graph.prompt)
    assert run.ending == "execution_success", run.messages
    assert picture(server, run, "show").size == (96, 64)
    told = run.progress("draw")
    assert told[-1][0] == told[-1][1] > 3


def test_a_sweep_encodes_once_and_a_new_seed_only_samples(server):
    first = server.run(sweep((1, 2.0), (1, 5.0), (2, 5.0)).prompt)
    assert first.ending == "execution_success"
    shown = [picture(server, first, f"show {name}") for name in ("1 2.0", "1 5.0", "2 5.0")]
    assert len({image.tobytes() for image in shown}) == 3
    again = server.run(sweep((1, 2.0), (1, 5.0), (3, 5.0)).prompt)
    assert again.executed == {"draw 3 5.0", "show 3 5.0"}, "the condition stays as it was"
    other = server.run(sweep((1, 2.0), prompt="a dog").prompt)
    assert {"encode", "draw 1 2.0"} <= other.executed and "model" not in other.executed


def test_edits_go_from_picture_to_picture(server):
    graph = started()
    graph.lite("Generate", "draw", model=["model", 0], prompt="a cat")
    before = "draw"
    for name, instruction in (("one", "a hat"), ("two", "at night")):
        edit = {"model": ["model", 0], "image": [before, 0], "instruction": instruction}
        graph.lite("Edit", name, **edit, size_mode="like input")
        graph.add("PreviewImage", f"show {name}", images=[name, 0])
        before = name
    run = server.run(graph.prompt)
    assert run.ending == "execution_success", run.messages
    sizes = [picture(server, run, f"show {name}").size for name in ("one", "two")]
    assert sizes[0] == sizes[1] and sizes[0][0] > sizes[0][1], "the shape of the first picture"
    graph.prompt["two"]["inputs"]["instruction"] = "at noon"
    assert server.run(graph.prompt).executed == {"two", "show two"}


def test_a_question_and_one_that_goes_on(server):
    graph = started()
    graph.lite("Generate", "draw", model=["model", 0], prompt="a cat")
    graph.ming("Describe", "ask", model=["model", 0], image=["draw", 0])
    graph.ming("Describe", "go on", model=["model", 0], dialogue=["ask", 2], question="Why?")
    for name in ("ask", "go on"):
        graph.add("PreviewAny", f"told {name}", source=[name, 0])
    run = server.run(graph.prompt)
    assert run.ending == "execution_success", run.messages
    assert all(run.output(f"told {name}", "text") for name in ("ask", "go on"))


def test_a_cancelled_drawing_ends_at_once_and_the_next_is_the_same(server):
    expected = picture(server, server.run(sweep((20, 5.0)).prompt), "show 20 5.0")
    server.free()
    graph = sweep((20, 5.0))
    graph.prompt["draw 20 5.0"]["inputs"]["steps"] = 500
    run = server.started(graph.prompt)
    server.wait_for_progress(run, 2, node="draw 20 5.0")
    server.post("/interrupt", {"prompt_id": run.prompt_id})
    assert server.finish(run).ending == "execution_interrupted"
    again = server.run(sweep((20, 5.0)).prompt)
    assert picture(server, again, "show 20 5.0").tobytes() == expected.tobytes()


def test_the_wrong_family_is_said_in_the_run(server):
    graph = started()
    graph.ming("Generate", "draw", model=["model", 0])
    graph.preview("model", ["draw", 1], "shown")
    run = server.run(graph.prompt)
    assert run.ending == "execution_error"
    assert "is Ming-Lite-Uni" in run.error and "load Ming-UniVision" in run.error


@pytest.mark.parametrize("share", [0.3, 0.0])
def test_on_a_device_that_is_too_small_pictures_and_answers_are_the_same(server, start, share):
    graph = started()
    graph.lite("Generate", "draw", model=["model", 0], prompt="a cat")
    edit = {"model": ["model", 0], "image": ["draw", 0], "instruction": "a hat"}
    graph.lite("Edit", "edit", **edit, size_mode="like input")
    graph.add("PreviewImage", "show", images=["edit", 0])
    graph.ming("Describe", "ask", model=["model", 0], image=["edit", 0])
    graph.add("PreviewAny", "told", source=["ask", 0])
    small = start(share=share)
    runs = [(host, host.run(graph.prompt)) for host in (server, small)]
    assert [run.ending for _, run in runs] == ["execution_success"] * 2, runs[1][1].messages
    whole, streamed = (picture(host, run, "show").tobytes() for host, run in runs)
    assert whole == streamed
    assert runs[0][1].output("told", "text") == runs[1][1].output("told", "text")
