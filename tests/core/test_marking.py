"""A mask as "edit here": the region is read as if it were drawn, and what lies elsewhere stays."""

import pytest
import torch

from ming_core import (
    LatentContext,
    MingModel,
    PromptError,
    Window,
    decode_pixels,
    edit,
    encode_image,
    expand,
    mark,
    region_prompt,
    trim,
)
from ming_core.pixels import MARK
from ming_core.progress import ProgressBar
from ming_core.univision.generation import parts_of
from ming_core.univision.windows import with_reply

TOLERANCE = 1e-4


@pytest.fixture
def bottom() -> torch.Tensor:
    """A mask of the lower third: the last two rows of patches."""
    mask = torch.zeros(1, 96, 96)
    mask[:, 65:] = 1.0
    return mask


def test_patches_that_a_mask_does_not_touch_stay_as_they_are(model, shown, quick, bottom):
    marked = mark(model, bottom, features=shown)
    assert marked.kept.is_replayed.tolist() == [True] * 24 + [False] * 12
    how = {"seed": 4, "sampling": quick, "features": shown}
    masked = edit(model, "make it red", show_region_first=marked, **how).features.values
    latents = encode_image(model, decode_pixels(model, shown), "edit")
    own = expand(model, latents).values
    kept, drawn = (
        (masked - own).abs().amax(dim=-1)[0, part] for part in ([*range(24)], [*range(24, 36)])
    )
    assert kept.max() < TOLERANCE < drawn.min()
    free = edit(model, "make it red", **how).features.values
    assert ((free - own).abs().amax(dim=-1) > TOLERANCE).all()


def test_what_a_mask_touches_follows_on_what_stays(model, shown, quick, bottom):
    """Whatever follows, in the picture and in the conversation, has read what was kept."""
    full = torch.ones(96, 96)
    made = [
        edit(model, "red", seed=4, sampling=quick, features=shown, show_region_first=marked)
        for marked in (mark(model, bottom, features=shown), mark(model, full, features=shown))
    ]
    assert not torch.allclose(made[0].features.values[:, 24:], made[1].features.values[:, 24:])


def test_a_region_that_is_given_is_read_as_the_one_that_was_drawn(model, shown, quick):
    """Its patches go through the text router, as drawn ones do (docs/decisions/0004)."""
    words = region_prompt("make it red")
    drawn = edit(model, words, seed=4, sampling=quick, features=shown)
    parts = parts_of(model, shown, words)
    start = LatentContext(model.identity)
    read = with_reply(model, start, parts, drawn.features, ProgressBar())
    assert read.num_tokens == drawn.context.num_tokens
    for one, other in zip(read.segments, drawn.context.segments, strict=True):
        for mine, theirs in ((one.keys, other.keys), (one.values, other.values)):
            assert (mine - theirs).abs().max() < TOLERANCE * theirs.abs().max()


@pytest.mark.parametrize("goes_on", [False, True])
def test_a_mask_takes_the_place_of_the_region_drawn_first(
    model, drawn, shown, quick, goes_on, bottom
):
    given = {"context": drawn.context} if goes_on else {"features": shown}
    marked = mark(model, bottom, **given)
    done = edit(model, "make it red", seed=4, sampling=quick, show_region_first=marked, **given)
    first, second = done.context.turns[-2:]
    assert first.prompt_text == region_prompt("make it red")
    assert torch.equal(first.pictures[0].features.values, marked.region.values)
    assert torch.equal(done.region.values, marked.region.values)
    assert torch.equal(second.pictures[0].features.values, done.features.values)
    assert [len(turn.parts) for turn in (first, second)] == ([1, 1] if goes_on else [2, 1])


def test_the_picture_carried_over_by_a_window_is_shown_and_marked(model, drawn, quick, bottom):
    marked = mark(model, bottom, context=drawn.context)
    how = {"seed": 4, "sampling": quick, "context": drawn.context, "window": Window(0)}
    done = edit(model, "make it red", show_region_first=marked, **how)
    assert [turn.carried is not None for turn in done.context.turns] == [True, False]
    trimmed = trim(model, drawn.context, Window(0))
    again = mark(model, bottom, context=trimmed)
    assert torch.equal(again.region.values, marked.region.values)


def test_the_region_is_of_the_size_that_was_given(model, shown, bottom):
    assert mark(model, bottom, features=shown).region.frame == shown.frame is not None


def test_the_region_is_the_picture_under_the_overlay(model: MingModel, shown, bottom, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "ming_core.univision.marking.encode_image",
        lambda model, image, *rest: seen.append(image) or encode_image(model, image, *rest),
    )
    mark(model, bottom, features=shown)
    ((own, under),) = seen
    assert torch.equal(own, decode_pixels(model, shown)[0])
    assert torch.equal(own[:65], under[:65])
    magenta = torch.tensor(MARK) / 255
    assert torch.allclose(under[65:], own[65:] + (magenta - own[65:]) * 0.85, atol=1e-6)


def test_the_last_of_several_pictures_is_marked(model, shown, bottom):
    other = expand(model, encode_image(model, torch.rand(1, 96, 96, 3), "edit"))
    both = type(shown)(torch.cat((other.values, shown.values)), shown.grid, shown.made_by)
    alone, last = (mark(model, bottom, features=given) for given in (shown, both))
    assert torch.equal(alone.kept.latents, last.kept.latents)


def test_a_mask_needs_a_picture(model, bottom):
    for context in (None, LatentContext(model.identity)):
        with pytest.raises(PromptError, match="no picture to mark"):
            mark(model, bottom, context=context)
