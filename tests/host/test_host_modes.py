"""The host's modes change no result: caches, a device that is too small, other models, folders.

`host_modes.py` measures more modes, one by one; here two servers stand for the extremes.
"""

import shutil

import pytest
from graphs import Graph, one_picture
from runs import digest_of

pytestmark = [pytest.mark.comfy, pytest.mark.slow]


@pytest.fixture(scope="module")
def small(start):
    """A server that keeps no result and gets a third of each model onto its device."""
    host = start("--cache-none", share=0.3)
    yield host
    host.stop()


def turns(*, lets_go=False):
    """A picture and an edit of it; on request all models are unloaded in between."""
    graph = one_picture(seed=70)
    if lets_go:
        graph.add("TestLetGo", "gone", context=["draw", 0])
    before = ["gone" if lets_go else "draw", 0]
    graph.ming("EditStep", "edit", model=["model", 0], context=before)
    graph.preview("model", ["edit", 1], "edited")
    return graph.prompt


@pytest.fixture(scope="module")
def expected(server):
    return digest_of(server, server.run(turns()))


def test_a_small_device_without_a_cache_gives_the_same(small, expected):
    assert digest_of(small, small.run(turns())) == expected


def test_another_model_in_between_changes_nothing(small, expected):
    assert digest_of(small, small.run(turns(lets_go=True))) == expected


def test_a_cache_under_pressure_gives_the_same_with_nothing_on_the_device(start, expected):
    # So much free memory is asked for that the host drops results while a prompt runs.
    host = start("--cache-ram", "9999", share=0.0)
    assert digest_of(host, host.run(turns())) == expected
    host.stop()


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_a_context_goes_on_on_another_server_in_another_folder_and_precision(
    server, small, precision
):
    (name,) = server.run(turns()).output("saved", "text")
    file = server.base / "output" / name.removesuffix(" [output]")
    shutil.copy(file, small.base / "input" / "shared.mingctx.safetensors")
    models = small.base / "models" / "ming_univision"
    for part in ("Ming-UniVision", "MingTok-Vision"):
        shutil.copytree(models / part, models / "elsewhere" / part, dirs_exist_ok=True)
    graph = Graph()
    graph.ming("LoadModel", "model", checkpoint="elsewhere/Ming-UniVision", precision=precision)
    graph.ming("LoadContext", "load", file="shared.mingctx.safetensors")
    graph.ming("EditStep", "edit", model=["model", 0], context=["load", 0])
    graph.ming("SaveContext", "kept", context=["edit", 0], model=["model", 0])
    graph.preview("model", ["edit", 1], "shown")
    run = small.run(graph.prompt)
    assert run.ending == "execution_success", run.messages[-1]
    assert run.output("shown", "images") and run.output("kept", "images")
