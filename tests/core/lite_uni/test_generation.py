"""What a node can ask for: conditions, pictures by seed, answers; progress, cancelling, stages."""

from dataclasses import replace

import pytest
import torch

from ming_core import NumericsError, PromptError, TextSampling, load_model
from ming_core.lite_uni.generation import describe, edit, encode, generate, sample
from ming_core.lite_uni.preprocessing import to_patches
from ming_core.lite_uni.sampler import DiffusionSampling
from ming_core.lite_uni.sequence import IMAGE, MEDIA, TURN_END, conversation

QUICK = DiffusionSampling(steps=2)
SMALL = {"size": (64, 96), "mode": "exact", "sampling": QUICK}
PIXELS = 6272


@pytest.fixture(scope="module")
def model(tiny, tmp_path_factory):
    return load_model(tiny.make_tiny(tmp_path_factory.mktemp("lite")))


@pytest.fixture
def own(tiny, tmp_path):
    """A model that a test may change."""
    return load_model(tiny.make_tiny(tmp_path))


@pytest.fixture(scope="module")
def photo() -> torch.Tensor:
    return torch.rand(1, 60, 100, 3, generator=torch.Generator().manual_seed(4))


@pytest.fixture(scope="module")
def condition(model):
    return encode(model, "a fox", previews=True)


class Watching:
    """Progress that remembers, and cancels at a given report."""

    def __init__(self, cancel_at: int | None = None, paints: bool = False) -> None:
        self.reports, self.chances, self.previews, self.texts = [], 0, [], []
        self.cancel_at, self.paints = cancel_at, paints

    def advance(self, done: int, total: int) -> None:
        self.reports.append((done, total))
        self.check_cancelled()

    def check_cancelled(self) -> None:
        self.chances += 1
        if self.cancel_at == self.chances:
            raise KeyboardInterrupt

    def drawing(self, preview) -> None:
        self.previews.append((preview.num_paintable, preview.paint() if self.paints else None))

    def writing(self, read) -> None:
        self.texts.append(read())


def test_encoding_then_sampling_equals_one_call(model, photo):
    whole = generate(model, "a fox", photo, seeds=[3, 4], **SMALL)
    parts = sample(model, encode(model, "a fox", photo), seeds=[3, 4], **SMALL)
    assert torch.equal(whole, parts)
    assert torch.equal(edit(model, photo, "a fox", seeds=[3, 4], **SMALL), whole)


def test_a_seed_draws_the_same_alone_and_in_company(model, condition):
    both = sample(model, condition, seeds=[5, 6], **SMALL)
    assert torch.equal(both[1:], sample(model, condition, seeds=[6], **SMALL))
    assert not torch.equal(both[0], both[1])
    assert both.shape == (2, 64, 96, 3)
    assert both.min() >= 0 and both.max() <= 1


def test_sampling_does_not_touch_the_condition(model, condition):
    before = {scale: tokens.clone() for scale, tokens in condition.tokens.items()}
    sample(model, condition, seeds=[1], **SMALL)
    assert all(torch.equal(condition.tokens[scale], before[scale]) for scale in before)


@pytest.mark.parametrize(
    "sampling",
    [
        DiffusionSampling(steps=3),
        DiffusionSampling(steps=2, guidance=2.0),
        DiffusionSampling(steps=2, guidance=1.0),
        DiffusionSampling(steps=2, shift=1.0),
    ],
)
def test_every_setting_changes_the_picture(model, condition, sampling):
    usual = sample(model, condition, seeds=[1], **SMALL)
    changed = sample(model, condition, seeds=[1], **(SMALL | {"sampling": sampling}))
    assert not torch.equal(usual, changed)


