"""The pack comes up in a real ComfyUI: quickly, without a warning, with all its nodes."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hosts import PACK

pytestmark = pytest.mark.comfy

PACK_FOLDER = "ming-univision-nodes"
NODES = set(json.loads((PACK / "tests" / "nodes" / "schemas.json").read_text("utf-8")))


def test_all_nodes_are_there_with_their_displays(server):
    known = server.get_json("/object_info")
    named = [name for name in known if name.startswith(("MingUniVision_", "MingLiteUni_"))]
    ours = {name.removeprefix("MingUniVision_") for name in named}
    assert ours == NODES
    generate = known["MingUniVision_Generate"]
    assert generate["display_name"] == "AR Generate"
    assert generate["output_is_list"] == [True] * 4
    assert generate["input"]["required"]["seed"][1]["control_after_generate"] is True


def test_the_import_is_a_small_part_of_the_start(server):
    lines = [line for line in server.log.splitlines() if line.endswith(PACK_FOLDER)]
    (seconds,) = re.findall(r"^ *([\d.]+) seconds:", "\n".join(lines), flags=re.MULTILINE)
    assert float(seconds) < 0.1 * server.seconds_to_start


def test_the_import_warns_of_nothing(server):
    """Other packs may warn; a line about us names our folder, and only the times may."""
    lines = server.log.split("Starting server")[0].splitlines()
    about_us = [line for line in lines if PACK_FOLDER in line]
    assert len(about_us) == 1 and re.match(r" *[\d.]+ seconds: ", about_us[0]), about_us


def test_the_models_folder_is_listed_by_the_host(server):
    assert "ming_univision" in server.get_json("/models")


def test_a_pack_that_cannot_be_loaded_says_why(tmp_path):
    """The host logs one line; the traceback comes from us."""
    pack = Path(__file__).parents[2]
    script = (
        "import asyncio, importlib.util, sys\n"
        f"spec = importlib.util.spec_from_file_location('pack', r'{pack / '__init__.py'}')\n"
        "pack = sys.modules['pack'] = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(pack)\n"
        "asyncio.run(pack.comfy_entrypoint())\n"
    )
    result = subprocess.run(
        [sys.executable, "-P", "-c", script], cwd=tmp_path, capture_output=True, text=True
    )
    assert result.returncode != 0
    assert "could not be loaded" in result.stderr and "comfy_api" in result.stderr
