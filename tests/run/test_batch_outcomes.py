"""What is taken from a row: its files once, its answers, and nothing that only names a file."""

from pathlib import Path

import pytest

from ming_run.batch.outcomes import Journal, Outcome, execute
from ming_run.batch.tasks import Task
from ming_run.host import Folders, Job, Product

SAVED = "ming/a_00001_.mingctx.safetensors"


class Given:
    """A host whose run gives what it was told to."""

    def __init__(self, products: list[Product]):
        self.products = products

    def run(self, _job: Job, _watcher: object) -> list[Product]:
        return self.products


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    (tmp_path / "output" / "ming").mkdir(parents=True)
    return Folders(tmp_path / "input", tmp_path / "output", tmp_path / "work")


def outcome_of(folders: Folders, *texts: str):
    products = [Product(str(i), f"node {i}", text=text) for i, text in enumerate(texts)]
    return execute(Task("r", "key", Job("r", {}), {}), Given(products), folders, None)


def test_the_name_of_a_saved_context_is_no_answer(folders):
    """It is said by the node that saves, and by those that show the output of that node."""
    (folders.output / SAVED).write_bytes(b"context")
    found = outcome_of(folders, f"{SAVED} [output]", "a red circle", f"{SAVED} [output]")
    assert found.texts == ["a red circle"]
    assert [item.content for item in found.items] == [b"context"]
    assert not (folders.output / SAVED).exists()


@pytest.mark.parametrize(
    "name",
    ["../outside.mingctx.safetensors", "ming/none.mingctx.safetensors", "ming/plain.txt", "\0"],
)
def test_an_answer_that_looks_like_a_saved_context_is_an_answer(folders, name):
    outside = folders.output.parent / "outside.mingctx.safetensors"
    outside.write_bytes(b"of somebody else")
    (folders.output / "ming" / "plain.txt").write_text("kept")
    found = outcome_of(folders, f"{name} [output]")
    assert found.texts == [f"{name} [output]"] and found.items == []
    assert outside.exists() and (folders.output / "ming" / "plain.txt").exists()


def test_a_line_cut_short_spoils_no_line_behind_it(tmp_path):
    (tmp_path / "ming-batch.jsonl").write_text('{"row": "a", "sta')
    tasks = [Task(name, "key", Job(name, {}), {}) for name in ("b", "c")]
    journal = Journal(tmp_path)
    for task in tasks:
        journal.add(task, Outcome(), [])
    again = Journal(tmp_path)
    assert all(again.is_done(task) for task in tasks)
    assert len((tmp_path / "ming-batch.jsonl").read_text().splitlines()) == 3


def test_odd_lines_of_a_journal_are_passed_over(tmp_path):
    lines = ["[]", "7", "{}", '{"row": ["a"]}', "[" * 100_000, '{"row": "r", "status": "done"', ""]
    (tmp_path / "ming-batch.jsonl").write_text("\n".join(lines))
    assert not Journal(tmp_path).is_done(Task("r", "key", Job("r", {}), {}))