def test_scales_of_previews_draw_pictures_of_their_own(model, condition):
    assert set(condition.tokens) == {4, 8, 16}
    pictures = [sample(model, condition, seeds=[1], scale=s, **SMALL) for s in (4, 8, 16)]
    assert torch.equal(pictures[2], sample(model, condition, seeds=[1], **SMALL))
    assert not torch.equal(pictures[0], pictures[2])
    only = encode(model, "a fox")
    assert torch.equal(only.of_scale(None), condition.of_scale(16))
    with pytest.raises(PromptError, match="no scale 4"):
        sample(model, only, seeds=[1], scale=4, **SMALL)


def test_coarse_queries_are_read_before_the_fine_ones(own):
    before = encode(own, "a fox", previews=True)
    own.parts.language_model.queries.tokens["4"].weight.data[3] += 1
    after = encode(own, "a fox", previews=True)
    assert not torch.equal(before.tokens[16], after.tokens[16])
    own.parts.language_model.queries.tokens["16"].weight.data[3] += 1
    last = encode(own, "a fox", previews=True)
    assert torch.equal(after.tokens[4], last.tokens[4])
    assert not torch.equal(after.tokens[16], last.tokens[16])


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({"size": (96, 250)}, (96, 250)),
        ({"size": (480, 640)}, (480, 640)),  # the published code returns a strip
        ({"size": (64, 32), "mode": "exact"}, (64, 32)),
        ({"mode": "like input"}, (384, 640)),
        ({}, (512, 512)),
    ],
)
def test_sizes_are_as_asked(model, photo, options, shape):
    condition = encode(model, "a fox", photo, pixels=PIXELS)
    once = DiffusionSampling(steps=1)
    assert sample(model, condition, seeds=[1], sampling=once, **options).shape == (1, *shape, 3)


@pytest.mark.parametrize(
    "options",
    [
        {"size": (64, 33), "mode": "exact"},
        {"size": (0, 64)},
        {"mode": "like input"},
        {"mode": "square"},
        {"seeds": []},
    ],
)
def test_what_cannot_be_drawn_is_refused(model, condition, options):
    with pytest.raises(PromptError):
        sample(model, condition, **({"seeds": [1]} | options))


def test_the_condition_of_another_model_is_refused(model, condition):
    with pytest.raises(PromptError, match="another|made by"):
        sample(model, replace(condition, made_by="another"), seeds=[1])


def test_prompts_that_cannot_be_read_are_refused(model, photo):
    with pytest.raises(PromptError, match="Shorten"):
        encode(model, "a fox " * 20000)
    with pytest.raises(PromptError, match="pictures"):
        encode(model, "a fox", photo.repeat(2, 1, 1, 1))
    with pytest.raises(PromptError, match="empty"):
        edit(model, photo, " ", seeds=[1])
    with pytest.raises(PromptError, match="infinite"):
        encode(model, "a fox", photo / 0)


def test_chinese_and_nothing_at_all_are_prompts(model):
    conditions = [encode(model, prompt).of_scale(None) for prompt in ("", "画一只猫", "画一只狗")]
    assert not torch.equal(conditions[1], conditions[2])
    assert conditions[0].isfinite().all()


def test_the_picture_counts(model, photo):
    with_photo = encode(model, "a fox", photo, pixels=PIXELS).of_scale(None)
    assert not torch.equal(with_photo, encode(model, "a fox").of_scale(None))
    darker = encode(model, "a fox", photo / 2, pixels=PIXELS).of_scale(None)
    assert not torch.equal(with_photo, darker)


def test_published_rounding_is_an_option(model):
    rounded = replace(model, rope_precision="reference")
    exact, other = (encode(m, "a fox").of_scale(None) for m in (model, rounded))
    assert not torch.equal(exact, other)


def test_numbers_that_are_none_are_reported(own):
    own.parts.diffusion_transformer.proj_out.weight.data.fill_(float("nan"))
    with pytest.raises(NumericsError, match="bf16 or fp32"):
        generate(own, "a fox", seeds=[1], **SMALL)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_draws_nearly_the_same(tiny, tmp_path, dtype):
    path = tiny.make_tiny(tmp_path)
    exact, half = (
        generate(load_model(path, dtype=d), "a fox", seeds=[1], **SMALL)
        for d in (torch.float32, dtype)
    )
    assert 0 < (exact - half).abs().mean() < 0.1
    kept = load_model(path, dtype=dtype).parts.language_model.embed_tokens.weight.dtype
    assert kept == (torch.float32 if dtype == torch.float16 else dtype)


