"""Lists of rows, and which of their columns goes to which node of a workflow."""

from pathlib import Path

import pytest

from ming_core import RowError, file_name, read_rows
from ming_run.batch.outcomes import Item, Journal, Outcome, write_results
from ming_run.batch.tasks import Pattern, make_tasks
from ming_run.host import WorkflowError
from ming_run.node_definitions import parse_definitions

SEED = ["INT", {"min": 0, "max": 99}]
TEXT = ["STRING", {"multiline": True}]
DEFINITIONS = parse_definitions(
    {
        "Draw": {"input": {"required": {"prompt": TEXT, "seed": SEED}}, "output": ["IMAGE"]},
        "Edit": {
            "input": {"required": {"image": ["IMAGE", {}], "instruction": TEXT, "seed": SEED}},
            "output": ["IMAGE"],
        },
        "Load": {
            "input": {"required": {"image": [["a.png"], {"image_upload": True}]}},
            "output": ["IMAGE"],
        },
        "Save": {
            "input": {"required": {"images": ["IMAGE", {}], "filename_prefix": ["STRING", {}]}},
            "output": [],
            "output_node": True,
        },
    }
)


def node(kind, title=None, **inputs):
    return {"class_type": kind, "inputs": inputs, "_meta": {"title": title or kind}}


DRAWING = {
    "1": node("Draw", prompt="old", seed=1),
    "2": node("Edit", "First", image=["1", 0], instruction="old", seed=2),
    "3": node("Save", images=["2", 0], filename_prefix="x/y"),
}
CHAIN = {
    "1": node("Load", image="a.png"),
    "2": node("Edit", "First", image=["1", 0], instruction="old", seed=2),
    "4": node("Edit", "Second", image=["2", 0], instruction="older", seed=2),
    "3": node("Save", images=["4", 0], filename_prefix="x/y"),
}


def rows_of(tmp_path: Path, text: str, name: str = "rows.csv"):
    (tmp_path / name).write_text(text, encoding="utf-8")
    return read_rows(tmp_path / name)


def pattern(prompt, folder=Path(), template="{}"):
    return Pattern(prompt, DEFINITIONS, {}, [folder], template)


def tasks_of(tmp_path, text, prompt=DRAWING, **options):
    return make_tasks(pattern(prompt, tmp_path, **options), rows_of(tmp_path, text))


def test_a_prompt_a_line(tmp_path):
    rows = rows_of(tmp_path, "\ufeffa cat\n\n# a note\n  一只狗  \n", "rows.txt")
    assert [(row.name, row.line, dict(row.cells)) for row in rows] == [
        ("0001", 1, {"prompt": "a cat"}),
        ("0002", 4, {"prompt": "一只狗"}),
    ]


def test_only_the_ends_of_lines_part_rows(tmp_path):
    lines = rows_of(tmp_path, "one\u2028still one\r\ntwo\n", "rows.txt")
    assert [row.cells["prompt"] for row in lines] == ["one\u2028still one", "two"]
    table = rows_of(tmp_path, 'prompt,seed\r\n"one\nstill one",1\r\ntwo\u2028,2\r\n')
    assert [row.cells["prompt"] for row in table] == ["one\nstill one", "two\u2028"]


def test_a_table_with_names_quotes_and_empty_cells(tmp_path):
    rows = rows_of(tmp_path, 'name, prompt,seed\ncat,"a cat, red",7\n,,\nmy dog/2,a dog,\n')
    assert [(row.name, dict(row.cells)) for row in rows] == [
        ("cat", {"prompt": "a cat, red", "seed": "7"}),
        ("my_dog_2", {"prompt": "a dog"}),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no rows"),
        ("prompt\n", "holds no rows"),
        ("prompt,prompt\na,b\n", "name every column"),
        (",\na,b\n", "holds no rows"),
        ("prompt,\na,b\n", "line 2: has 2 cells for 1 columns"),
        ("prompt\na,b\n", "line 2: has 2 cells for 1 columns"),
        ("name,prompt\nA,x\na,y\n", "lines 2 and 3 are both named 'a'"),
        ('prompt\n"open\n', "line 2"),
    ],
)
def test_unusable_lists_name_the_line(tmp_path, text, message):
    with pytest.raises(RowError, match=message):
        rows_of(tmp_path, text)


@pytest.mark.parametrize("name", ["../x", "..", "/etc/passwd", "a\\b", "C:x", "\x07"])
def test_names_stay_in_the_folder(tmp_path, name):
    (row,) = rows_of(tmp_path, f'name,prompt\n"{name}",x\n')
    assert Path(row.name).name == row.name
    assert not row.name.startswith(".")


def test_numbers_go_to_every_node_and_texts_to_the_one_that_has_them(tmp_path):
    (task,), faults = tasks_of(tmp_path, "prompt,seed,instruction\na cat,7,make it red\n")
    assert not faults
    inputs = {node_id: node["inputs"] for node_id, node in task.job.prompt.items()}
    assert inputs["1"] == {"prompt": "a cat", "seed": 7}
    assert inputs["2"]["instruction"] == "make it red" and inputs["2"]["seed"] == 7
    assert DRAWING["1"]["inputs"]["prompt"] == "old"


def test_every_row_saves_under_a_name_of_its_own(tmp_path):
    tasks, _ = tasks_of(tmp_path, "prompt\nsame\nsame\n")
    prefixes = {task.job.prompt["3"]["inputs"]["filename_prefix"] for task in tasks}
    assert len(prefixes) == 2
    assert len({task.key for task in tasks}) == 1


def test_one_place_is_named_by_id_or_title(tmp_path):
    (task,), faults = tasks_of(tmp_path, "2.instruction,Second.seed\nred,9\n", CHAIN)
    assert not faults
    assert task.job.prompt["2"]["inputs"]["instruction"] == "red"
    assert [task.job.prompt[i]["inputs"]["seed"] for i in ("2", "4")] == [2, 9]


