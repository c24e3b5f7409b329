"""The nodes of Ming-Lite-Uni: halves and wholes agree, values are shared, widgets do something."""

import pytest
import torch

pytestmark = pytest.mark.runtime

FEW = {"steps": 3, "seed": 7}
SIZE = {"size_mode": "exact", "width": 96, "height": 64}


def same(a, b):
    return torch.equal(a[0], b[0])


@pytest.fixture(scope="module")
def condition(pack, lite):
    return pack.run("MingLiteUni_EncodePrompt", model=lite, prompt="a cat")[0]


@pytest.fixture(scope="module")
def seen(pack, lite, photo):
    return pack.run("MingLiteUni_EncodePrompt", model=lite, prompt="a hat", image=photo)[0]


def test_encoding_and_sampling_are_what_one_node_does(pack, lite, photo, condition, seen):
    halves = pack.run("MingLiteUni_Sample", model=lite, condition=condition, **FEW, **SIZE)
    whole = pack.run("MingLiteUni_Generate", model=lite, prompt="a cat", **FEW, **SIZE)
    assert whole[0].shape == (1, 64, 96, 3) and same(halves, whole)
    like = {"size_mode": "like input"}
    halves = pack.run("MingLiteUni_Sample", model=lite, condition=seen, **FEW, **like)
    whole = pack.run("MingLiteUni_Edit", model=lite, image=photo, instruction="a hat", **FEW)
    assert same(halves, whole) and whole[0].shape[1] < whole[0].shape[2], "as wide as the photo"


def test_every_widget_of_the_whole_nodes_reaches_the_halves(pack, lite, photo, condition, seen):
    asked = {**FEW, **SIZE, "images": 2, "guidance": 2.0, "shift": 1.5}
    for encoded, node, given in (
        (condition, "MingLiteUni_Generate", {"prompt": "a cat"}),
        (seen, "MingLiteUni_Edit", {"image": photo, "instruction": "a hat"}),
    ):
        halves = pack.run("MingLiteUni_Sample", model=lite, condition=encoded, **asked)
        whole = pack.run(node, model=lite, **given, **asked)
        assert whole[0].shape == (2, 64, 96, 3) and same(halves, whole)


def test_every_picture_of_a_batch_is_the_one_drawn_alone_and_seeds_wrap(pack, lite, condition):
    def draw(**inputs):
        return pack.run(
            "MingLiteUni_Sample", model=lite, condition=condition, **(FEW | SIZE | inputs)
        )[0]

    last = 2**64 - 1
    both = draw(seed=last, images=2)
    assert torch.equal(both[:1], draw(seed=last)) and torch.equal(both[1:], draw(seed=0))


CHANGES = {
    "seed": 8,
    "images": 2,
    "steps": 4,
    "guidance": 2.0,
    "shift": 1.0,
    "size_mode": "binned",
    "width": 128,
    "height": 96,
}


@pytest.mark.parametrize("widget", CHANGES)
def test_a_widget_changes_the_picture(pack, lite, condition, widget):
    def draw(**inputs):
        base = {"model": lite, "condition": condition, **FEW, **SIZE}
        return pack.run("MingLiteUni_Sample", **(base | inputs))[0]

    before, after = draw(), draw(**{widget: CHANGES[widget]})
    assert before.shape != after.shape or not torch.equal(before, after)


def test_the_table_above_names_every_widget_of_the_drawing_nodes(pack):
    for name in ("Sample", "Generate", "Edit"):
        inputs = pack.nodes[f"MingLiteUni_{name}"].GET_SCHEMA().inputs
        widgets = {i.id for i in inputs if hasattr(i, "default")} - {"prompt", "instruction"}
        assert widgets == set(CHANGES)


def test_words_and_pictures_change_the_condition(pack, lite, photo, condition, seen):
    other = pack.run("MingLiteUni_EncodePrompt", model=lite, prompt="a dog")[0]
    unseen = pack.run("MingLiteUni_EncodePrompt", model=lite, prompt="a hat")[0]
    assert not torch.equal(condition.of_scale(None), other.of_scale(None))
    assert not torch.equal(seen.of_scale(None), unseen.of_scale(None))
    assert condition.get_ram_usage() == sum(t.nbytes for t in condition._comfy_cache_tensors()) > 0