# Progress and cancelling


def test_encoding_reports_every_layer(model, photo):
    watching = Watching()
    encode(model, "a fox", photo, pixels=PIXELS, progress=watching)
    layers = 2 + 2 + 1  # of the tower, the language model, the connector
    assert watching.reports == [(done, layers) for done in range(1, layers + 1)]


def test_one_call_reports_towards_one_total(model, photo):
    watching, encoding, sampling = Watching(), Watching(), Watching()
    generate(model, "a fox", photo, seeds=[1, 2], progress=watching, **SMALL)
    condition = encode(model, "a fox", photo, progress=encoding)
    sample(model, condition, seeds=[1, 2], progress=sampling, **SMALL)
    total = encoding.reports[-1][1] + sampling.reports[-1][1]
    assert watching.reports == [(done, total) for done in range(1, total + 1)]


@pytest.mark.parametrize("wrong", [{"size": (64, 33)}, {"mode": "like input"}, {"seeds": []}])
def test_what_cannot_be_drawn_is_refused_before_anything_is_read(model, wrong):
    watching, asked = Watching(), {"seeds": [1], "size": (64, 96), "mode": "exact"}
    with pytest.raises(PromptError):
        generate(model, "a fox", progress=watching, **{**asked, **wrong})
    assert not watching.reports


def test_sampling_reports_every_step_and_offers_previews(model, condition):
    watching = Watching(paints=True)
    sample(model, condition, seeds=[1, 2], progress=watching, **SMALL)
    totals = {total for _, total in watching.reports}
    assert len(totals) == 1
    assert [done for done, _ in watching.reports] == list(range(1, totals.pop() + 1))
    assert [places for places, _ in watching.previews] == [6, 6, 12, 12]
    first, last = watching.previews[0][1], watching.previews[-1][1]
    assert first.shape == last.shape == (2, 64, 96, 3)
    assert (first[1] == 0.5).all() and not (last[1] == 0.5).all()


def test_a_preview_foresees_the_picture_at_the_last_step(model, condition):
    watching = Watching(paints=True)
    picture = sample(model, condition, seeds=[1], progress=watching, **SMALL)
    torch.testing.assert_close(watching.previews[-1][1], picture, atol=1e-4, rtol=0)


def test_looking_changes_nothing(model, condition):
    plain = sample(model, condition, seeds=[1], **SMALL)
    watched = sample(model, condition, seeds=[1], progress=Watching(paints=True), **SMALL)
    assert torch.equal(plain, watched)


def test_everything_can_be_cancelled_between_any_two_layers(model, photo):
    asks = {
        "encode": lambda p: encode(model, "a fox", photo, pixels=PIXELS, progress=p),
        "sample": lambda p: sample(model, encode(model, "a"), seeds=[1], progress=p, **SMALL),
        "describe": lambda p: describe(
            model, "what?", sampling=TextSampling(max_tokens=3), progress=p
        ),
    }
    for ask in asks.values():
        whole = Watching()
        ask(whole)
        assert whole.chances >= len(whole.reports)
        for chance in range(1, whole.chances + 1):
            with pytest.raises(KeyboardInterrupt):
                ask(Watching(cancel_at=chance))


# Stages


