"""Drawing: seeds, batches, settings that count, and nothing computed twice."""

import pytest
import torch
from torch import Tensor

from ming_core import (
    ImageSampling,
    MingModel,
    Reply,
    TextSampling,
    describe,
    edit,
    generate,
)
from ming_core.univision.drawing import draw_noise

TOKENS = 36  # of a picture of the tiny model


def latents(reply: Reply) -> Tensor:
    return reply.latents.values


def draw(model: MingModel, seed: int = 7, prompt: str = "a star", **settings) -> Tensor:
    sampling = ImageSampling(**({"steps": 2} | settings))
    return latents(generate(model, prompt, seeds=[seed], sampling=sampling)[0])


@pytest.fixture(scope="module")
def batch(model: MingModel, quick: ImageSampling) -> list[Reply]:
    return generate(model, "a star", seeds=[7, 8, 9], sampling=quick)


@pytest.mark.parametrize("index", [0, 1, 2])
def test_picture_i_of_a_batch_is_the_picture_alone(model, batch: list[Reply], quick, index: int):
    alone = generate(model, "a star", seeds=[7 + index], sampling=quick)[0]
    # The first tokens to rounding; after them rounding itself is fed back and grows.
    assert torch.allclose(latents(batch[index])[:, :4], latents(alone)[:, :4], atol=1e-4)
    assert torch.allclose(latents(batch[index]), latents(alone), atol=2e-2)
    ours, theirs = batch[index].context, alone.context
    assert torch.equal(ours.segments[0].keys, theirs.segments[0].keys)
    assert torch.allclose(ours.segments[1].keys, theirs.segments[1].keys, atol=2e-2)
    assert ours.turns[0].num_reply_tokens == theirs.turns[0].num_reply_tokens


