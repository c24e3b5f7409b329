"""One model at a time in main memory, read once, however the host's cache is set."""

import re

import pytest
from graphs import Graph, edit_chain, one_picture
from hosts import version_of

pytestmark = pytest.mark.comfy

CACHES = {"default": (), "pressure": ("--cache-ram", "9999"), "none": ("--cache-none",)}
KEEPS_WHAT_IS_IN_USE = (0, 33)


@pytest.fixture(scope="module", params=CACHES)
def watched(start, request, comfyui):
    """A server that says when a model is read, and how many live by then."""
    if request.param == "pressure" and version_of(comfyui) < KEEPS_WHAT_IS_IN_USE:
        pytest.skip("this ComfyUI's cache under pressure drops the largest results, used or not")
    host = start(*CACHES[request.param])
    graph = Graph()
    graph.add("TestWatch", "watch")
    assert host.run(graph.prompt).ending == "execution_success"
    yield host
    host.stop()


def reads(host, graph):
    """Run a graph; return (precision, living models) of every reading in it."""
    before = len(host.log)
    run = host.run(graph.prompt)
    assert run.ending == "execution_success", run.error
    found = re.findall(r"WITNESS (\S+) is read, (\d+) living", host.log[before:])
    return run, [(precision, int(living)) for precision, living in found]


def test_an_old_model_is_gone_before_the_next_one_is_read(watched):
    for precision, expected in (("fp32", "fp32"), ("bf16", "bf16"), ("auto", "fp32")):
        graph = one_picture(seed=3)
        graph.prompt["model"]["inputs"]["precision"] = precision
        assert reads(watched, graph)[1] == [(expected, 0)]


def test_a_model_is_read_once_and_no_step_is_done_twice(watched):
    run, read = reads(watched, edit_chain(instruction="at dawn"))
    assert len(read) <= 1
    assert len(run.executing) == len(set(run.executing))


def test_the_next_prompt_finds_the_model(watched, request):
    if request.node.callspec.params["watched"] == "none":
        pytest.skip("a server without a cache keeps no model for the next prompt")
    reads(watched, edit_chain(instruction="at dawn"))
    run, read = reads(watched, edit_chain(instruction="at noon"))
    assert read == [] and "model" not in run.executed
    assert "step3" in run.executed
