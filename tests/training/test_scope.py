"""A small model says what it knows, and which words of a prompt it was never taught."""

import json
import shutil
from pathlib import Path

import pytest

from ming_core import GENERATE_PREFIX, CheckpointError, MingModel, load_model
from ming_core.scope import FILE, Scope, read_scope
from training.tokenizer import corpus

BUNDLED = Path(__file__).resolve().parents[2] / "bundled"
SMALL = Scope(("I know stars.",), frozenset({"a", "star", "星"}))


@pytest.fixture(scope="module")
def bundled() -> MingModel:
    return load_model(BUNDLED)


def test_unknown_words_are_named_once_and_in_order():
    assert SMALL.unknown("A Cat, a star and a cat 星 猫!") == ["cat", "and", "猫"]
    assert SMALL.remark("a star") is None
    assert SMALL.remark("a cat") == "Not among its words: cat. I know stars."
    eight = " ".join("bcdefghi")
    assert (
        SMALL.remark(f"a {eight}") == f"Not among its words: {', '.join('bcdefghi')}. I know stars."
    )
    assert ", i, .... I know" in (SMALL.remark(f"{eight} j") or "")


def test_a_remark_on_a_long_prompt_is_short():
    words = " ".join(f"{chr(97 + n // 26)}{chr(97 + n % 26)}" for n in range(1, 500))
    remark = SMALL.remark(words)
    assert remark is not None and len(remark) < 100 and "..." in remark


def test_lessons_need_no_remark_and_a_cat_does(bundled: MingModel):
    for text in corpus():
        assert bundled.remark(text) is None
    assert bundled.remark(f"{GENERATE_PREFIX}A RED Star on a gray backdrop.") is None
    for unknown in ("a cat", "画一只猫"):
        assert bundled.scope is not None
        remark = bundled.remark(unknown)
        assert remark is not None and remark.endswith(" ".join(bundled.scope.says))


@pytest.mark.parametrize("content", ["{}", "[]", '{"says": "x", "words": []}', "{", "[" * 200])
def test_a_file_that_is_none_is_refused_by_name(content: str, tmp_path: Path):
    (tmp_path / FILE).write_text(content)
    with pytest.raises(CheckpointError, match=FILE):
        read_scope(tmp_path)


def test_most_checkpoints_have_none(tmp_path: Path):
    assert read_scope(tmp_path) is None
    folder = shutil.copytree(BUNDLED, tmp_path / "other")
    (folder / "Ming-UniVision" / FILE).unlink()
    model = load_model(folder)
    assert model.scope is None and model.remark("a cat") is None


def test_the_file_is_what_the_lessons_say():
    content = json.loads((BUNDLED / "Ming-UniVision" / FILE).read_text(encoding="utf-8"))
    assert content["words"] == sorted(content["words"])
    assert not [text for text in corpus() if Scope((), frozenset(content["words"])).unknown(text)]