def test_prompts_of_a_list_go_to_instructions_where_nothing_is_drawn(tmp_path):
    single = {key: entry for key, entry in CHAIN.items() if key != "4"}
    single["3"] = node("Save", images=["2", 0], filename_prefix="x")
    (task,), _ = tasks_of(tmp_path, "prompt\nred\n", single, template="Please: {}!")
    assert task.job.prompt["2"]["inputs"]["instruction"] == "Please: red!"


@pytest.mark.parametrize(
    ("prompt", "column", "message"),
    [
        (DRAWING, "sed", "column 'sed': no node .* filename_prefix, instruction, prompt, seed"),
        (DRAWING, "2.image", "column '2.image': expected NODE.INPUT"),
        (DRAWING, "9.seed", "column '9.seed': expected NODE.INPUT"),
        (CHAIN, "instruction", "several nodes .*2 'First', 4 'Second'.* 2.instruction"),
        (CHAIN, "prompt", "column 'prompt': several nodes"),
    ],
)
def test_columns_without_a_place_are_refused_before_anything_runs(
    tmp_path, prompt, column, message
):
    with pytest.raises(WorkflowError, match=message):
        tasks_of(tmp_path, f"{column}\nx\n", prompt)


def test_a_cell_that_does_not_fit_fails_its_row_alone(tmp_path):
    tasks, faults = tasks_of(tmp_path, "name,seed\ngood,1\nword,x\nhigh,100\n")
    assert [task.name for task in tasks] == ["good"]
    assert (
        "line 3: column 'seed': 'x' is not a value of type INT: 'x' is not a number."
        in faults["word"]
    )
    assert "outside 0 to 99" in faults["high"]


def test_pictures_are_found_beside_the_list_and_named_by_what_is_in_them(tmp_path):
    for name, content in (("x.PNG", b"1"), ("y.png", b"2"), ("z.png", b"2")):
        (tmp_path / name).write_bytes(content)
    tasks, faults = tasks_of(tmp_path, "image\nx.PNG\ny.png\nz.png\nnone.png\n", CHAIN)
    names = [task.job.prompt["1"]["inputs"]["image"] for task in tasks]
    assert names[1] == names[2] != names[0] and names[0].endswith(".png")
    assert tasks[0].pictures == {names[0]: tmp_path / "x.PNG"}
    assert "there is no file 'none.png'" in faults["0004"]


def finished(tmp_path, task, **fields):
    outcome = Outcome(**fields)
    files = [] if outcome.error else write_results(task.name, outcome, tmp_path)
    Journal(tmp_path).add(task, outcome, files)
    return files


def test_a_name_is_written_as_every_system_can():
    names = ["CON", "con.png", "Com1", "LPT9 .x", "NULL", "console", "a" * 200, "...", "a:b?"]
    assert [file_name(name) for name in names] == [
        *("CON_", "con_.png", "Com1_", "LPT9_.x", "NULL", "console", "a" * 120, "row", "a_b"),
    ]


def test_the_date_in_a_prefix_does_not_make_a_row_another_one(tmp_path):
    keys = []
    for prefix in ("2026-11-29/x", "2026-11-30/x"):
        drawing = {**DRAWING, "3": node("Save", images=["2", 0], filename_prefix=prefix)}
        (task,), _ = tasks_of(tmp_path, "prompt\na\n", drawing)
        keys.append(task.key)
    assert keys[0] == keys[1]


def test_columns_are_found_in_any_capitals(tmp_path):
    (task,), faults = tasks_of(tmp_path, "Prompt,SEED,Instruction\na cat,7.0,red\n")
    assert not faults
    assert task.job.prompt["1"]["inputs"] == {"prompt": "a cat", "seed": 7}
    assert task.job.prompt["2"]["inputs"]["instruction"] == "red"


def test_results_are_named_by_their_row(tmp_path):
    one = [Item("Save Image", ".png", b"1")]
    assert write_results("a", Outcome(one), tmp_path) == ["a.png"]
    more = [*one, Item("Save Image", ".png", b"2"), Item("My/Edit", ".png", b"3")]
    written = write_results("b", Outcome(more, ["yes", "no"]), tmp_path)
    assert written == ["b_Save_Image.png", "b_Save_Image_2.png", "b_My_Edit.png", "b.txt"]
    assert (tmp_path / "b.txt").read_text() == "yes\n\nno\n"
    assert not list(tmp_path.glob("*.part"))


def test_the_journal_knows_what_is_done_and_unchanged(tmp_path):
    (task, other), _ = tasks_of(tmp_path, "prompt\na\nb\n")
    assert not Journal(tmp_path).is_done(task)
    finished(tmp_path, task, items=[Item("Save", ".png", b"1")])
    finished(tmp_path, other, error="it broke")
    assert Journal(tmp_path).is_done(task)
    assert not Journal(tmp_path).is_done(other)
    (changed, _), _ = tasks_of(tmp_path, "prompt\nA\nb\n")
    assert not Journal(tmp_path).is_done(changed)
    (tmp_path / "0001.png").unlink()
    assert not Journal(tmp_path).is_done(task)


def test_a_line_that_was_cut_short_is_passed_over(tmp_path):
    (task, other), _ = tasks_of(tmp_path, "prompt\na\nb\n")
    finished(tmp_path, task)
    journal = tmp_path / "ming-batch.jsonl"
    journal.write_bytes(journal.read_bytes() + b'{"row": "0002", "ke')
    finished(tmp_path, other)
    assert Journal(tmp_path).is_done(task) and Journal(tmp_path).is_done(other)