def test_rotary_precision_is_another_model_on_the_same_weights(pack, lite, condition):
    rounded = pack.run("MingLiteUni_RopePrecision", model=lite, rope_precision="reference")[0]
    assert rounded.patchers is lite.patchers and lite.engine.rope_precision == "fp32"
    other = pack.run("MingLiteUni_EncodePrompt", model=rounded, prompt="a cat")[0]
    assert not torch.equal(condition.of_scale(None), other.of_scale(None))
    pack.run("MingLiteUni_Sample", model=lite, condition=other, **FEW, **SIZE)


def test_a_dialogue_goes_on_from_its_words_and_its_picture(pack, lite, photo):
    asked = {"model": lite, "max_tokens": 6}
    text, context, dialogue = pack.run("Describe", question="What?", image=photo, **asked).args
    assert isinstance(context, pack.models.ExecutionBlocker)
    assert dialogue.exchanges == (("What?", text),) and dialogue.image is photo
    second = pack.run("Describe", question="Why?", dialogue=dialogue, **asked)[2]
    assert [question for question, _ in second.exchanges] == ["What?", "Why?"]
    assert dialogue.exchanges == (("What?", text),), "what was given stays as it was"
    alone = pack.run("Describe", question="Why?", image=photo, **asked)[0]
    assert second.exchanges[1][1] != alone, "the first exchange is read"
    with pytest.raises(pack.core.PromptError, match="comes with the first question"):
        pack.run("Describe", question="Why?", image=photo, dialogue=dialogue, **asked)


def test_a_node_says_which_family_it_got_and_what_to_do(pack, model, lite, photo, context):
    refused = pack.core.AbilityError
    with pytest.raises(refused, match="is Ming-Lite-Uni.*a latent context.*load Ming-UniVision"):
        pack.run("Generate", model=lite)
    with pytest.raises(refused, match="is Ming-UniVision.*a condition.*AR Generate"):
        pack.run("MingLiteUni_EncodePrompt", model=model)
    with pytest.raises(refused, match="context came in.*is Ming-Lite-Uni.*dialogue"):
        pack.run("Describe", model=lite, context=context)
    with pytest.raises(refused, match="image came in.*is Ming-UniVision.*features"):
        pack.run("Describe", model=model, image=photo)
    for choice in ({"memory": "last turn"}, {"aside": True}):
        with pytest.raises(refused, match="set memory to all, and switch aside off"):
            pack.run("Describe", model=lite, image=photo, **choice)


def test_bad_sizes_batches_and_empty_words_are_refused(pack, lite, photo, condition):
    for inputs, reason in (
        ({"size_mode": "exact", "width": 100}, "multiples of 32"),
        ({"size_mode": "like input"}, "no picture to take the size from"),
    ):
        with pytest.raises(pack.core.PromptError, match=reason):
            pack.run("MingLiteUni_Sample", model=lite, condition=condition, **FEW, **inputs)
    two = torch.cat((photo, photo))
    with pytest.raises(pack.core.PromptError, match="2 pictures.*one"):
        pack.run("MingLiteUni_Edit", model=lite, image=two, instruction="red")
    with pytest.raises(pack.core.PromptError, match="instruction is empty"):
        pack.run("MingLiteUni_Edit", model=lite, image=photo, instruction=" ")
    for node in ("EncodePrompt", "Generate"):
        with pytest.raises(pack.core.PromptError, match="prompt is empty"):
            pack.run(f"MingLiteUni_{node}", model=lite, prompt=" \n")
    with pytest.raises(pack.core.PromptError, match="prompt is empty"):
        pack.run("Describe", model=lite, question=" ")
    shown = pack.run("MingLiteUni_EncodePrompt", model=lite, prompt="", image=photo)[0]
    assert shown.made_by == condition.made_by, "a picture says something"


