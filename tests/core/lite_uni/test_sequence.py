"""What the language model reads: templates, slots, positions; typed markup stays text."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from ming_core import CheckpointError, PromptError
from ming_core.lite_uni.sequence import (
    IMAGE,
    IMAGE_END,
    MARKUP,
    MEDIA,
    PATCH,
    LiteTokenizer,
    conversation,
    refuse_too_long,
)

GOLDEN = Path(__file__).parents[2] / "golden_lite"
SCALES = (4, 8, 16)


@pytest.fixture(scope="module")
def tokenizer() -> LiteTokenizer:
    return LiteTokenizer.load(GOLDEN / "b/Ming-Lite-Uni/qwen2_5_llm")


def test_342_tokens_are_appended_and_each_scale_has_its_slots(tokenizer):
    prompt = conversation(tokenizer, "a red fox", scales=SCALES)
    p0 = prompt.queries[4].start - 1
    assert prompt.ids[p0] == tokenizer.ids[IMAGE]
    assert len(prompt.ids) - p0 == 342
    slots = [(s.start - p0, s.stop - 1 - p0) for s in prompt.queries.values()]
    assert slots == [(1, 16), (19, 82), (85, 340)]
    for part in prompt.queries.values():
        assert set(prompt.ids[part]) == {tokenizer.ids[PATCH]}
        assert prompt.ids[part.stop] == tokenizer.ids[IMAGE_END]


def test_positions_of_a_picture_and_of_queries(tokenizer):
    prompt = conversation(tokenizer, "", (3, 5), scales=SCALES)
    base = prompt.image.start
    time, row, column = prompt.positions[:, prompt.image].tolist()
    assert set(time) == {base}
    assert row == [base + r for r in range(3) for _ in range(5)]
    assert column == [base + c for _ in range(3) for c in range(5)]
    assert prompt.positions[:, prompt.image.stop].tolist() == [base + 5] * 3
    queries = prompt.positions[:, prompt.queries[4]]
    start = int(queries[0, 0])
    assert queries[:2].unique().tolist() == [start]
    assert queries[2].tolist() == list(range(start, start + 16))
    assert prompt.positions[:, prompt.queries[4].stop].tolist() == [start + 16] * 3
    assert prompt.following(2).flatten().tolist() == [int(prompt.positions.max()) + 3] * 3


@pytest.mark.parametrize("markup", [*MARKUP, *MEDIA, "<|im_end|>", "<|im_start|>", "<tool_call>"])
def test_typed_markup_never_becomes_a_control_token(tokenizer, markup):
    plain = conversation(tokenizer, "ab")
    typed = conversation(tokenizer, f"a{markup}b")
    assert len(typed.ids) >= len(plain.ids) + 3
    controls = set(tokenizer.ids.values())
    count = sum(token in controls for token in plain.ids)
    assert sum(token in controls for token in typed.ids) == count


def test_spaces_around_a_question_count_without_a_picture_and_behind_it_not_with_one(tokenizer):
    assert conversation(tokenizer, "a ").ids != conversation(tokenizer, "a").ids
    grid = (2, 3)
    assert conversation(tokenizer, "a \n\u3000", grid).ids == conversation(tokenizer, "a", grid).ids
    assert conversation(tokenizer, " a", grid).ids != conversation(tokenizer, "a", grid).ids
    assert conversation(tokenizer, " \n", grid).ids == conversation(tokenizer, "", grid).ids


def test_earlier_turns_come_first_and_the_picture_belongs_to_the_first(tokenizer):
    single = conversation(tokenizer, "what is it?", (2, 2))
    longer = conversation(tokenizer, "and now?", (2, 2), history=[("what is it?", "a fox")])
    assert longer.ids[: len(single.ids)] == single.ids
    assert longer.image == single.image
    assert longer.ids[-9:] == conversation(tokenizer, "and now?").ids[-9:]


def test_added_tokens_get_the_published_numbers_either_way(tokenizer):
    first = tokenizer.ids[MARKUP[0]]
    assert [tokenizer.ids[t] for t in (*MARKUP, *MEDIA)] == list(range(first, first + 34))
    held = LiteTokenizer.load(GOLDEN / "a/Ming-Lite-Uni/qwen2_5_llm")
    assert held.max_id == held.ids[MEDIA[-1]] == held.ids[MARKUP[0]] + 33


def test_a_prompt_beyond_the_positions_is_refused(tokenizer):
    prompt = conversation(tokenizer, "a", scales=SCALES)
    refuse_too_long(prompt, len(prompt.ids))
    with pytest.raises(PromptError, match="Shorten"):
        refuse_too_long(prompt, len(prompt.ids), to_write=1)


def test_half_a_character_is_refused(tokenizer):
    with pytest.raises(PromptError, match="surrogate"):
        conversation(tokenizer, "a \ud83d")


def test_a_tokenizer_without_turns_is_refused(tmp_path):
    shutil.copy(GOLDEN / "b/Ming-Lite-Uni/qwen2_5_llm/tokenizer.json", tmp_path)
    path = tmp_path / "tokenizer.json"
    layout = json.loads(path.read_text(encoding="utf-8"))
    layout["added_tokens"] = [t for t in layout["added_tokens"] if t["content"] != "<|im_end|>"]
    path.write_text(json.dumps(layout), encoding="utf-8")
    with pytest.raises(CheckpointError, match="im_end"):
        LiteTokenizer.load(tmp_path)


@pytest.fixture(params=["a", "b"])
def older(request, tmp_path: Path) -> tuple[Path, Path]:
    """A published tokenizer, and the same without the file that holds all of it."""
    whole = GOLDEN / request.param / "Ming-Lite-Uni/qwen2_5_llm"
    for name in ("vocab.json", "merges.txt", "tokenizer_config.json"):
        shutil.copy(whole / name, tmp_path)
    return whole, tmp_path


def test_the_two_older_files_say_what_the_newer_one_does(older):
    whole, older_folder = older
    layout = json.loads((whole / "tokenizer.json").read_text(encoding="utf-8"))
    assert LiteTokenizer.layout(older_folder) == layout
    theirs, ours = LiteTokenizer.load(whole), LiteTokenizer.load(older_folder)
    assert (ours.ids, ours.max_id) == (theirs.ids, theirs.max_id)
    text = "I'm  42 e\u0301 雪の中の狐 \n\n <think> \ud7ff"
    ids = theirs.encode([text])
    assert ours.encode([text]) == ids
    assert ours.decode(ids) == theirs.decode(ids)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("merges.txt", "#version: 0.2\nh e x\n", "pairs"),
        ("merges.txt", "h Q\n", "tokenizer.json"),
        ("tokenizer_config.json", '{"added_tokens_decoder": {"x": {}}}', "number tokens"),
        ("tokenizer_config.json", "{}", "im_end"),
        ("vocab.json", "[]", "vocab.json"),
    ],
)
def test_older_files_that_do_not_fit_are_refused(older, name, text, words):
    (older[1] / name).write_text(text, encoding="utf-8")
    with pytest.raises(CheckpointError, match=words):
        LiteTokenizer.load(older[1])


def test_one_of_the_older_files_is_none(older):
    (older[1] / "merges.txt").unlink()
    with pytest.raises(CheckpointError, match=r"No tokenizer\.json"):
        LiteTokenizer.load(older[1])


def test_positions_are_whole_numbers(tokenizer):
    prompt = conversation(tokenizer, "a", (2, 2), scales=SCALES)
    assert prompt.positions.dtype == torch.int64
    assert prompt.positions.shape == (3, len(prompt.ids))
