"""What others bring to `ming run`: odd workflow files, and servers that are no ComfyUI."""

import json
import os
from pathlib import Path
from random import Random

import pytest

from ming_run.batch.tasks import Pattern
from ming_run.comfyui_client import ComfyClient
from ming_run.comfyui_host import ComfyHost
from ming_run.editor import convert
from ming_run.editor.texts import dynamic_prompt
from ming_run.host import Folders, HostError, Job, RunError, WorkflowError, title_of
from ming_run.node_definitions import parse_definitions
from ming_run.prompt_checks import check_prompt
from ming_run.prompt_settings import apply_settings, parse_setting
from ming_run.workflow_format import read_workflow


@pytest.mark.parametrize(
    "content",
    [
        '{"nodes": ' + "[" * 100_000,
        '{"1": {"class_type": "A", "inputs": {"seed": ' + "9" * 400 + "}}}",
        '{"1": {"class_type": "A", "inputs": {"text": "\\ud83d"}}}',
        '{"1": {"class_type": "A", "inputs": {}}, "1": {"class_type": "B", "inputs": {}}}',
    ],
    ids=["deep", "digits", "half a character", "twice"],
)
def test_workflow_files_are_read_with_bounds(tmp_path, content):
    path = tmp_path / "x.json"
    path.write_text(content)
    with pytest.raises(WorkflowError, match=r"x\.json: is not JSON that can be read"):
        read_workflow(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot be read"),
        ("{", "is not JSON"),
        ("[]", "neither a ComfyUI workflow"),
        ('{"1": {"class_type": "X"}}', "neither a ComfyUI workflow"),
        ("{}", "neither a ComfyUI workflow"),
    ],
)
def test_unusable_files_say_what_they_are(tmp_path: Path, text: str | None, message: str):
    path = tmp_path / "file.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(WorkflowError, match=message):
        read_workflow(path)


def test_both_formats_are_read(tmp_path: Path):
    for content in ({"nodes": [], "links": []}, {"1": {"class_type": "X", "inputs": {}}}):
        (tmp_path / "file.json").write_text(json.dumps(content))
        assert read_workflow(tmp_path / "file.json") == content


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_a_pipe_is_no_workflow(tmp_path):
    os.mkfifo(tmp_path / "x.json")
    with pytest.raises(WorkflowError, match="pipe"):
        read_workflow(tmp_path / "x.json")


@pytest.mark.parametrize("meta", [None, [], "text", 7, {"title": None}, {"title": ""}])
def test_a_node_without_a_title_is_called_by_its_type(meta):
    assert title_of({"class_type": "A", "_meta": meta}) == "A"
    assert title_of({"class_type": "A", "_meta": {"title": "x" * 100_000}}).startswith("xxx")


def test_messages_have_an_end_and_can_be_printed():
    message = str(RunError("a" * 100_000 + "\ud83d"))
    assert len(message) < 20_000 and message.encode()


LONG = "x" * 100_000
NODES = parse_definitions(
    {"Draw": {"input": {"required": {"seed": ["INT", {}]}}, "output": [], "output_node": True}}
)


def draw(kind="Draw", title="a", seed: object = 1):
    """A node of the API format."""
    return {"class_type": kind, "inputs": {"seed": seed}, "_meta": {"title": title}}


def of_the_editor(kind, title, values):
    """A workflow file of the editor that holds one node."""
    entry = {"id": 1, "type": kind, "title": title, "widgets_values": values}
    return {"nodes": [entry | {"inputs": [], "outputs": [{"type": "INT"}]}], "links": []}


@pytest.mark.parametrize(
    "run",
    [
        lambda: parse_setting(LONG),
        lambda: apply_settings([parse_setting(f"{LONG}.seed={LONG}")], {"": {"1": draw()}}, NODES),
        lambda: apply_settings([parse_setting(f"1.{LONG}=1")], {"": {"1": draw()}}, NODES),
        lambda: apply_settings([parse_setting(f"1.seed={LONG}")], {"": {"1": draw()}}, NODES),
        lambda: apply_settings(
            [parse_setting("b.seed=1")], {"": {f"{i}": draw(title=LONG) for i in range(999)}}, NODES
        ),
        lambda: check_prompt({LONG: draw(LONG)}, NODES, "file"),
        lambda: check_prompt({LONG: draw(title=LONG, seed=[LONG, 0])}, NODES, "file"),
        lambda: check_prompt({"1": draw(seed=LONG)}, NODES, "file"),
        lambda: Pattern({"1": draw(title=LONG)}, NODES, {}, []).targets([LONG]),
        lambda: Pattern({"1": draw(title=LONG)}, NODES, {}, []).targets([f"{LONG}.seed"]),
        lambda: convert(of_the_editor("Draw", LONG, [LONG]), NODES, "file"),
        lambda: convert(of_the_editor(LONG, LONG, []), NODES, "file"),
    ],
)
def test_long_values_are_repeated_in_short(run):
    with pytest.raises(WorkflowError) as raised:
        run()
    assert 0 < len(str(raised.value)) < 9000  # less than where every message ends


