"""What the browser gets to know about a conversation."""

import dataclasses
import importlib
import json

import pytest

pytestmark = pytest.mark.runtime


@pytest.fixture(scope="module")
def records(pack):
    return importlib.import_module(f"{pack.module.__name__}.nodes.turn_records")


@pytest.fixture(scope="module")
def branches(pack, model, context):
    """Two edits that start from one context."""
    return [
        pack.run("EditStep", model=model, instruction=words, seed=seed, steps=1, context=context)[0]
        for words, seed in (("a hat", 2**63 + 1), ("a scarf", 1))
    ]


def digests(record):
    return [turn["digest"] for turn in record["turns"]]


def test_branches_share_the_digests_of_their_common_turns(records, branches, context):
    left, right = (records.turn_digests(branch) for branch in branches)
    assert left[:1] == right[:1] == records.turn_digests(context)
    assert left[1] != right[1]
    assert len(set(left + right)) == 3


def test_digests_depend_on_the_model_the_words_and_the_seed(records, context):
    (before,) = records.turn_digests(context)
    (turn,) = context.turns
    core = importlib.import_module(type(context).__module__)
    changed = [
        dataclasses.replace(context, model_identity="another"),
        dataclasses.replace(context, turns=(dataclasses.replace(turn, seed=99),)),
        dataclasses.replace(context, turns=(dataclasses.replace(turn, parts=(core.Text("x"),)),)),
        dataclasses.replace(context, turns=(dataclasses.replace(turn, image_sampling=None),)),
    ]
    found = {records.turn_digests(other)[0] for other in changed}
    assert len(found) == len(changed) and before not in found


def test_the_record_is_json_with_words_seed_settings_and_lengths(records, branches):
    record = records.conversation_record(branches[0], lambda _: None)
    assert json.loads(json.dumps(record)) == record
    assert record["tokens"] == branches[0].num_tokens
    last = record["turns"][-1]
    assert last["asked"] == [{"text": "a hat"}]
    assert last["replied"][-1] == {"picture": None}
    assert last["seed"] == str(2**63 + 1)
    assert last["settings"]["steps"] == 1 and "seed" not in last["settings"]
    assert last["prompt_tokens"] > 0 and last["reply_tokens"] > 0


def test_long_texts_are_cut_for_display(records, context):
    core = importlib.import_module(type(context).__module__)
    long = dataclasses.replace(context.turns[0], parts=(core.Text("x" * 30_000),))
    record = records.conversation_record(
        dataclasses.replace(context, turns=(long,)), lambda _: None
    )
    (part,) = record["turns"][0]["asked"]
    assert part["is_cut"] and len(part["text"]) == records.MAX_CHARACTERS
    assert len(json.dumps(record)) < 25_000


def test_a_picture_is_decoded_once_and_served_small(pack, model, branches, folders, monkeypatch):
    node = importlib.import_module(f"{pack.module.__name__}.nodes.context_timeline")
    decoded = []
    real = node.decode_pixels
    monkeypatch.setattr(node, "decode_pixels", lambda *a: decoded.append(1) or real(*a))
    for path in (folders / "temp").glob("ming_thumbnail_*"):
        path.unlink()
    first, second = (
        pack.run("ContextTimeline", context=branch, model=model).ui for branch in branches
    )
    # The given picture and the first edit are common; each branch adds one.
    assert len(decoded) == 4
    (record,) = first["ming_timeline"]
    (other,) = second["ming_timeline"]
    assert digests(record)[:1] == digests(other)[:1]
    entry = record["turns"][-1]["replied"][-1]["picture"]
    file = folders / entry["type"] / entry["subfolder"] / entry["filename"]
    assert file.stat().st_size < 60_000
    assert not list((folders / "temp").glob(".*unfinished"))
