"""A latent context is a value: nothing that starts from it changes it."""

import dataclasses

import pytest
import torch

from ming_core import (
    ContextError,
    ImageSampling,
    LatentContext,
    MingModel,
    Reply,
    TextSampling,
    describe,
    edit,
    generate,
)

WORDS = TextSampling(max_tokens=4)


def storages(context: LatentContext) -> list[int]:
    return [s.keys.untyped_storage().data_ptr() for s in context.segments]


def test_two_edits_and_a_question_leave_it_byte_for_byte(model, drawn: Reply, quick, digest):
    before, turns = digest(drawn.context), drawn.context.turns
    first = edit(model, "make it blue", seed=1, sampling=quick, context=drawn.context)
    second = edit(model, "add a star", seed=2, sampling=quick, context=drawn.context)
    asked = describe(model, "what is it?", sampling=WORDS, context=drawn.context)
    assert digest(drawn.context) == before
    assert drawn.context.turns is turns
    assert len({before, digest(first.context), digest(second.context), digest(asked.context)}) == 4


def test_an_edit_does_not_depend_on_a_branch_made_before(model, drawn: Reply, quick, digest):
    alone = edit(model, "make it blue", seed=1, sampling=quick, context=drawn.context)
    edit(model, "add a star", seed=2, sampling=quick, context=drawn.context)
    generate(model, "something else", seeds=[3, 4], sampling=quick)
    again = edit(model, "make it blue", seed=1, sampling=quick, context=drawn.context)
    assert digest(alone.context) == digest(again.context)


def test_branches_share_every_earlier_segment(model: MingModel, drawn: Reply, quick):
    branches = [
        edit(model, words, seed=1, sampling=quick, context=drawn.context).context
        for words in ("make it blue", "add a star")
    ]
    for branch in branches:
        assert storages(branch)[: len(drawn.context.segments)] == storages(drawn.context)
        assert branch.turns[:1] == drawn.context.turns
    assert not set(storages(branches[0])[2:]) & set(storages(branches[1])[2:])


def test_pictures_of_a_batch_share_the_prompt(model: MingModel, quick):
    contexts = [r.context for r in generate(model, "a star", seeds=[1, 2, 3], sampling=quick)]
    assert len({storages(context)[0] for context in contexts}) == 1
    assert len({storages(context)[1] for context in contexts}) == 3


def test_ram_usage_is_the_bytes_of_its_tensors(model, drawn: Reply, quick, shown):
    edited = edit(model, "bluer", seed=1, sampling=quick, context=drawn.context, features=shown)
    context = edited.context
    tensors = [t for segment in context.segments for t in (segment.keys, segment.values)]
    tensors += [drawn.features.values, shown.values, edited.features.values]
    assert sum(t.nbytes for t in context.tensors()) == sum(
        t.numel() * t.element_size() for t in tensors
    )
    # Small views of large buffers would hold more than they count.
    assert sum(t.nbytes for t in context.tensors()) == sum(
        t.untyped_storage().nbytes() for t in tensors
    )
    assert LatentContext("model").tensors() == []


def test_counts_add_up(model: MingModel, drawn: Reply, quick):
    edited = edit(model, "bluer", seed=1, sampling=quick, context=drawn.context).context
    for context in (drawn.context, edited):
        counted = [n for t in context.turns for n in (t.num_prompt_tokens, t.num_reply_tokens)]
        assert counted == [segment.num_tokens for segment in context.segments]
        assert context.num_tokens == sum(counted)
    # <image>, the visual tokens and </image>; the end of the text is not read back.
    assert [turn.num_reply_tokens for turn in edited.turns] == [38, 38]


def test_it_rests_in_main_memory_detached(drawn: Reply):
    for segment in drawn.context.segments:
        for tensor in (segment.keys, segment.values):
            assert tensor.device.type == "cpu"
            assert tensor.grad_fn is None
            assert not tensor.requires_grad


def test_its_fields_cannot_be_set(drawn: Reply):
    for value, name in ((drawn.context, "turns"), (drawn.context.turns[0], "seed")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, name, ())


@pytest.mark.parametrize("ask", ["generate", "edit", "describe"])
def test_a_context_of_another_model_is_refused_before_any_work(model, drawn: Reply, ask, watch):
    foreign = dataclasses.replace(drawn.context, model_identity="0123456789abcdef0123456789abcdef")
    calls = watch(model.parts.language_model.transformer)
    run = {
        "generate": lambda: generate(model, "a cat", seeds=[1], context=foreign),
        "edit": lambda: edit(model, "a cat", seed=1, context=foreign),
        "describe": lambda: describe(model, "a cat?", context=foreign),
    }
    with pytest.raises(ContextError) as refused:
        run[ask]()
    assert "0123456789ab" in str(refused.value)
    assert model.identity[:12] in str(refused.value)
    assert not calls


def test_a_turn_records_how_it_was_answered(model: MingModel, drawn: Reply, quick):
    text = TextSampling(max_tokens=3, temperature=0.5, seed=9)
    turn = describe(model, "what?", sampling=text, context=drawn.context).context.turns[-1]
    assert (turn.seed, turn.text_sampling, turn.image_sampling) == (9, text, None)
    assert turn.prompt_text == "what?"
    turn = drawn.context.turns[0]
    assert (turn.seed, turn.text_sampling, turn.image_sampling) == (7, None, quick)
    assert torch.equal(turn.pictures[0].features.values, drawn.features.values)
    free = generate(model, "hi", seeds=[2**64 - 1], text=WORDS, sampling=ImageSampling(steps=1))
    turn = free[0].context.turns[0]
    assert (turn.seed, turn.text_sampling.seed) == (2**64 - 1, 2**64 - 1)
    assert turn.image_sampling == ImageSampling(steps=1)
