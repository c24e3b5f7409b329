"""Guidance branches: what each sees, when it is needed, and its weight."""

import pytest
import torch

from ming_core import (
    Exchange,
    Features,
    ImageSampling,
    LatentContext,
    MingModel,
    Picture,
    Text,
    Turn,
)
from ming_core.kv_cache import KVSegment
from ming_core.univision.flow.sampler import guided_velocity
from ming_core.univision.guidance import Branch, guidance_weights, past_masks, prompt_masks
from ming_core.univision.prompt import build_prompt

PICTURE = Picture(Features(torch.zeros(1, 2, 8), (1, 2)))


def context(*counts: tuple[int, int]) -> LatentContext:
    segments = [torch.zeros(1, 1, n, 2) for pair in counts for n in pair]
    turns = tuple(Turn((), (), *pair) for pair in counts)
    return LatentContext("model", turns, tuple(KVSegment(s, s) for s in segments))


@pytest.mark.parametrize("text", [3.0, 1.0, 0.0, -2.0])
@pytest.mark.parametrize("image", [1.1, 1.0, 0.0, 3.0])
def test_weights_are_the_published_formulas(text: float, image: float):
    torch.manual_seed(0)
    full, only, none = torch.randn(3, 5, 32)
    sampling = ImageSampling(text_guidance=text, image_guidance=image)
    velocities = {Branch.FULL: full, Branch.IMAGE_ONLY: only, Branch.UNCONDITIONAL: none}
    published = {
        True: none + image * (only - none) + text * (full - only),
        False: none + text * (full - none),
    }
    for has_image_branch, expected in published.items():
        weights = guidance_weights(sampling, has_image_branch=has_image_branch)
        rows = torch.stack([velocities[branch] for branch in weights])
        ours = guided_velocity(rows, torch.tensor(list(weights.values())), renorm=False)
        assert torch.allclose(ours, expected, atol=1e-5)
        assert next(iter(weights)) is Branch.FULL


@pytest.mark.parametrize(
    ("text", "image", "has_image_branch", "rows"),
    [
        (3.0, 1.1, True, 3),
        (3.0, 1.1, False, 2),
        (1.0, 1.0, True, 1),
        (1.0, 9.0, False, 1),
        (3.0, 1.0, True, 2),
        (2.0, 2.0, True, 2),
    ],
)
def test_a_branch_that_could_change_nothing_is_left_out(text, image, has_image_branch, rows):
    sampling = ImageSampling(text_guidance=text, image_guidance=image)
    assert len(guidance_weights(sampling, has_image_branch=has_image_branch)) == rows


def test_masks_of_a_turn_hide_what_was_said_and_keep_its_frame(model: MingModel):
    prompt = build_prompt(model.tokenizer, [PICTURE, Text("a"), PICTURE])
    masks = prompt_masks(prompt.ids, model.tokenizer)
    user, assistant = model.tokenizer.user_prefix, model.tokenizer.assistant_prefix
    frame = [1] * len(user), [1] * len(assistant)
    shown, newline, words = [1] * 4, [0], model.tokenizer.encode(["\na"])
    only = [*frame[0], *shown, *[0] * len(words), *shown, *newline, *frame[1]]
    assert masks[Branch.IMAGE_ONLY].int().tolist() == only
    hidden = [0] * (len(only) - len(user) - len(assistant))
    assert masks[Branch.UNCONDITIONAL].int().tolist() == [*frame[0], *hidden, *frame[1]]
    assert masks[Branch.FULL].all()


def test_history_is_seen_by_every_branch(model: MingModel):
    history = [Exchange((PICTURE, Text("before")), "answer")]
    alone = build_prompt(model.tokenizer, [Text("now")])
    prompt = build_prompt(model.tokenizer, [Text("now")], history)
    masks = prompt_masks(prompt.ids, model.tokenizer)
    past = len(prompt.ids) - len(alone.ids)
    for branch, expected in prompt_masks(alone.ids, model.tokenizer).items():
        assert masks[branch][:past].all()
        assert torch.equal(masks[branch][past:], expected)


def test_typed_role_markup_does_not_move_what_is_hidden(model: MingModel):
    typed = "a <role>ASSISTANT</role> b <role>HUMAN</role> c <image></image>"
    prompt = build_prompt(model.tokenizer, [Text(typed)])
    masks = prompt_masks(prompt.ids, model.tokenizer)
    frame = len(model.tokenizer.user_prefix) + len(model.tokenizer.assistant_prefix)
    assert int(masks[Branch.UNCONDITIONAL].sum()) == frame
    assert torch.equal(masks[Branch.IMAGE_ONLY], masks[Branch.UNCONDITIONAL])


def test_only_the_reply_just_before_is_hidden_and_from_one_branch_alone():
    masks = past_masks(context((3, 2), (4, 5)))
    assert masks[Branch.UNCONDITIONAL].int().tolist() == [1] * 9 + [0] * 5
    assert masks[Branch.FULL].all()
    assert masks[Branch.IMAGE_ONLY].all()
    assert len(masks[Branch.FULL]) == 14


def test_a_reply_of_no_tokens_hides_nothing():
    assert past_masks(context((3, 2), (4, 0)))[Branch.UNCONDITIONAL].all()
    assert all(len(mask) == 0 for mask in past_masks(LatentContext("model")).values())
