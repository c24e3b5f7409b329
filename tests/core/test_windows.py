"""A windowed context equals that of a conversation which began where the window does."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from ming_core import (
    ALL,
    ContextError,
    ImageSampling,
    LatentContext,
    MingModel,
    PromptError,
    Reply,
    TextSampling,
    Window,
    describe,
    edit,
    generate,
    load_context,
    save_context,
    trim,
)

WORDS = TextSampling(max_tokens=6)
LAST, PICTURE_ONLY = Window(1, questions=False), Window(0)


@pytest.fixture(scope="module")
def began(model: MingModel, drawn: Reply, quick: ImageSampling) -> LatentContext:
    """A conversation that began with the drawn picture given: edited, asked about, edited."""
    first = edit(model, "make it blue", seed=1, sampling=quick, features=drawn.features)
    asked = describe(model, "what is it?", sampling=WORDS, context=first.context)
    return edit(model, "add a star", seed=2, sampling=quick, context=asked.context).context


@pytest.fixture(scope="module")
def talk(drawn: Reply, began: LatentContext) -> LatentContext:
    """The same turns behind the one that drew the picture, which is not given then."""
    first, *others = began.turns
    turns = (*drawn.context.turns, replace(first, parts=first.parts[1:]), *others)
    return replace(drawn.context, turns=turns, segments=drawn.context.segments + began.segments)


def difference(one: LatentContext, other: LatentContext) -> float:
    """The largest difference of keys and values, against the largest of them."""
    assert [s.num_tokens for s in one.segments] == [s.num_tokens for s in other.segments]
    pairs = [
        (a, b)
        for mine, theirs in zip(one.segments, other.segments, strict=True)
        for a, b in ((mine.keys, theirs.keys), (mine.values, theirs.values))
    ]
    return max(((a - b).abs().max() / b.abs().max()).item() for a, b in pairs)


def said(context: LatentContext) -> list[tuple[str, bool]]:
    return [(turn.prompt_text, is_remembered) for turn, is_remembered in context.said]


def test_a_window_equals_a_conversation_that_began_there(model, talk, began):
    window = trim(model, talk, Window(3))
    assert difference(window, began) < 1e-5
    assert [t.num_prompt_tokens for t in window.turns] == [t.num_prompt_tokens for t in began.turns]
    assert window.turns[0].parts == talk.turns[1].parts, "what was said stays what was said"


def test_a_window_of_one_turn_equals_one_edit_of_a_given_picture(model, talk, quick):
    picture = talk.turns[1].pictures[0].features
    began = edit(model, "add a star", seed=9, sampling=quick, features=picture).context
    as_drawn = replace(talk.turns[3], reply=began.turns[0].reply)
    context = replace(talk, turns=(*talk.turns[:3], as_drawn))
    assert difference(trim(model, context, Window(1)), began) < 1e-5


def test_an_answer_in_words_is_read_as_it_was_written(model, drawn, quick):
    """Also where its words would be told apart into other tokens."""
    words = TextSampling(max_tokens=9, temperature=2.0, seed=5)
    began = describe(model, "what?", sampling=words, features=drawn.features).context
    asked = replace(began.turns[0], parts=began.turns[0].parts[1:])
    context = replace(drawn.context, turns=(*drawn.context.turns, asked))
    context = replace(context, segments=drawn.context.segments + began.segments)
    assert difference(trim(model, context, Window(1)), began) < 1e-5


def test_pictures_and_words_of_one_answer_are_read_as_they_came(model, drawn, quick, script):
    ids = model.tokenizer
    script([70, ids.image, ids.image_end, 71, 72])
    words = TextSampling(max_tokens=7)
    began = generate(model, "hi", seeds=[3], text=words, sampling=quick, features=drawn.features)[
        0
    ].context
    own = replace(began.turns[0], parts=began.turns[0].parts[1:])
    context = replace(drawn.context, turns=(*drawn.context.turns, own))
    context = replace(context, segments=drawn.context.segments + began.segments)
    assert began.turns[0].pictures and began.turns[0].reply_text
    assert difference(trim(model, context, Window(1)), began) < 1e-5


def test_a_window_that_leaves_nothing_out_is_the_context_itself(model, drawn, talk):
    for window in (ALL, Window(4), Window(9)):
        assert trim(model, talk, window) is talk
    assert trim(model, drawn.context, LAST) is drawn.context


def test_a_question_at_the_end_is_left_out_without_reading_anything(model, drawn, watch):
    asked = describe(model, "what is it?", sampling=WORDS, context=drawn.context).context
    calls = watch(model.parts.language_model.transformer)
    trimmed = trim(model, asked, Window(questions=False))
    assert trimmed.segments == drawn.context.segments and not calls
    assert said(trimmed) == [("a red circle", True), ("what is it?", False)]


def test_a_picture_alone_is_shown_to_the_next_turn(model, talk, quick, watch):
    calls = watch(model.parts.language_model.transformer)
    bare = trim(model, talk, PICTURE_ONLY)
    assert not calls and bare.num_tokens == 0 and not any(kept for _, kept in said(bare))
    edited = edit(model, "bluer", seed=4, sampling=quick, context=bare).context
    given = talk.turns[-1].pictures[0].features
    fresh = edit(model, "bluer", seed=4, sampling=quick, features=given).context
    assert difference(edited, fresh) == 0
    assert [kept for _, kept in said(edited)] == [False] * 4 + [True]
    assert edited.turns[0].parts == edited.turns[0].shown[1:]
    assert edited.carried is None


def test_a_picture_shown_with_a_question_that_is_left_out_is_carried_over(model, shown, quick):
    asked = describe(model, "what?", sampling=WORDS, features=shown).context
    for window in (LAST, PICTURE_ONLY, Window(questions=False)):
        trimmed = trim(model, asked, window)
        assert trimmed.carried.features.values is asked.turns[0].parts[0].features.values
        assert trim(model, trimmed, window).carried is trimmed.carried
    edited = edit(model, "bluer", seed=4, sampling=quick, context=asked, window=LAST)
    alone = edit(model, "bluer", seed=4, sampling=quick, features=shown)
    assert torch.equal(edited.features.values, alone.features.values)


def test_what_was_shown_last_is_carried_over_whatever_stays_before_it(model, drawn, shown):
    asked = describe(model, "what?", sampling=WORDS, context=drawn.context, features=shown).context
    drawing = trim(model, asked, LAST)
    assert len(drawing.turns) == 1 and drawing.carried
    bare = trim(model, drawing, PICTURE_ONLY)
    assert bare.carried.features.values is asked.turns[1].parts[0].features.values


def test_a_turn_with_a_picture_of_its_own_is_shown_no_other(model, drawn, shown, quick):
    context = edit(
        model, "bluer", seed=1, sampling=quick, context=drawn.context, features=shown
    ).context
    alone = edit(model, "bluer", seed=1, sampling=quick, features=shown).context
    kept = trim(model, context, LAST)
    assert kept.turns[0].carried is None
    assert kept.num_tokens == alone.num_tokens


def test_a_region_and_its_edit_are_one_step(model, drawn, quick):
    context = edit(
        model, "bluer", seed=1, sampling=quick, context=drawn.context, show_region_first=True
    ).context
    kept = trim(model, context, LAST)
    assert len(kept.turns) == 2 and len(kept.left_out) == 1
    assert kept.turns[0].carried == drawn.context.turns[0].pictures[0]


def test_windows_of_windows_keep_the_record_in_order(model, talk, quick):
    context = trim(model, talk, Window(questions=False))
    assert [kept for _, kept in said(context)] == [True, True, False, True]
    context = edit(model, "darker", seed=5, sampling=quick, context=context, window=LAST).context
    assert [kept for _, kept in said(context)] == [False, False, False, True, True]
    assert [words for words, _ in said(context)] == [*(w for w, _ in said(talk)), "darker"]


def test_the_context_given_stays_byte_for_byte(model, talk, quick, digest):
    before = digest(talk)
    edit(model, "darker", seed=5, sampling=quick, context=talk, window=LAST)
    trim(model, talk, Window(2))
    assert digest(talk) == before


def test_what_is_asked_aside_leaves_the_context_as_it_was(model, talk, shown, quick):
    reply = describe(model, "what?", sampling=WORDS, context=talk, window=LAST, aside=True)
    assert reply.context is talk and reply.text
    reply = describe(model, "what?", sampling=WORDS, features=shown, aside=True)
    edited = edit(model, "bluer", seed=4, sampling=quick, context=reply.context)
    alone = edit(model, "bluer", seed=4, sampling=quick, features=shown)
    assert torch.equal(edited.features.values, alone.features.values)
    with pytest.raises(PromptError, match="no picture"):
        nothing = describe(model, "hello?", sampling=WORDS, aside=True)
        edit(model, "bluer", seed=4, sampling=quick, context=nothing.context)


def test_windows_are_saved_and_go_on_alike(model, talk, quick, tmp_path):
    for number, window in enumerate((Window(2), LAST, PICTURE_ONLY)):
        context, path = trim(model, talk, window), tmp_path / f"{number}.safetensors"
        save_context(context, path)
        loaded = load_context(path)
        assert said(loaded) == said(context)
        assert loaded.left_out[0].before == context.left_out[0].before
        one, other = (
            edit(model, "darker", seed=5, sampling=quick, context=each)
            for each in (context, loaded)
        )
        assert torch.equal(one.features.values, other.features.values)
        assert trim(model, loaded, LAST).num_tokens == trim(model, context, LAST).num_tokens


def test_a_file_from_before_windows_is_windowed_too(model, talk, began, monkeypatch, tmp_path):
    path = tmp_path / "old.safetensors"
    save_context(talk, path)
    with safe_open(str(path), framework="pt") as file:
        header = json.loads(file.metadata()["ming_context"])
    for part in (header, *header["turns"]):
        for name in ("left_out", "carried", "reply_ids"):
            part.pop(name, None)
    save_file(load_file(path), path, metadata={"ming_context": json.dumps(header)})
    old = load_context(path)
    assert difference(trim(model, old, Window(1)), trim(model, talk, Window(1))) == 0


@pytest.mark.parametrize("ids", [(9, 10**9), (7, 7), ()])
def test_tokens_that_no_model_has_are_refused(model, drawn, ids):
    asked = describe(model, "what?", sampling=WORDS, features=drawn.features).context.turns[0]
    damaged = replace(asked, reply_ids=(*ids, model.tokenizer.image_patch))
    context = replace(drawn.context, turns=(*drawn.context.turns, damaged))
    with pytest.raises(ContextError, match="damaged"):
        trim(model, replace(context, segments=context.segments * 2), Window(1))


def test_the_first_token_behind_the_last_of_the_model_is_refused(model, drawn):
    asked = describe(model, "what?", sampling=WORDS, context=drawn.context).context
    size = model.config.language.vocab_size

    def trimmed(last: int) -> LatentContext:
        turn = replace(asked.turns[1], reply_ids=(last,))
        return trim(model, replace(asked, turns=(asked.turns[0], turn)), Window(1))

    assert trimmed(size - 1).turns[0].num_reply_tokens == 1
    with pytest.raises(ContextError, match=f"tokens up to {size} of {size}"):
        trimmed(size)