@pytest.mark.parametrize("slicing", [("cpu",), ()])
@pytest.mark.parametrize("shows", [False, True])
def test_picture_i_of_several_prompts_is_the_picture_alone(
    model: MingModel, drawn: Reply, shown, quick, monkeypatch, slicing, shows: bool
):
    """Prompts of other lengths leave gaps in the rows; no row may see or count them."""
    monkeypatch.setattr("ming_core.kv_cache.SLICING", slicing)
    asked = ["a star", "two large green stars beside a tree at night"]
    start = {"context": drawn.context, "features": shown} if shows else {}
    how = {"sampling": quick} | start
    together = generate(model, asked, seeds=[7, 8, 9, 10], **how)
    alone = [generate(model, asked[i // 2], seeds=[7 + i], **how)[0] for i in range(4)]
    for index, (ours, theirs) in enumerate(zip(together, alone, strict=True)):
        # Rounding is fed back and grows until another expert is chosen, as in any batch.
        assert torch.allclose(latents(ours)[:, :4], latents(theirs)[:, :4], atol=1e-4)
        assert torch.allclose(latents(ours)[:, :10], latents(theirs)[:, :10], atol=1e-3)
        mine, other = ours.context, theirs.context
        assert mine.turns[-1].prompt_text == asked[index // 2]
        assert mine.turns[-1].seed == 7 + index
        assert mine.num_tokens == other.num_tokens
        assert torch.equal(mine.segments[-2].keys, other.segments[-2].keys)
        for part in ("keys", "values"):
            kept, expected = (getattr(c.segments[-1], part)[:, :, :10] for c in (mine, other))
            assert torch.allclose(kept, expected, atol=1e-3)
    following = [
        latents(generate(model, "bluer", seeds=[1], sampling=quick, context=reply.context)[0])
        for reply in (together[0], alone[0])
    ]
    assert torch.allclose(following[0][:, :4], following[1][:, :4], atol=1e-3)


def test_pictures_of_a_batch_differ(batch: list[Reply]):
    for i, j in ((0, 1), (0, 2), (1, 2)):
        assert (latents(batch[i]) - latents(batch[j])).abs().mean() > 0.3


def test_each_context_of_a_batch_holds_its_own_picture(model: MingModel, batch, quick):
    for reply in batch:
        picture = reply.context.turns[0].pictures[0]
        assert torch.equal(picture.features.values, reply.features.values)
    following = [
        edit(model, "bluer", seed=1, sampling=quick, context=reply.context) for reply in batch[:2]
    ]
    values = [e.features.values for e in following]
    assert not torch.allclose(*values, atol=0.1)


def test_the_same_seed_repeats_bit_for_bit_whatever_came_before(model: MingModel, shown, quick):
    first = draw(model)
    torch.manual_seed(99)
    torch.rand(5)
    describe(model, "what?", features=shown, sampling=TextSampling(max_tokens=3, temperature=1.0))
    generate(model, "other", seeds=[1, 2, 3, 4], sampling=quick)
    assert torch.equal(draw(model), first)


def test_the_global_generator_is_left_alone(model: MingModel):
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    draw(model)
    assert torch.equal(torch.rand(4), expected)


@pytest.mark.parametrize("other", [8, 7 + 2**32, 7 + 2**63, 2**64 - 1])
def test_another_seed_is_another_picture(model: MingModel, other: int):
    assert not torch.allclose(draw(model, seed=other), draw(model), atol=0.1)


def test_noise_is_the_seeds_own(model: MingModel):
    together = draw_noise([5, 6], 4, 3)
    assert together.shape == (4, 2, 3)
    assert torch.equal(together[:, 1:], draw_noise([6], 4, 3))
    expected = torch.randn(4, 3, generator=torch.Generator().manual_seed(5))
    assert torch.equal(together[:, 0], expected)


@pytest.mark.parametrize(
    "setting",
    [
        {"steps": 3},
        {"solver": "ab2"},
        {"text_guidance": 2.0},
        {"temperature": 0.8},
        {"time_shift": 2.0},
        {"renorm": True},
    ],
    ids=lambda setting: next(iter(setting)),
)
def test_every_setting_changes_the_picture(model: MingModel, setting: dict):
    assert not torch.allclose(draw(model), draw(model, **setting), atol=1e-3)


def test_image_guidance_counts_where_there_is_a_picture_and_nowhere_else(model, shown):
    def with_picture(figure: float) -> Tensor:
        sampling = ImageSampling(steps=2, image_guidance=figure)
        return latents(generate(model, "bluer", seeds=[7], sampling=sampling, features=shown)[0])

    assert not torch.allclose(with_picture(1.1), with_picture(2.0), atol=1e-3)
    assert torch.equal(draw(model, image_guidance=1.1), draw(model, image_guidance=2.0))


@pytest.mark.parametrize(
    ("text", "image", "has_picture", "branches"),
    [(3.0, 1.1, False, 2), (3.0, 1.1, True, 3), (1.0, 1.0, True, 1), (1.0, 5.0, False, 1)],
)
def test_branches_are_rows_of_one_batch_and_only_as_many_as_count(
    model: MingModel, watch, shown, text, image, has_picture, branches
):
    calls = watch(model.parts.language_model.transformer)
    sampling = ImageSampling(steps=1, text_guidance=text, image_guidance=image)
    features = shown if has_picture else None
    generate(model, "a star", seeds=[1, 2], sampling=sampling, features=features)
    sizes = [tuple(inputs[0].shape[:2]) for inputs, _ in calls]
    # The prompt once, <image> and every visual token in all rows, </image> in a row per picture.
    assert sizes[0][0] == 1
    assert sizes[1:-1] == [(2 * branches, 1)] * (1 + TOKENS)
    assert sizes[-1] == (2, 1)


def test_each_visual_token_is_sampled_and_expanded_once(model: MingModel, watch, shown):
    parts = model.parts
    velocity, semantic = watch(parts.language_model.velocity), watch(parts.semantic_decoder)
    times, modulations = (
        watch(parts.language_model.velocity.time_embed),
        watch(parts.language_model.velocity.modulation),
    )
    connector, painted = watch(parts.language_model.connector), watch(parts.pixel_decoder)
    encoded = watch(parts.low_level_encoder)
    sampling = ImageSampling(steps=3)
    generate(model, "a star", seeds=[1, 2], sampling=sampling, features=shown)
    assert len(velocity) == 3 * TOKENS  # no token beyond the last one is sampled
    assert {tuple(inputs[0].shape) for inputs, _ in velocity} == {(2, 32)}
    assert {tuple(out.shape) for _, out in velocity} == {(3, 2, 32)}
    assert len(times) == 1
    assert len(modulations) == TOKENS
    # Rows of one picture are expanded as one; the given picture comes as features.
    assert [tuple(inputs[0].shape) for inputs, _ in semantic] == [(2, 1, 32)] * TOKENS
    assert len(connector) == 1 + TOKENS
    assert not painted
    assert not encoded


def test_every_turn_is_read_once(model: MingModel, drawn: Reply, watch, quick, shown):
    calls = watch(model.parts.language_model.transformer)
    edit(model, "bluer", seed=1, sampling=quick, context=drawn.context, features=shown)
    lengths = [inputs[0].shape[1] for inputs, _ in calls]
    assert lengths[0] > 36
    assert lengths[1:] == [1] * (TOKENS + 2)


def test_several_free_replies_read_the_prompt_once(model: MingModel, watch):
    calls = watch(model.parts.language_model.transformer)
    text = TextSampling(max_tokens=4, temperature=1.0)
    generate(model, "hello there", seeds=[1, 2, 3], text=text)
    lengths = [inputs[0].shape[1] for inputs, _ in calls]
    assert lengths[0] > 1
    assert set(lengths[1:]) == {1}
    assert len(lengths) <= 1 + 3 * 3  # the last token of each is not read


def test_drawn_features_are_the_expansion_of_drawn_latents(model: MingModel, drawn: Reply):
    whole = model.expand(drawn.latents.values)
    assert torch.allclose(whole, drawn.features.values, atol=1e-4)
    assert drawn.features.grid == drawn.latents.grid == (6, 6)


def test_the_prompt_and_the_pictures_before_matter(model: MingModel, drawn: Reply, quick, shown):
    assert not torch.allclose(draw(model, prompt="a star"), draw(model, prompt="a moon"), atol=0.05)
    after = [
        edit(model, "bluer", seed=1, sampling=quick, context=c, features=f).features.values
        for c, f in ((drawn.context, None), (None, shown), (drawn.context, shown))
    ]
    for i, j in ((0, 1), (0, 2), (1, 2)):
        assert not torch.allclose(after[i], after[j], atol=0.05)
