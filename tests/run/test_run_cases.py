"""Workflow files that others made: what the page sends for them, or the true reason why not."""

import json
from datetime import datetime, timezone
from pathlib import Path
from random import Random

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ming_run.editor import convert
from ming_run.host import WorkflowError, title_of
from ming_run.node_definitions import parse_definitions
from ming_run.prompt_checks import check_prompt
from ming_run.workflow_format import is_ui_format, read_workflow

CASES = Path(__file__).parent / "cases"
PAGE = json.loads((CASES / "page.json").read_text(encoding="utf-8"))
DEFINITIONS = parse_definitions(json.loads((CASES / "object_info.json").read_text("utf-8")))
THE_DAY = datetime(2026, 11, 29, 12, tzinfo=timezone.utc)


def converted(name):
    content = read_workflow(CASES / name)
    return (
        convert(content, DEFINITIONS, name, Random(1), THE_DAY) if is_ui_format(content) else None
    )


@pytest.mark.parametrize("name", sorted(PAGE))
def test_the_page_sends_the_same(name):
    made = converted(name).prompt
    assert made == PAGE[name]
    assert check_prompt(made, DEFINITIONS, name)


@pytest.mark.parametrize("name", ["api_meta_null.json", "api_numbers_as_strings.json"])
def test_api_files_run_as_the_server_takes_them(name):
    content = read_workflow(CASES / name)
    assert check_prompt(content, DEFINITIONS, name)
    assert "{red|red}" in content["2"]["inputs"]["prompt"]  # raw
    assert title_of(content["2"]) in ("AR Generate", "MingUniVision_Generate")


def test_a_group_node_is_unfolded():
    prompt = converted("group_node.json").prompt
    assert set(prompt) == {"1", "5:0", "5:1", "5:2", "5:3", "5:4", "6"}
    assert prompt["5:1"]["inputs"] == {"text": "a dog", "clip": ["1", 1]}
    assert prompt["5:3"]["inputs"] == {
        **{"seed": 33, "steps": 4, "cfg": 5.5, "sampler_name": "euler", "scheduler": "simple"},
        **{"denoise": 0.9, "model": ["1", 0], "latent_image": ["5:2", 0]},
        **{"positive": ["5:0", 0], "negative": ["5:1", 0]},
    }
    assert prompt["6"]["inputs"]["images"] == ["5:4", 0]


def test_choices_are_drawn_again_with_the_same_seed_and_told():
    content = read_workflow(CASES / "a1_dynamic_prompt.json")
    content["nodes"][1]["widgets_values"][0] = "{a|b|c|d} {e|f|g|h} // said to nobody"
    drawn = [convert(content, DEFINITIONS, "x", Random(seed)) for seed in (3, 3, 4, 5, 6)]
    texts = [made.prompt["2"]["inputs"]["prompt"] for made in drawn]
    assert texts[0] == texts[1] and len(set(texts)) > 1
    assert texts[0] in drawn[0].choices[0] and "node 2 'AR Generate', prompt" in drawn[0].choices[0]


def test_a_node_that_is_missing_is_not_passed_over_when_it_has_connections():
    content = read_workflow(CASES / "a9_label_rgthree.json")
    label = next(node for node in content["nodes"] if "Label" in node["type"])
    label["type"], label["inputs"] = "Unheard Of", [{"name": "x", "type": "IMAGE", "link": None}]
    with pytest.raises(WorkflowError, match=r"'Unheard Of'.*export it with File > Export \(API\)"):
        convert(content, DEFINITIONS, "x")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_json_in_any_unicode(tmp_path, encoding):
    content = (CASES / "api_meta_null.json").read_text("utf-8")
    (tmp_path / "x.json").write_bytes(content.encode(encoding))
    assert read_workflow(tmp_path / "x.json") == json.loads(content)


def picture(path, **texts):
    kept = PngInfo()
    for key, content in texts.items():
        kept.add_text(key, content if isinstance(content, str) else json.dumps(content))
    Image.new("RGB", (4, 4)).save(path, pnginfo=kept)
    return path


def test_a_picture_gives_its_workflow_or_else_its_prompt(tmp_path):
    ui, api = {"nodes": [], "links": []}, {"1": {"class_type": "X", "inputs": {}}}
    assert read_workflow(picture(tmp_path / "a.png", prompt=api, workflow=ui)) == ui
    assert read_workflow(picture(tmp_path / "b.png", prompt=api, workflow="null")) == api
    exif = Image.Exif()
    exif[271], exif[272] = "workflow:" + json.dumps(ui), "prompt:" + json.dumps(api)
    Image.new("RGB", (4, 4)).save(tmp_path / "c.webp", exif=exif)
    assert read_workflow(tmp_path / "c.webp") == ui


def test_a_picture_without_a_workflow_says_so(tmp_path):
    with pytest.raises(WorkflowError, match="holds no workflow.*--disable-metadata"):
        read_workflow(picture(tmp_path / "a.png"))
    with pytest.raises(WorkflowError, match="cannot be read"):
        (tmp_path / "b.png").write_bytes(b"\x89PNG and no more")
        read_workflow(tmp_path / "b.png")
