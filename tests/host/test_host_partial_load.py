"""The host may keep part of a model off the device: results stay, and only experts are copied."""

import json
import subprocess
from pathlib import Path

import pytest

from ming_bench.tiny_checkpoint.make import make_tiny
from ming_run.comfyui_process import python_of

pytestmark = pytest.mark.comfy

CHECK = Path(__file__).with_name("partial_load_check.py")
PACK = Path(__file__).parents[2]
CAST_AT_USE = {"low_level_encoder.cls_token", "low_level_encoder.pos_embed"}


@pytest.fixture(scope="module")
def figures(comfyui, tmp_path_factory):
    """What the check measured, in the host's own Python."""
    root = make_tiny(tmp_path_factory.mktemp("checkpoints"))
    command = [str(python_of(comfyui)), str(CHECK), str(comfyui), str(PACK), str(root)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=root, timeout=200)
    assert result.returncode == 0, result.stderr[-4000:]
    return json.loads(result.stdout.splitlines()[-1])


@pytest.fixture(params=["fp32", "int8", "int4"])
def loads(figures, request):
    """The figures of one precision."""
    return figures[request.param]


@pytest.mark.parametrize("share", ["0.0", "0.3", "0.7"])
def test_a_partial_load_gives_the_same_results(loads, share):
    part = loads["shares"][share]
    assert part["same"]
    assert any("ExpertLinear" in name for name in part["streamed"])
    assert part["streamed"]["HostLinear"] > 0


def test_less_room_streams_more_layers(loads):
    counts = [sum(loads["shares"][s]["streamed"].values()) for s in ("0.0", "0.3", "0.7")]
    assert counts == sorted(counts, reverse=True) and len(set(counts)) == 3


def test_a_full_load_after_partial_ones_gives_the_same_results(loads):
    assert loads["same_after_a_full_load_again"]


def test_no_weight_is_left_behind_without_streaming(loads):
    assert set(loads["stranded"]) == CAST_AT_USE


def test_a_streaming_expert_layer_copies_only_the_expert_it_needs(figures):
    assert figures["copied"] * 8 == figures["size"]


NAMES = {
    "fp32": "HostExpertLinear",
    "int8": "HostQuantisedExpertLinear",
    "int4": "HostQuantisedExpertLinear",
}


@pytest.mark.parametrize("precision", NAMES)
def test_experts_share_what_room_the_dense_layers_leave(figures, precision):
    small = figures["small_device"][precision]
    most, some = small["most"], small["some"]
    assert most["streamed"] == {NAMES[precision]: 4}, "dense layers lie on the device"
    assert most["with_slots"] == most["layers"] == 4
    assert 0 < some["slot_bytes"] < most["slot_bytes"]
    for part in (most, some):
        assert part["slot_bytes"] == part["patcher_bytes"], "the host knows of the slots"


@pytest.mark.parametrize("precision", NAMES)
def test_slots_stay_when_the_room_hardly_changes_and_go_when_the_host_wants_it(figures, precision):
    small = figures["small_device"][precision]
    assert small["most_again"]["ids"] == small["most"]["ids"]
    assert small["unloaded"]["with_slots"] == small["unloaded"]["patcher_bytes"] == 0
    assert small["all"]["streamed"] == {}
    assert small["all"]["with_slots"] == 0


@pytest.mark.parametrize("precision", NAMES)
def test_a_device_too_small_for_the_head_is_refused_in_numbers(figures, precision):
    assert "Choose int4" in figures["small_device"][precision]["refusal"]


def test_slots_save_copies(loads):
    none, some, most = (loads["shares"][share]["slots"] for share in ("0.0", "0.3", "0.7"))
    assert none["with_slots"] == 0
    assert some["found"] > 0
    assert most["copied"] < some["copied"]


def test_a_dropped_model_is_freed_at_once(figures):
    assert figures["freed"]