def test_stages_say_what_they_read_before_they_begin(own, photo):
    allowed: set[str] = set()
    entered = []

    def enter(stage) -> None:
        allowed.clear()
        allowed.update(stage.first)
        entered.append(stage.first)
        assert stage.working > 0

    def guard(component: str):
        def check(module, arguments) -> None:
            assert component in allowed, f"{component} is read in a stage of {allowed}"

        return check

    for name, component in own.components.items():
        for module in component.modules():
            module.register_forward_pre_hook(guard(name))
    own.enter = enter
    generate(own, "a fox", photo, seeds=[1], **SMALL)
    describe(own, "what?", photo, pixels=PIXELS, sampling=TextSampling(max_tokens=2))
    assert entered == [
        ("vision",),
        ("language_model",),
        ("connector",),
        ("diffusion_transformer",),
        ("autoencoder",),
        ("vision",),
        ("language_model", "lm_head"),
    ]


# Answers


def uncached(model, question: str, image, count: int) -> list[int]:
    """Read everything anew for every token, and take the best one that is a word."""
    vision, ids = model.config.vision, []
    grid = seen = None
    if image is not None:
        patches = to_patches(image, vision.patch_size, vision.merge, vision.num_frames, PIXELS)
        grid, seen = (patches.rows // 2, patches.columns // 2), model.see(patches)
    prompt = conversation(model.tokenizer, question, grid)
    banned = [model.tokenizer.ids[mark] for mark in MEDIA]
    for _ in range(count):
        positions = [prompt.following(index) for index in range(len(ids))]
        longer = replace(prompt, ids=(*prompt.ids, *ids))
        whole = torch.cat((prompt.positions, *positions), dim=1)
        scores = model.parts.lm_head(model.read(model.embed(longer, seen), whole)[0, -1])
        scores[banned], scores[model.tokenizer.max_id + 1 :] = -torch.inf, -torch.inf
        ids.append(int(scores.argmax()))
        if ids[-1] in model.tokenizer.stops:
            break
    return ids


@pytest.mark.parametrize("has_picture", [False, True])
def test_a_cached_answer_equals_an_uncached_one(model, photo, has_picture):
    image = photo if has_picture else None
    cached = describe(
        model, "what is it?", image, pixels=PIXELS, sampling=TextSampling(max_tokens=8)
    )
    with torch.inference_mode():
        assert list(cached.ids) == uncached(model, "what is it?", image, 8)


def test_an_answer_ends_at_its_end_token_and_is_read_while_written(own):
    watching = Watching()
    stop = own.tokenizer.ids[TURN_END]
    head = own.parts.lm_head.weight.data
    first = describe(own, "what?", sampling=TextSampling(max_tokens=6), progress=watching)
    assert len(first.ids) == 6
    assert watching.texts[-1] == first.text
    assert watching.reports[-1][0] == watching.reports[-1][1]
    head[stop] = 50 * head[first.ids[2]]
    ended = describe(own, "what?", sampling=TextSampling(max_tokens=6), progress=watching)
    assert ended.ids[-1] == stop
    assert watching.reports[-1][0] == watching.reports[-1][1]
    assert "im_end" not in ended.text


def test_marks_of_pictures_are_never_written(own):
    head = own.parts.lm_head.weight.data
    first = describe(own, "what?", sampling=TextSampling(max_tokens=1)).ids[0]
    head[own.tokenizer.ids[IMAGE]] = 2 * head[first]
    head[own.tokenizer.max_id + 1 :] = 3 * head[first]
    assert describe(own, "what?", sampling=TextSampling(max_tokens=1)).ids[0] == first


def test_an_answer_is_drawn_by_seed(model):
    def answer(seed: int):
        return describe(
            model, "what?", sampling=TextSampling(max_tokens=6, temperature=1.0, seed=seed)
        ).ids

    assert answer(1) == answer(1)
    assert answer(1) != answer(2)


def test_earlier_turns_count(model):
    short = TextSampling(max_tokens=6)
    alone = describe(model, "and now?", sampling=short)
    after = describe(model, "and now?", history=[("what?", "a fox")], sampling=short)
    assert alone.ids != after.ids


def test_an_answer_longer_than_the_positions_is_refused(model):
    with pytest.raises(PromptError, match="to be written"):
        describe(model, "what?", sampling=TextSampling(max_tokens=40000))