def test_a_condition_of_another_model_is_refused(pack, folders, lite, condition):
    from tiny import make_tiny  # its folder is put on the path by conftest.py

    make_tiny(folders / "models" / "ming_univision" / "lite_2", seed=2)
    other = pack.run("LoadModel", checkpoint="lite_2", precision="fp32")[0]
    with pytest.raises(pack.core.PromptError, match="Encode the prompt with this one"):
        pack.run("MingLiteUni_Sample", model=other, condition=condition)


@pytest.mark.parametrize("precision", ["bf16", "int8", "int4"])
def test_other_precisions_load_and_draw(pack, lite_checkpoint, precision):
    model = pack.run("LoadModel", checkpoint=lite_checkpoint, precision=precision)[0]
    image = pack.run("MingLiteUni_Generate", model=model, prompt="a cat", **FEW, **SIZE)[0]
    assert image.isfinite().all() and image.std() > 0


def test_stages_are_brought_in_one_after_the_other(pack, lite, photo, monkeypatch):
    import comfy.model_management as mm

    brought, real = [], mm.load_models_gpu
    monkeypatch.setattr(
        mm, "load_models_gpu", lambda m, **k: brought.append([p.model for p in m]) or real(m, **k)
    )
    pack.run("MingLiteUni_Edit", model=lite, image=photo, instruction="red", **FEW)
    names = {id(part): name for name, part in lite.engine.components.items()}
    order = [[names[id(part)] for part in parts] for parts in brought]
    stages = ["vision", "language_model", "connector", "diffusion_transformer", "autoencoder"]
    assert order == [[name] for name in stages]


def test_previews_show_every_step_and_change_nothing(pack, lite, condition, monkeypatch):
    import importlib

    import comfy.utils
    from comfy.cli_args import LatentPreviewMethod, args

    told = []
    budget = importlib.import_module(f"{pack.module.__name__}.nodes.host.preview_budget")
    monkeypatch.setattr(budget, "SHARE", 1e9)
    monkeypatch.setattr(comfy.utils, "PROGRESS_THROTTLE_MIN_INTERVAL", 0)
    monkeypatch.setattr(comfy.utils, "PROGRESS_THROTTLE_MIN_PERCENT", 0)
    monkeypatch.setattr(
        comfy.utils, "PROGRESS_BAR_HOOK", lambda v, t, p, node_id=None: told.append((v, t, p))
    )
    call = {"model": lite, "condition": condition, "images": 2, **FEW, **SIZE}
    plain = pack.run("MingLiteUni_Sample", **call)
    assert told and all(preview is None for *_, preview in told)
    assert [done for done, _, _ in told] == list(range(1, told[-1][1] + 1))
    told.clear()
    monkeypatch.setattr(args, "preview_method", LatentPreviewMethod.Auto)
    watched = pack.run("MingLiteUni_Sample", **call)
    shown = [preview for *_, preview in told if preview is not None]
    assert len(shown) == 2 * FEW["steps"], "each step of each picture"
    assert same(plain, watched)


def test_saved_pictures_name_the_family(pack, folders, lite):
    import json

    from comfy_api.latest import io
    from PIL import Image

    hidden = {io.Hidden.prompt: {}, io.Hidden.extra_pnginfo: None}
    node = pack.nodes["SaveImage"].PREPARE_CLASS_CLONE({"hidden_inputs": hidden})
    call = {"images": torch.rand(1, 4, 4, 3), "filename_prefix": "lite/x"}
    (entry,) = node.EXECUTE_NORMALIZED(**call, model=lite).ui["images"]
    with Image.open(folders / "output" / entry["subfolder"] / entry["filename"]) as picture:
        record = json.loads(picture.text["ming_univision"])
    assert (record["family"], record["model"]) == ("Ming-Lite-Uni", lite.engine.identity)
    with pytest.raises(pack.core.PromptError, match="neither a context nor a model"):
        node.EXECUTE_NORMALIZED(**call)


def test_each_auto_takes_a_checkpoint_of_its_family(pack, lite_checkpoint, checkpoint):
    found = pack.files.checkpoints()
    assert found.resolve("auto: Ming-Lite-Uni").name.startswith("lite")
    assert (found.resolve("auto") / "config.json").is_file(), "the main folder of Ming-UniVision"
    assert {"auto", "auto: Ming-Lite-Uni", lite_checkpoint} <= set(found.choices())
