"""What travels between the nodes: batches, branches, missing outputs, memory, progress."""

import gc
import importlib
import weakref

import pytest
import torch

pytestmark = pytest.mark.runtime


def blocked(pack, value):
    return isinstance(value, pack.models.ExecutionBlocker) and value.message is None


def generate(pack, model, **inputs):
    return pack.run("Generate", model=model, **({"prompt": "a cat", "steps": 2} | inputs))


def test_a_picture_goes_through_encode_expand_and_decode(pack, model, photo, features):
    image = pack.run("PixelDecode", model=model, features=features)[0]
    size = model.engine.edit_size
    assert image.shape == (1, size, size, 3)
    assert image.dtype == torch.float32
    assert image.min() >= 0 and image.max() <= 1


def test_every_picture_of_a_batch_is_an_entry_and_equals_the_one_drawn_alone(pack, model):
    contexts, features, latents, texts = generate(pack, model, images=3, seed=5).args
    assert len(contexts) == len(features) == len(latents) == len(texts) == 3
    alone = generate(pack, model, images=1, seed=7)
    assert torch.allclose(alone[1][0].values, features[2].values, atol=1e-4)
    assert alone[0][0].turns[-1].seed == contexts[2].turns[-1].seed == 7


def test_a_prompt_per_line_draws_all_lines_in_order(pack, model):
    opening = pack.core.GENERATE_PREFIX
    text = opening + "a cat\n\n# a dog\n  a large bird  "
    together = generate(pack, model, prompt=text, prompt_per_line=True, images=2, seed=5)
    contexts, features = together[0], together[1]
    asked = [context.turns[-1].prompt_text for context in contexts]
    assert asked == [opening + "a cat"] * 2 + [opening + "a large bird"] * 2
    assert [context.turns[-1].seed for context in contexts] == [5, 6, 7, 8]
    alone = generate(pack, model, prompt=opening + "a large bird", seed=8)
    assert torch.allclose(alone[1][0].values, features[3].values, atol=2e-2)
    for typed in (f"# {opening}a cow\n{opening}a cat\na dog", f"{opening}a cat\n{opening}a dog"):
        asked = importlib.import_module(f"{pack.module.__name__}.nodes.generate").prompts_of(
            typed, 1
        )
        assert asked == [opening + "a cat", opening + "a dog"]
    plain = generate(pack, model, prompt="a cat\na dog", prompt_per_line=True)[0]
    assert [context.turns[-1].prompt_text for context in plain] == ["a cat", "a dog"]
    whole = generate(pack, model, prompt="a cat\na dog")[0]
    assert [context.turns[-1].prompt_text for context in whole] == ["a cat\na dog"]


def test_too_many_lines_and_none_are_refused_before_anything_is_drawn(pack, model):
    many = "\n".join(f"a cat {number}" for number in range(33))
    with pytest.raises(Exception, match="33 prompts with 2 images each are 66 pictures.*64"):
        generate(pack, model, prompt=many, images=2, prompt_per_line=True)
    with pytest.raises(Exception, match="no line to draw"):
        generate(pack, model, prompt="# only a note", prompt_per_line=True)


def test_the_seed_behind_the_last_one_is_zero(pack, model):
    contexts = generate(pack, model, images=2, seed=2**64 - 1)[0]
    assert [context.turns[-1].seed for context in contexts] == [2**64 - 1, 0]


def test_two_edits_branch_from_one_context_and_leave_it_as_it_was(pack, model, context):
    before = [(s.keys.clone(), s.values.clone()) for s in context.segments]
    for instruction in ("red", "green"):
        result = pack.run(
            "EditStep", model=model, instruction=instruction, steps=2, context=context
        )[0]
        assert result.turns[:-1] == context.turns
        assert all(a is b for a, b in zip(result.segments, context.segments, strict=False))
    for (keys, values), segment in zip(before, context.segments, strict=True):
        assert torch.equal(keys, segment.keys) and torch.equal(values, segment.values)


def test_the_region_output_is_quiet_unless_asked_for(pack, model, context):
    inputs = {"model": model, "instruction": "red", "steps": 2, "context": context}
    assert blocked(pack, pack.run("EditStep", **inputs)[2])
    region = pack.run("EditStep", **inputs, show_region_first=True)[2]
    assert region.values.shape == context.turns[-1].reply[-1].features.values.shape


def test_outputs_the_model_did_not_fill_are_quiet(pack, model):
    contexts, features, latents, texts = generate(
        pack, model, reply="model decides", max_tokens=2
    ).args
    assert len(contexts) == 1 and isinstance(texts[0], str)
    assert blocked(pack, features[0]) and blocked(pack, latents[0])


def test_an_edit_needs_a_context_or_a_picture(pack, model):
    with pytest.raises(pack.core.MingError, match="(?i)context|picture"):
        pack.run("EditStep", model=model, instruction="red")


def test_a_context_of_another_model_is_refused(pack, folders, checkpoint, context):
    from ming_bench.tiny_checkpoint.make import make_tiny

    make_tiny(folders / "models" / "ming_univision" / "third", seed=3)
    other = pack.run("LoadModel", checkpoint="third/Ming-UniVision")[0]
    with pytest.raises(pack.core.ContextError):
        generate(pack, other, context=context)


def test_progress_is_told_per_visual_token_and_cancel_comes_through(pack, model, monkeypatch):
    import comfy.model_management as mm
    import comfy.utils

    told = []

    def hook(value, total, preview, node_id=None):
        told.append((value, total))
        if value == 4:
            mm.interrupt_current_processing()

    monkeypatch.setattr(comfy.utils, "PROGRESS_THROTTLE_MIN_INTERVAL", 0)
    monkeypatch.setattr(comfy.utils, "PROGRESS_THROTTLE_MIN_PERCENT", 0)
    monkeypatch.setattr(comfy.utils, "PROGRESS_BAR_HOOK", hook)
    with pytest.raises(mm.InterruptProcessingException):
        generate(pack, model)
    assert told[-1][0] == 4, "it went on after the cancel"
    del told[:]
    monkeypatch.setattr(
        comfy.utils, "PROGRESS_BAR_HOOK", lambda v, t, p, node_id=None: told.append((v, t))
    )
    generate(pack, model)
    total = model.engine.config.language.num_image_tokens
    assert told == [(done, total) for done in range(1, total + 1)]


def test_a_model_nobody_holds_is_freed_without_the_garbage_collector(pack, checkpoint):
    import comfy.model_management as mm

    loaded = pack.run("LoadModel", checkpoint=checkpoint, precision="int8")[0]
    generate(pack, loaded)
    part = weakref.ref(loaded.engine.components["language_model"])
    mm.current_loaded_models.clear()  # what /free does; this runtime holds patchers strongly
    gc.disable()
    try:
        del loaded
        assert part() is None, "something holds the model, or it holds itself in a cycle"
    finally:
        gc.enable()


def test_the_host_learns_how_much_memory_a_model_and_a_context_hold(model, context):
    parameters = (p for part in model.engine.components.values() for p in part.parameters())
    assert model.get_ram_usage() == sum(p.nbytes for p in parameters)
    assert context.get_ram_usage() > 0
