"""The short form of the soak: prompts in bursts, cancels, errors, two models, two precisions."""

import pytest
from bases import make_base
from soak import MIB, leftovers, server_with_a_full_disk, soak

pytestmark = [pytest.mark.comfy, pytest.mark.slow]


@pytest.fixture
def server(comfyui, tmp_path):
    """A server with a full disk among its results, where that can be had."""
    running = server_with_a_full_disk(comfyui, make_base(tmp_path / "base"))
    yield running
    running.stop()


def test_after_cancels_errors_and_other_models_every_result_is_the_one_of_a_single_run(server):
    report = soak(server, prompts=16, seed=9)
    assert report.different == [] and report.raw == [] and leftovers(server) == []
    assert report.endings["execution_success"] >= 8
    assert report.endings.get("execution_interrupted", 0) >= 1
    assert set(report.endings) & {"execution_error", "refused"}
    assert report.growth < 48 * MIB  # `soak.py` measures more prompts, and this more narrowly
