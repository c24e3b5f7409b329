"""Precision: 16 bit end to end, with fp32 where it is needed; nothing is kept on the model."""

from pathlib import Path

import pytest
import torch

from ming_core import (
    ImageSampling,
    MingModel,
    Reply,
    TextSampling,
    decode_pixels,
    describe,
    edit,
    encode_image,
    expand,
    generate,
    load_model,
)

DTYPES = (torch.bfloat16, torch.float16)
COMPONENTS = {"low_level_encoder", "semantic_decoder", "pixel_decoder", "language_model"}


@pytest.fixture(scope="module", params=DTYPES, ids=["bf16", "fp16"])
def half(request: pytest.FixtureRequest, tiny: Path) -> MingModel:
    return load_model(tiny, dtype=request.param)


def test_16_bit_runs_end_to_end_and_stays_finite(half: MingModel, photo, quick):
    features = expand(half, encode_image(half, photo, "edit"))
    region = edit(half, "bluer", seed=1, sampling=quick, features=features, show_region_first=True)
    answer = describe(half, "what?", sampling=TextSampling(max_tokens=8), context=region.context)
    image = decode_pixels(half, region.features)
    for segment in answer.context.segments:
        assert segment.keys.dtype == segment.values.dtype == half.dtype
        assert torch.isfinite(segment.keys.float()).all()
        assert torch.isfinite(segment.values.float()).all()
    assert (region.features.values.dtype, image.dtype) == (half.dtype, torch.float32)
    assert torch.isfinite(image).all()
    assert float(image.std()) > 0.01


def test_latents_are_fp32_everywhere(half: MingModel, photo, quick):
    assert encode_image(half, photo, "edit").values.dtype == torch.float32
    assert (
        generate(half, "a star", seeds=[1], sampling=quick)[0].latents.values.dtype == torch.float32
    )


def test_what_must_be_fp32_is(half: MingModel, watch, monkeypatch, quick, photo):
    """Watched in a run: pixel decoder, routing, rotary angles, flow state and velocities."""
    language = half.parts.language_model
    velocity, painted = watch(language.velocity), watch(half.parts.pixel_decoder.blocks[0])
    seen: dict[str, set[torch.dtype]] = {"softmax": set(), "cos": set(), "sin": set()}
    for name in seen:
        original = getattr(torch.Tensor, name)

        def noted(self: torch.Tensor, *rest, name: str = name, original=original, **options):
            seen[name].add(self.dtype)
            return original(self, *rest, **options)

        monkeypatch.setattr(torch.Tensor, name, noted)
    drawn = generate(half, "a star", seeds=[1], sampling=quick)[0]
    decode_pixels(half, drawn.features)
    assert all(dtypes == {torch.float32} for dtypes in seen.values()), seen
    for calls in (velocity, painted):
        assert {inputs[0].dtype for inputs, _ in calls} == {torch.float32}
        assert {output.dtype for _, output in calls} == {torch.float32}
    logits = language.transformer.logits(torch.zeros(1, 64, dtype=half.dtype))
    assert logits.dtype == torch.float32


def test_norm_statistics_are_fp32(half: MingModel):
    """Squares of a thousand overflow fp16, and bf16 cannot average them."""
    x = (torch.randn(4, 64, generator=torch.Generator().manual_seed(0)) * 1000).to(half.dtype)
    rms = half.parts.language_model.transformer.norm
    layer = half.parts.language_model.condition_head.norm
    exact = x.double() / (x.double().pow(2).mean(-1, keepdim=True) + 1e-5).sqrt()
    expected = {
        rms: exact * rms.weight.double(),
        layer: torch.nn.functional.layer_norm(
            x.double(), (64,), layer.weight.double(), layer.bias.double(), eps=1e-6
        ),
    }
    ulp = 2.0**-8 if half.dtype == torch.bfloat16 else 2.0**-11
    for norm, exact in expected.items():
        error = (norm(x).double() - exact).abs() / (exact.abs() + 0.05)
        assert float(error.max()) < 2.5 * ulp


def test_first_latents_are_near_those_in_fp32(half: MingModel, model: MingModel, quick):
    ours = generate(half, "a star", seeds=[1], sampling=quick)[0].latents.values[:, 0]
    exact = generate(model, "a star", seeds=[1], sampling=quick)[0].latents.values[:, 0]
    limit = 0.05 if half.dtype == torch.bfloat16 else 0.01
    assert float((ours - exact).norm() / exact.norm()) < limit


def test_given_pictures_are_near_those_in_fp32(half: MingModel, model: MingModel, photo):
    for use in ("edit", "understand"):
        ours, exact = (expand(m, encode_image(m, photo, use)).values.float() for m in (half, model))
        assert float((ours - exact).norm() / exact.norm()) < 0.05


def test_16_bit_repeats_bit_for_bit(half: MingModel, quick, digest):
    first = generate(half, "a star", seeds=[1], sampling=quick)[0].context
    generate(half, "a moon", seeds=[2, 3], sampling=quick)
    assert digest(generate(half, "a star", seeds=[1], sampling=quick)[0].context) == digest(first)


def test_a_context_moves_between_precisions(half: MingModel, model: MingModel, drawn: Reply, quick):
    assert half.identity == model.identity
    edited = edit(half, "bluer", seed=1, sampling=quick, context=drawn.context)
    assert torch.isfinite(edited.features.values.float()).all()
    # The shared segments are as they were; only the new ones have the new precision.
    assert [s.keys.dtype for s in edited.context.segments] == [torch.float32] * 2 + [half.dtype] * 2


def test_components_are_the_four_a_host_moves(model: MingModel):
    assert set(model.components) == COMPONENTS
    assert model.device == torch.device("cpu")
    assert (model.edit_size, model.understand_size) == (96, 192)


def test_nothing_of_a_conversation_stays_on_the_model(
    model: MingModel, weights_digest, photo, quick
):
    before, attributes = weights_digest(model), repr(sorted(model.components))
    features = expand(model, encode_image(model, photo, "understand"))
    drawn = generate(model, "a star", seeds=[1], sampling=quick, features=features)[0]
    describe(model, "what?", sampling=TextSampling(max_tokens=3), context=drawn.context)
    decode_pixels(model, drawn.features)
    assert (weights_digest(model), repr(sorted(model.components))) == (before, attributes)


def test_published_settings_run_in_full(half: MingModel):
    reply = generate(half, "a star", seeds=[1], sampling=ImageSampling(solver="ab2", renorm=True))[
        0
    ]
    assert torch.isfinite(reply.latents.values).all()
    # Renormed velocities are no longer than the full branch's, so that latents stay in scale.
    assert float(reply.latents.values.std()) < 3
