"""Conversations in a real ComfyUI: progress, selective re-run, branches, errors, memory."""

import io

import pytest
from comfy_server import ComfyServer, RefusedError, Run
from graphs import Graph, edit_chain, one_picture
from hosts import version_of
from PIL import Image

from ming_bench.tiny_checkpoint.make import make_tiny
from ming_core import load_model
from ming_core.univision.flow.schedule import Calibrated, Schedules
from ming_core.univision.schedule_file import write_schedules

pytestmark = pytest.mark.comfy

THROTTLED_SINCE = (0, 9, 2)  # from then on the host sends some of what it is told
VISUAL_TOKENS = 36  # of a picture of the tiny checkpoint
GROWTH_BYTES = 24 << 20  # what ten prompts may add to the resident memory; noise is below 8 MiB


def pixels(server: ComfyServer, run, node: str) -> bytes:
    """Return the pixels an output node showed (its PNG also holds the prompt)."""
    (file,) = run.output(node, "images")
    return Image.open(io.BytesIO(server.view(file))).convert("RGB").tobytes()


def saved(server: ComfyServer, run) -> bytes:
    """Return the file of the context a run saved."""
    (name,) = run.output("saved", "text")
    return (server.base / "output" / name.removesuffix(" [output]")).read_bytes()


def test_progress_is_told_once_per_visual_token(server, comfyui):
    run = server.run(one_picture(seed=100).prompt)
    assert run.ending == "execution_success"
    told = run.progress("draw")
    every = [(done, VISUAL_TOKENS) for done in range(1, VISUAL_TOKENS + 1)]
    if version_of(comfyui) >= THROTTLED_SINCE:
        assert told == sorted(set(told)) and set(told) <= set(every)
        assert (told[0], told[-1]) == (every[0], every[-1])
    else:
        assert told == every


def test_a_changed_third_step_runs_only_itself(server):
    first = server.run(edit_chain().prompt)
    assert first.ending == "execution_success"
    second = server.run(edit_chain(instruction="at noon").prompt)
    assert second.executed == {"step3", "step3_shown", "step3_shown_decode", "saved"}
    assert {"model", "first", "step1", "step2", "step2_shown"} <= second.cached
    assert pixels(server, first, "step2_shown") == pixels(server, second, "step2_shown")
    assert saved(server, first) != saved(server, second)


def test_two_loaders_of_the_same_files_share_the_model(server):
    server.free()
    graph = one_picture(seed=40)
    graph.ming("LoadModel", "again", precision="fp32")
    graph.ming("Describe", "ask", model=["again", 0], context=["draw", 0])
    graph.add("PreviewAny", "told", source=["ask", 0])
    run = server.run(graph.prompt)
    assert run.ending == "execution_success"
    assert {"model", "again"} <= run.executed
    assert bool(run.progress("model")) != bool(run.progress("again")), "read once, by either"


def test_a_context_of_another_model_is_refused_with_the_reason(server):
    second = server.base / "models" / "ming_univision" / "second"
    make_tiny(second, seed=1)
    graph = one_picture(seed=41)
    graph.ming("LoadModel", "other", checkpoint="second/Ming-UniVision")
    graph.ming("EditStep", "edit", model=["other", 0], context=["draw", 0])
    graph.preview("other", ["edit", 1], "edited")
    run = server.run(graph.prompt)
    assert run.ending == "execution_error"
    assert "Connect the model it was made by" in run.error


def test_a_branch_leaves_the_other_branch_as_it_was(server):
    alone = server.run(branches("left").prompt)
    both = server.run(branches("left", "right").prompt)
    assert "left" not in both.executed
    assert "right" in both.executed
    server.free()
    again = server.run(branches("right", "left").prompt)
    assert {"model", "left", "right"} <= again.executed, "/free drops the model and the results"
    left = [pixels(server, run, "left_shown") for run in (alone, both, again)]
    assert left[0] == left[1] == left[2]
    right = [pixels(server, run, "right_shown") for run in (both, again)]
    assert right[0] == right[1] != left[0]


def branches(*names: str) -> Graph:
    """One picture and an edit per name, all from the same context."""
    graph = Graph()
    model = graph.ming("LoadModel", "model")
    graph.ming("Generate", "draw", model=[model, 0])
    for name in names:
        graph.ming(
            "EditStep", name, model=[model, 0], context=["draw", 0], instruction=f"to the {name}"
        )
        graph.preview(model, [name, 1], f"{name}_shown")
    return graph


def test_cancel_answers_within_a_visual_token_and_leaves_nothing_behind(server):
    steps = 100  # slow enough for the messages to keep up with the tokens
    whole = server.run(one_picture(seed=5, steps=steps).prompt)
    server.run(one_picture(seed=6).prompt)  # pushes the first one out of the host's cache

    run = server.started(one_picture(seed=5, steps=steps).prompt)
    server.wait_for_progress(run, 2, node="draw")
    told_before = len(run.progress("draw"))
    server.post("/interrupt", {"prompt_id": run.prompt_id})
    server.finish(run)
    assert run.ending == "execution_interrupted"
    assert len(run.progress("draw")) <= told_before + 1

    again = server.run(one_picture(seed=5, steps=steps).prompt)
    assert "draw" in again.executed
    assert pixels(server, again, "shown") == pixels(server, whole, "shown")
    assert saved(server, again) == saved(server, whole)


def test_a_cancelled_edit_leaves_its_context_usable(server):
    expected = saved(server, server.run(edit_chain(instruction="in fog", steps=100).prompt))
    server.run(edit_chain().prompt)
    run = server.started(edit_chain(instruction="in fog", steps=100).prompt)
    server.wait_for_progress(run, 2, node="step3")
    server.post("/interrupt", {"prompt_id": run.prompt_id})
    assert server.finish(run).ending == "execution_interrupted"
    again = server.run(edit_chain(instruction="in fog", steps=100).prompt)
    assert "step2" not in again.executed
    assert saved(server, again) == expected


