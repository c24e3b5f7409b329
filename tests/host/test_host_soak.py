"""The short form of the soak: prompts in bursts, cancels, errors, models, two precisions."""

import pytest
from bases import make_base
from runs import MIB
from soak import server_with_a_full_disk, soak
from soak_report import Report

pytestmark = [pytest.mark.comfy, pytest.mark.slow]


@pytest.fixture
def server(comfyui, tmp_path):
    """A server with a full disk among its results, where that can be had."""
    running = server_with_a_full_disk(comfyui, make_base(tmp_path / "base"))
    yield running
    running.stop()


def test_after_cancels_errors_and_other_models_every_result_is_the_one_of_a_single_run(server):
    report = Report()
    soak(server, 16, 9, report)
    assert report.wrong == []
    assert report.endings["execution_success"] >= 8
    assert report.endings["execution_interrupted"] >= 1
    assert report.endings["execution_error"] or report.endings["refused"]
    assert report.growth < 48 * MIB  # `soak.py` measures more prompts, and this more narrowly