class Server(ComfyClient):
    """A server that answers everything alike."""

    def __init__(self, answers):
        super().__init__("http://127.0.0.1:1")
        self.answers = answers

    def _open(self, path, body=None, headers=None):
        found = self.answers.get(path.partition("?")[0], b"a picture")
        return found if isinstance(found, bytes) else json.dumps(found).encode()

    def run(self, job, watcher):
        return self.outputs_of("id")


@pytest.fixture
def host(tmp_path):
    def made(**answers) -> ComfyHost:
        folders = Folders(tmp_path / "input", tmp_path / "out", tmp_path / "work")
        host = ComfyHost("http://127.0.0.1:1", folders)
        host._client = Server({"/" + key.replace("__", "/"): a for key, a in answers.items()})
        return host

    return made


@pytest.mark.parametrize("answer", [None, [], "text", {"A": 7}, {"A": {"input": []}}, b"<html>"])
def test_definitions_of_another_form_are_named(host, answer):
    with pytest.raises(HostError):
        host(object_info=answer).definitions()


@pytest.mark.parametrize("answer", [None, [], {}, {"id": 7}, {"id": {"outputs": [1]}}, b"["])
def test_a_history_of_another_form_is_named(host, answer):
    with pytest.raises(HostError, match="this is not how a ComfyUI answers|This is not how"):
        host(history__id=answer).run(Job("x", {"1": {}}), None)


@pytest.mark.parametrize(
    "entry",
    [
        {"filename": "../x.png"},
        {"filename": "x.png", "subfolder": "../.."},
        {"filename": "/x.png", "subfolder": ""},
        {"filename": "x" * 300},
        {"filename": "x.png", "subfolder": "a/" * 60},
        {"filename": "a\0b"},
        {"filename": "\ud83d"},
    ],
    ids=range(7),
)
@pytest.mark.parametrize("kind", ["output", "temp"])
def test_results_of_a_server_stay_in_their_folder(host, tmp_path, entry, kind):
    outputs = {"1": {"images": [{**entry, "type": kind}]}}
    made = host(history__id={"id": {"outputs": outputs}})
    with pytest.raises(HostError):
        made.run(Job("x", {"1": {"class_type": "A"}}), None)
    assert not list(tmp_path.iterdir())


def test_a_result_that_cannot_be_written_is_named(host, tmp_path):
    outputs = {
        "1": {"images": [{"filename": "a.png"}, {"filename": "b.png", "subfolder": "a.png"}]}
    }
    with pytest.raises(HostError, match="cannot be written"):
        host(history__id={"id": {"outputs": outputs}}).run(
            Job("x", {"1": {"class_type": "A"}}), None
        )
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.png"]


def test_a_count_without_an_end_is_named(tmp_path):
    workflow = {"nodes": [], "links": [], "last_node_id": float("inf")}
    definitions = {"subgraphs": [{"id": "a", "nodes": [], "links": []}]}
    with pytest.raises(WorkflowError, match="does not follow the workflow format"):
        convert({**workflow, "definitions": definitions}, {}, "x")


def nested(levels: int, width: int, **more: object) -> dict:
    """A workflow file of the editor whose subgraphs each hold the next one so often."""
    kinds = [f"s{level}" for level in range(1, levels)] + ["Draw"]
    subgraphs = [
        {"id": f"s{i}", "links": [], "nodes": [{"id": n, "type": kind} for n in range(width)]}
        for i, kind in enumerate(kinds)
    ]
    nodes = [{"id": 1, "type": "s0", "properties": more}]
    return {"nodes": nodes, "links": [], "definitions": {"subgraphs": subgraphs}}


@pytest.mark.parametrize(
    ("workflow", "message"),
    [
        (nested(40, 2), "unfolds to more than 100,000 nodes"),
        (nested(60, 1), "more than 50 subgraphs lie in one another"),
        (nested(2, 1, proxyWidgets="[" * 100_000), "nested more than 100 levels"),
    ],
    ids=["many", "deep", "a deep text"],
)
def test_subgraphs_unfold_within_bounds(workflow, message):
    with pytest.raises(WorkflowError, match=message):
        convert(workflow, NODES, "x")


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("/* " * 300_000, "/* " * 300_000),
        ("a /* b */ c // d\ne /* f", "a  c \ne /* f"),
        ("{" + "x" * 500_000, "x" * 500_000),
    ],
    ids=["comments", "a few", "a choice"],
)
def test_long_texts_take_no_time_that_grows_with_their_square(text, kept):
    assert dynamic_prompt(text, Random(1)) == kept


def test_a_cell_that_is_a_nested_list_stays_a_text():
    kinds = parse_definitions({"Draw": {"input": {"required": {"level": [[1, 2]]}}, "output": []}})
    prompt = {"1": {"class_type": "Draw", "inputs": {}}}
    for text, taken in (("[" * 100_000, "[" * 100_000), ("2", 2)):
        apply_settings([parse_setting(f"1.level={text}")], {"": prompt}, kinds)
        assert prompt["1"]["inputs"]["level"] == taken
