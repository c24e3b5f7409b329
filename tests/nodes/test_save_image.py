"""Saved pictures say how they came about, unless the host is told to write no metadata."""

import json

import numpy
import pytest
import torch
from PIL import Image

pytestmark = pytest.mark.runtime


def saved(pack, folders, prompt=None, **inputs):
    """Run the node as the host does and open what it wrote."""
    from comfy_api.latest import io

    hidden = {io.Hidden.prompt: prompt, io.Hidden.extra_pnginfo: {"workflow": {"id": "w"}}}
    clone = pack.nodes["SaveImage"].PREPARE_CLASS_CLONE({"hidden_inputs": hidden})
    result = clone.EXECUTE_NORMALIZED(**({"filename_prefix": "with/picture"} | inputs))
    entries = result.ui["images"]
    return [Image.open(folders / "output" / e["subfolder"] / e["filename"]) for e in entries]


def test_the_record_names_model_precision_seeds_turns_and_settings(pack, folders, model, context):
    images = torch.rand(2, 8, 12, 3)
    first, second = saved(pack, folders, {"1": {}}, images=images, context=context, model=model)
    assert first.text["prompt"] == '{"1": {}}'
    assert json.loads(first.text["workflow"]) == {"id": "w"}
    assert first.text["ming_univision"] == second.text["ming_univision"]
    record = json.loads(first.text["ming_univision"])
    assert record["model"] == model.engine.identity
    assert record["precision"] == "float32"
    (turn,) = record["turns"]
    assert turn["asked"][-1] == {"text": "a blue cat"}
    assert turn["seed"] == "0"
    assert turn["settings"]["steps"] == 2 and turn["settings"]["solver"] == "euler"
    assert turn["prompt_tokens"] == context.turns[0].num_prompt_tokens
    pixels = numpy.asarray(second, dtype=float) / 255
    assert numpy.abs(pixels - images[1].numpy()).max() <= 1 / 255


def test_names_are_counted_on_and_nothing_unfinished_stays(pack, folders, context):
    pictures = [
        saved(pack, folders, images=torch.rand(2, 4, 4, 3), context=context, filename_prefix="n/x")
        for _ in range(2)
    ]
    names = [picture.filename.rpartition("/")[2] for call in pictures for picture in call]
    assert names == [f"x_0000{number}_.png" for number in (1, 2, 3, 4)]
    assert len(list((folders / "output" / "n").iterdir())) == 4


def test_without_the_model_the_precision_is_that_of_the_memory(pack, folders, context):
    (picture,) = saved(pack, folders, images=torch.rand(1, 4, 4, 3), context=context)
    assert json.loads(picture.text["ming_univision"])["precision"] == "float32"


def test_8_bit_weights_are_named(pack, folders, checkpoint, context):
    model = pack.run("LoadModel", checkpoint=checkpoint, precision="int8")[0]
    (picture,) = saved(pack, folders, images=torch.rand(1, 4, 4, 3), context=context, model=model)
    assert json.loads(picture.text["ming_univision"])["precision"] == "int8"


def test_no_metadata_means_none(pack, folders, context, monkeypatch):
    import comfy.cli_args

    monkeypatch.setattr(comfy.cli_args.args, "disable_metadata", True, raising=False)
    (picture,) = saved(pack, folders, {"1": {}}, images=torch.rand(1, 4, 4, 3), context=context)
    assert picture.text == {}


def test_a_prefix_that_leaves_the_output_folder_is_refused(pack, folders, context):
    with pytest.raises(Exception, match="outside the output folder"):
        saved(pack, folders, images=torch.rand(1, 4, 4, 3), context=context, filename_prefix="../x")
