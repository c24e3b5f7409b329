"""A turn read in pieces equals the same conversation read in one go; free replies."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from ming_core import (
    Features,
    ImageSampling,
    LatentContext,
    MingModel,
    Picture,
    PromptError,
    Reply,
    Text,
    TextSampling,
    describe,
    encode_image,
    expand,
    generate,
)
from ming_core.kv_cache import WorkingCache
from ming_core.progress import ProgressBar
from ming_core.univision.drawing import BranchBatch, draw_noise
from ming_core.univision.language_model.transformer import Step
from ming_core.univision.prompt import Exchange, build_prompt
from ming_core.univision.turn import OpenTurn, draw_from

BAR = ProgressBar()
ONE_STEP = ImageSampling(steps=1)


def open_turn(model: MingModel, words: str, context: LatentContext | None = None, features=None):
    parts = [*_pictures(features), Text(words)]
    prompt = build_prompt(model.tokenizer, parts)
    return OpenTurn(model, context or LatentContext(model.identity), prompt, BAR)


def _pictures(features: Features | None) -> list[Picture]:
    return [] if features is None else [Picture(image) for image in features.images()]


def read_at_once(model: MingModel, pieces: Sequence[Sequence[int] | Tensor], given=()) -> tuple:
    """Read ids and visual embeddings in one pass; returns the last scores, and the cache.

    given  indices of the pieces that are given images
    """
    embeddings, is_given = [], []
    for index, piece in enumerate(pieces):
        part = piece if isinstance(piece, Tensor) else model.word_embeddings(torch.tensor([piece]))
        embeddings.append(part)
        is_given += [index in given] * part.shape[1]
    x = torch.cat(embeddings, dim=1)
    cache = WorkingCache(model.kv_shape, 1, x.shape[1])
    mask = torch.tensor([is_given]) if given else None
    step = Step(torch.arange(x.shape[1])[None], is_given_image=mask)
    transformer = model.parts.language_model.transformer
    return transformer.logits(transformer(x, cache, step)[0, -1]), cache


@torch.inference_mode()
def test_text_after_a_drawn_picture_follows_as_from_one_longer_prompt(model: MingModel, quick):
    turn, special = open_turn(model, "a red circle"), model.tokenizer
    (drawing,) = draw_from([turn], draw_noise([3], 36, 32), quick)
    turn = turn.after(drawing)
    after_tokens = turn.logits()
    turn.decode_step(special.image_end)
    after_end = turn.logits()
    visual = model.parts.language_model.connector(drawing.features)
    pieces = [turn.prompt.ids, [special.image], visual]
    expected, _ = read_at_once(model, pieces)
    assert torch.allclose(after_tokens, expected, atol=1e-4)
    expected, cache = read_at_once(model, [*pieces, [special.image_end]])
    assert torch.allclose(after_end, expected, atol=1e-4)
    assert cache.length == turn.cache.length
    length = cache.length
    for ours, whole in ((turn.cache.keys, cache.keys), (turn.cache.values, cache.values)):
        assert torch.allclose(ours[:, 0, :, :length], whole[:, 0], atol=1e-4)


@torch.inference_mode()
def test_the_next_turn_follows_a_picture_as_from_one_longer_prompt(model, drawn: Reply, shown):
    """A drawn picture in the first turn, a given one in the second: each by its own router."""
    turn = open_turn(model, "which is redder?", drawn.context, shown)
    first = build_prompt(model.tokenizer, [Text("a red circle")])
    start = turn.prompt.ids.index(model.tokenizer.image_patch)
    end = len(turn.prompt.ids) - turn.prompt.ids[::-1].index(model.tokenizer.image_patch)
    connector = model.parts.language_model.connector
    pieces = [
        first.ids,
        [model.tokenizer.image],
        connector(drawn.features.values),
        [model.tokenizer.image_end],
        turn.prompt.ids[:start],
        connector(shown.values),
        turn.prompt.ids[end:],
    ]
    expected, _ = read_at_once(model, pieces, given=(5,))
    assert torch.allclose(turn.logits(), expected, atol=1e-4)
    wrong, _ = read_at_once(model, pieces, given=(2, 5))
    assert not torch.allclose(turn.logits(), wrong, atol=1e-3)


@torch.inference_mode()
def test_several_given_pictures_are_read_in_order(model: MingModel, photo: Tensor):
    both = expand(model, encode_image(model, torch.cat((photo, 1 - photo)), "edit"))
    turn = open_turn(model, "compare", features=both)
    swapped = open_turn(model, "compare", features=Features(both.values.flip(0), both.grid))
    connector, special = model.parts.language_model.connector, model.tokenizer
    words = model.tokenizer.encode(["\ncompare"])
    pieces = [
        [*special.user_prefix, special.image],
        connector(both.values[:1]),
        [special.image_end, *special.encode(["\n"]), special.image],
        connector(both.values[1:]),
        [special.image_end, *words, *special.assistant_prefix],
    ]
    expected, _ = read_at_once(model, pieces, given=(1, 3))
    assert torch.allclose(turn.logits(), expected, atol=1e-4)
    assert not torch.allclose(swapped.logits(), expected, atol=1e-3)


@torch.inference_mode()
def test_history_reads_as_the_turns_it_tells(model: MingModel):
    history = [Exchange((Text("name a colour"),), "red"), Exchange((Text("another"),), "blue")]
    prompt = build_prompt(model.tokenizer, [Text("a third")], history)
    told = OpenTurn(model, LatentContext(model.identity), prompt, BAR)
    lived = open_turn(model, "name a colour")
    for answer, words in (("red", "another"), ("blue", "a third")):
        for token in [*model.tokenizer.encode([answer]), model.tokenizer.eos]:
            lived.decode_step(token)
        following = build_prompt(model.tokenizer, [Text(words)])
        for token in following.ids:
            lived.decode_step(token)
    assert torch.allclose(told.logits(), lived.logits(), atol=1e-4)
    assert told.cache.length == lived.cache.length


@torch.inference_mode()
def test_greedy_text_equals_recomputing_everything_for_each_token(model: MingModel, drawn: Reply):
    length = 10
    reply = describe(
        model, "what?", sampling=TextSampling(max_tokens=length), context=drawn.context
    )
    turn = open_turn(model, "what?", drawn.context)
    connector, special = model.parts.language_model.connector, model.tokenizer
    start = [
        build_prompt(special, [Text("a red circle")]).ids,
        [special.image],
        connector(drawn.features.values),
        [special.image_end],
        turn.prompt.ids,
    ]
    written: list[int] = []
    for _ in range(length):
        scores, _ = read_at_once(model, [*start, written] if written else start)
        scores[[special.image, special.image_patch]] = float("-inf")
        written.append(int(scores.argmax()))
        if written[-1] == special.eos:
            break
    assert reply.text == special.decode(written).strip()
    assert reply.text
    assert reply.context.turns[-1].num_reply_tokens == len(written) - 1


def test_the_last_token_is_not_read_back(model: MingModel, script):
    a, b, c = (model.tokenizer.encode([letter])[0] for letter in "abc")
    for tokens, limit, text, count in (
        ([a, b, c], 9, "abc", 3),
        ([a, b, c], 3, "abc", 2),
        ([a, b, c], 1, "a", 0),
        ([], 9, "", 0),
    ):
        script(tokens)
        reply = describe(model, "?", sampling=TextSampling(max_tokens=limit))
        assert reply.text == text
        assert reply.context.turns[0].num_reply_tokens == count


def test_a_model_that_opens_an_image_draws_it(model: MingModel, script, quick):
    special = model.tokenizer
    here = special.encode(["here"])
    script([*here, special.image, special.image_end, *special.encode([" done"])])
    reply = generate(model, "a star", seeds=[5], sampling=quick, text=TextSampling(max_tokens=40))[
        0
    ]
    assert reply.text == "here done"
    assert reply.features.values.shape == (1, 36, 128)
    assert reply.latents.values.shape == (1, 36, 32)
    kinds = [type(part).__name__ for part in reply.context.turns[0].reply]
    assert kinds == ["Text", "Picture", "Text"]
    written = len(here) + 36 + 2 + len(special.encode([" done"]))
    assert reply.context.turns[0].num_reply_tokens == written


def test_a_picture_the_model_opens_at_once_is_the_forced_one(model: MingModel, script, quick):
    forced = generate(model, "a star", seeds=[5], sampling=quick)[0]
    script([model.tokenizer.image, model.tokenizer.image_end])
    free = generate(model, "a star", seeds=[5], sampling=quick, text=TextSampling())[0]
    assert torch.equal(free.latents.values, forced.latents.values)
    assert torch.equal(free.features.values, forced.features.values)
    for ours, theirs in zip(free.context.segments, forced.context.segments, strict=True):
        assert torch.equal(ours.keys, theirs.keys)


@pytest.mark.parametrize("seed", [5, 2**64 - 1])
def test_two_pictures_of_one_reply_are_both_kept_and_differ(model, script, watch, seed: int):
    special, velocity = model.tokenizer, watch(model.parts.language_model.velocity)
    script([special.image, special.image_end, special.image, special.image_end])
    text = TextSampling(max_tokens=9)
    reply = generate(model, "stars", seeds=[seed], sampling=ONE_STEP, text=text)[0]
    assert reply.features.values.shape[0] == 2
    assert reply.latents.values.shape[0] == 2
    assert not torch.allclose(reply.latents.values[0], reply.latents.values[1], atol=0.1)
    first, second = velocity[0][0][0], velocity[36][0][0]  # of one step: the noise itself
    assert not torch.equal(first, second)
    assert len(reply.context.turns[0].pictures) == 2
    assert reply.context.turns[0].num_reply_tokens == 2 * 38


def test_an_image_opened_at_the_limit_is_not_drawn(model: MingModel, script, quick):
    script([model.tokenizer.image])
    text = TextSampling(max_tokens=1)
    reply = generate(model, "a star", seeds=[1], sampling=quick, text=text)[0]
    assert (reply.text, reply.features, reply.latents) == ("", None, None)


@torch.inference_mode()
def test_text_after_two_pictures_follows_as_from_one_longer_prompt(model: MingModel):
    turn, special = open_turn(model, "two stars"), model.tokenizer
    connector = model.parts.language_model.connector
    pieces: list = [turn.prompt.ids]
    for seed in (1, 2):
        (drawing,) = draw_from([turn], draw_noise([seed], 36, 32), ONE_STEP)
        turn = turn.after(drawing)
        turn.decode_step(special.image_end)
        pieces += [[special.image], connector(drawing.features), [special.image_end]]
    expected, _ = read_at_once(model, pieces)
    assert torch.allclose(turn.logits(), expected, atol=1e-4)


def test_a_question_is_never_answered_with_a_picture(model: MingModel, monkeypatch, watch):
    special, calls = model.tokenizer, watch(model.parts.language_model.velocity)
    scores = torch.zeros(480)
    scores[special.image], scores[special.image_patch], scores[special.encode(["a"])[0]] = (
        90,
        80,
        40,
    )
    monkeypatch.setattr(model.parts.language_model.transformer, "logits", lambda _hidden: scores)
    for temperature in (0.0, 1.0):
        sampling = TextSampling(max_tokens=4, temperature=temperature)
        reply = describe(model, "draw a star", sampling=sampling)
        assert reply.features is None
        assert reply.text == "aaaa"
    assert not calls


def test_replies_from_one_prompt_go_their_own_ways(model: MingModel):
    text = TextSampling(max_tokens=12, temperature=1.5)
    together = generate(model, "hi", seeds=[1, 2, 3], sampling=ONE_STEP, text=text)
    alone = [generate(model, "hi", seeds=[s], sampling=ONE_STEP, text=text)[0] for s in (1, 2, 3)]
    assert [reply.text for reply in together] == [reply.text for reply in alone]
    assert len({reply.text for reply in together}) == 3


def test_pictures_must_fit_the_model(model: MingModel, shown):
    narrow = Features(shown.values[..., :64], shown.grid)
    with pytest.raises(PromptError, match="64.*128"):
        describe(model, "what?", features=narrow)


def test_every_branch_sees_what_the_answer_holds_before_a_second_picture(
    model: MingModel, script, monkeypatch
):
    """SPEC section 5: tokens generated in the current turn are visible to all rows."""
    special, seen = model.tokenizer, []

    def recorded(starts, weights, shape):
        seen.append(starts[0].seen)
        return BranchBatch(starts, weights, shape)

    monkeypatch.setattr("ming_core.univision.turn.BranchBatch", recorded)
    picture = [special.image, special.image_end]
    script([*picture, *special.encode([" and "]), *picture])
    how = {"sampling": ImageSampling(steps=1), "text": TextSampling(max_tokens=20)}
    generate(model, "two stars", seeds=[1], **how)
    first, second = seen
    for branch, mask in second.items():
        before = len(first[branch])
        assert torch.equal(mask[:before], first[branch])
        assert len(mask) > before + model.config.language.num_image_tokens
        assert mask[before:].all()