def test_a_wrong_folder_gives_the_reason_in_the_response(server):
    graph = one_picture(seed=1)
    graph.prompt["model"]["inputs"]["checkpoint"] = "missing"
    with pytest.raises(RefusedError) as refused:
        server.queue(graph.prompt)
    (error,) = refused.value.details["node_errors"]["model"]["errors"]
    for words in (
        "'missing'",
        "ming_univision",
        "38 GB",
        "There is: Ming-Lite-Uni, Ming-UniVision",
    ):
        assert words in error["details"]


def test_a_broken_checkpoint_gives_the_reason_in_the_run(server):
    broken = server.base / "models" / "ming_univision" / "broken"
    broken.mkdir()
    config = server.base / "models" / "ming_univision" / "Ming-UniVision" / "config.json"
    (broken / "config.json").write_bytes(config.read_bytes())
    graph = one_picture(seed=1)
    graph.prompt["model"]["inputs"]["checkpoint"] = "broken"
    try:
        run = server.run(graph.prompt)
    finally:
        (broken / "config.json").unlink()
        broken.rmdir()
    assert run.ending == "execution_error"
    assert "broken" in run.error


def test_an_engine_error_reaches_the_user_as_it_is(server):
    graph = Graph()
    model = graph.ming("LoadModel", "model")
    graph.ming("EditStep", "edit", model=[model, 0])
    graph.preview(model, ["edit", 1], "shown")
    run = server.run(graph.prompt)
    assert run.ending == "execution_error"
    assert "context" in run.error and "features" in run.error


def test_the_schedule_of_the_flow_is_chosen_by_two_widgets(server):
    optional = server.get_json("/object_info/MingUniVision_Generate")["MingUniVision_Generate"]
    assert {"schedule", "time_shift"} <= set(optional["input"]["optional"])
    folder = server.base / "models" / "ming_univision" / "calibrated"
    make_tiny(folder, seed=2)
    by_steps = {3: Calibrated((0.0, 0.5, 0.9, 1.0), 0.01)}
    written = Schedules(load_model(folder).identity, 16, None, by_steps)
    write_schedules(written, folder / "Ming-UniVision")

    def asked(steps: int = 3, **widgets: object) -> Run:
        graph = one_picture(seed=7, steps=steps)
        graph.prompt["draw"]["inputs"] |= widgets
        graph.prompt["model"]["inputs"]["checkpoint"] = "calibrated/Ming-UniVision"
        return server.run(graph.prompt)

    ways = [{}, {"schedule": "calibrated"}, {"time_shift": 0.5}, {"schedule": "uniform"}]
    drawn = [pixels(server, asked(**widgets), "shown") for widgets in ways]
    assert len(set(drawn)) == 3 and drawn[0] == drawn[3]
    refused = asked(steps=4, schedule="calibrated")
    assert "calibrated for 3 steps, not for 4" in refused.error


def test_outputs_that_do_not_exist_keep_their_consumers_quiet(server):
    graph = branches("left")
    graph.preview("model", ["left", 2], "region_shown")
    run = server.run(graph.prompt)
    assert run.ending == "execution_success"
    assert [kind for kind, _ in run.messages if kind == "execution_error"] == []
    assert "region_shown" not in run.history["outputs"]
    assert "left_shown" in run.history["outputs"]


def test_every_picture_of_a_batch_goes_its_own_way(server):
    graph = one_picture(seed=30, images=3)
    graph.ming("EditStep", "edit", model=["model", 0], context=["draw", 0])
    graph.preview("model", ["edit", 1], "edited")
    run = server.run(graph.prompt)
    assert len(run.output("shown", "images")) == len(run.output("edited", "images")) == 3
    assert len(set(run.output("saved", "text"))) == 3


def test_ten_prompts_in_a_row_do_not_grow_the_memory(server):
    for seed in range(4):
        server.run(one_picture(seed, images=4).prompt)
    before = server.resident_bytes()
    runs = [server.started(one_picture(seed, images=4).prompt) for seed in range(10, 20)]
    assert [server.finish(run).ending for run in runs] == ["execution_success"] * 10
    assert all("draw" in run.executed and "model" not in run.executed for run in runs)
    assert server.resident_bytes() - before < GROWTH_BYTES


def test_the_timeline_shows_the_conversation(server):
    graph = edit_chain()
    graph.ming("ContextTimeline", "timeline", context=["step3", 0], model=["model", 0])
    run = server.run(graph.prompt)
    (file,) = run.output("timeline", "ming_sheet")
    picture = Image.open(io.BytesIO(server.view(file)))
    assert picture.width == 960 and picture.height > 4 * 200
    assert "prompt" in picture.text


def test_a_saved_context_is_resumed(server):
    chain = server.run(edit_chain().prompt)
    (name,) = chain.output("saved", "text")
    graph = Graph()
    model = graph.ming("LoadModel", "model")
    graph.ming("LoadContext", "load", file=name)
    graph.ming("Describe", "ask", model=[model, 0], context=["load", 0])
    graph.add("PreviewAny", "told", source=["ask", 0])
    graph.ming("SaveContext", "saved", context=["ask", 1], filename_prefix="resumed/c")
    run = server.run(graph.prompt)
    assert run.ending == "execution_success"
    assert run.output("told", "text")
    graph.prompt["load"]["inputs"]["file"] = "gone.mingctx.safetensors"
    with pytest.raises(RefusedError, match="Save Latent Context"):
        server.queue(graph.prompt)
