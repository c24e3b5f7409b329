"""Every widget changes what comes out: no knob does nothing."""

import importlib
import itertools
from pathlib import Path

import pytest
import torch

pytestmark = pytest.mark.runtime

SAMPLING = {
    "seed": {"seed": 8},
    "steps": {"steps": 5},
    "solver": {"solver": "ab2"},
    "text_guidance": {"text_guidance": 1.5},
    "image_guidance": {"image_guidance": 2.0},
    "temperature": {"temperature": 0.5},
    "schedule": {"schedule": "calibrated"},
    "time_shift": {"time_shift": 0.5},
}
# node -> widget -> the inputs that show its effect against the node's base inputs
CHANGES = {
    "Generate": {
        **SAMPLING,
        "prompt": {"prompt": "a dog"},
        "images": {"images": 2},
        "prompt_per_line": {"prompt_per_line": True},
        "reply": {"reply": "model decides", "max_tokens": 3},
        "max_tokens": {"reply": "model decides", "max_tokens": 6},
        "memory": {"memory": "picture only"},
    },
    "EditStep": {
        **SAMPLING,
        "instruction": {"instruction": "a dog"},
        "show_region_first": {"show_region_first": True},
        "memory": {"memory": "picture only"},
    },
    "Describe": {
        "question": {"question": "Why?"},
        "max_tokens": {"max_tokens": 5},
        "temperature": {"temperature": 1.0},
        "top_p": {"temperature": 1.0, "top_p": 0.05},
        "top_k": {"temperature": 1.0, "top_k": 2},
        "seed": {"temperature": 1.0, "seed": 8},
        "memory": {"memory": "picture only"},
        "aside": {"aside": True},
        "min_p": {"temperature": 1.0, "min_p": 0.9},
        "repetition_penalty": {"max_tokens": 60, "repetition_penalty": 3.0},
    },
}
BASE = {
    "Generate": {"prompt": "a cat\na dog", "seed": 7, "steps": 3},
    "EditStep": {"instruction": "a cat", "seed": 7, "steps": 3},
    "Describe": {"question": "What?", "max_tokens": 12, "seed": 7},
}
CASES = [(node, widget) for node, changes in CHANGES.items() for widget in changes]


@pytest.fixture(scope="module")
def outcome(pack, model, context, features):
    """Run a node on the same conversation, once per set of inputs; return its outputs."""
    known = {}
    flow = importlib.import_module(f"{pack.core.__name__}.univision.flow.schedule")
    found = {3: flow.Calibrated((0.0, 0.2, 0.7, 1.0), 0.1)}
    model.engine.schedules = flow.Schedules(model.engine.identity, 16, None, found)

    def run(node, **changed):
        key = (node, tuple(sorted(changed.items())))
        if key not in known:
            given = {"context": context, "features": features if node == "Describe" else None}
            inputs = BASE[node] | changed
            known[key] = comparable(pack.run(node, model=model, **given, **inputs).args)
        return known[key]

    yield run
    model.engine.schedules = None


@pytest.mark.parametrize(("node", "widget"), CASES)
def test_a_widget_changes_the_output(outcome, node, widget):
    changed = CHANGES[node][widget]
    # A widget that works only beside another is compared with that other one alone.
    beside = {key: value for key, value in changed.items() if key != widget}
    if widget == "max_tokens" and node == "Generate":
        beside = CHANGES["Generate"]["reply"]
    assert outcome(node, **changed) != outcome(node, **beside)


@pytest.mark.parametrize("node", ["Generate", "EditStep"])
def test_a_turn_records_what_every_widget_of_sampling_asked_for(pack, model, context, node):
    asked = {"steps": 2, "solver": "ab2", "text_guidance": 1.5, "image_guidance": 2.0}
    asked |= {"temperature": 0.5, "time_shift": 0.7}
    made = pack.run(node, model=model, context=context, **(BASE[node] | asked)).args[0]
    turn = (made[0] if isinstance(made, list) else made).turns[-1]
    assert turn.image_sampling == pack.core.ImageSampling(**asked)


def test_the_table_above_names_every_widget(pack):
    for node, changes in CHANGES.items():
        widgets = [i.id for i in pack.nodes[node].GET_SCHEMA().inputs if hasattr(i, "default")]
        assert set(widgets) == set(changes)


def test_the_same_inputs_give_the_same_output(pack, model, context):
    inputs = {"model": model, "context": context, **BASE["EditStep"]}
    first, second = (comparable(pack.run("EditStep", **inputs).args) for _ in range(2))
    assert first == second


def test_use_decides_the_size_an_image_is_encoded_at(pack, model, photo):
    edit = pack.run("EncodeImage", model=model, image=photo, use="edit")[0]
    understand = pack.run("EncodeImage", model=model, image=photo, use="understand")[0]
    assert understand.grid == tuple(2 * side for side in edit.grid)


def test_fit_decides_what_of_a_wide_picture_is_encoded(pack, model, photo):
    latents = {
        fit: pack.run("EncodeImage", model=model, image=photo, use="edit", fit=fit)[0]
        for fit in ("as published", "crop", "pad", "squash")
    }
    seen = {fit: tuple(comparable(each.values)) for fit, each in latents.items()}
    assert seen["as published"] == seen["crop"]
    assert len({seen[fit] for fit in ("crop", "pad", "squash")}) == 3
    understood = {"model": model, "image": photo, "use": "understand"}
    published, squash = (
        pack.run("EncodeImage", **understood, **fit)[0] for fit in ({}, {"fit": "squash"})
    )
    assert comparable(published) == comparable(squash)


def test_size_decides_in_which_shape_a_picture_comes_back(pack, model, photo, context):
    padded = pack.run("EncodeImage", model=model, image=photo, use="edit", fit="pad")[0]
    seen = pack.run("SemanticExpand", model=model, latents=padded)[0]
    edited = pack.run("EditStep", model=model, instruction="red", steps=2, features=seen)[1]
    for features in (seen, edited):
        sizes = [
            pack.run("PixelDecode", model=model, features=features, **how)[0].shape
            for how in ({}, {"size": "as drawn"}, {"size": "as given"})
        ]
        assert sizes == [(1, 96, 96, 3), (1, 96, 96, 3), photo.shape]


def test_a_mask_decides_what_may_change(pack, model, photo, features):
    mask = torch.zeros(1, *photo.shape[1:3])
    mask[:, 90:] = 1.0  # the lowest quarter
    inputs = {"model": model, "instruction": "red", "steps": 2, "features": features}
    free, masked = (pack.run("EditStep", **inputs, **how)[1].values for how in ({}, {"mask": mask}))
    own = pack.run("PixelDecode", model=model, features=features)[0]
    again = pack.run("EncodeImage", model=model, image=own, use="edit")[0]
    kept = pack.run("SemanticExpand", model=model, latents=again)[0].values
    same = [(each - kept).abs().amax(dim=-1)[0] < 1e-4 for each in (free, masked)]
    assert not same[0].any()
    assert same[1][:24].all() and not same[1][24:].any()


def test_an_edit_shows_where_its_mask_lies(pack, model, photo, features):
    mask = torch.ones(1, *photo.shape[1:3])
    inputs = {"model": model, "instruction": "red", "steps": 2, "features": features, "mask": mask}
    for first in (False, True):
        context, _, region, _ = pack.run("EditStep", **inputs, show_region_first=first).args
        assert len(context.turns) == 2
        assert comparable(context.turns[0].pictures[0].features) == comparable(region)


def test_precision_decides_the_format_of_the_weights(pack, checkpoint):
    for precision, dtype in (("bf16", torch.bfloat16), ("fp16", torch.float16)):
        loaded = pack.run("LoadModel", checkpoint=checkpoint, precision=precision)[0]
        assert loaded.engine.dtype == dtype
    assert pack.run("LoadModel", checkpoint=checkpoint)[0].engine.dtype == torch.float32


def test_checkpoint_decides_which_model_is_loaded(pack, folders, checkpoint, model):
    from ming_bench.tiny_checkpoint.make import make_tiny

    other = folders / "models" / "ming_univision" / "other"
    make_tiny(other, seed=1)
    loaded = pack.run("LoadModel", checkpoint="other/Ming-UniVision")[0]
    assert loaded.engine.identity != model.engine.identity


def test_filename_prefix_decides_where_a_context_is_saved(pack, folders, context):
    file = pack.run("SaveContext", context=context, filename_prefix="a/b")[0]
    assert file == "a/b_00001_.mingctx.safetensors [output]"
    assert (folders / "output" / file.removesuffix(" [output]")).is_file()


def comparable(value):
    """Turn an output into something that compares by content."""
    if isinstance(value, torch.Tensor):
        return value.float().flatten().tolist()
    if isinstance(value, (list, tuple)):
        return tuple(comparable(item) for item in value)
    if hasattr(value, "segments"):
        return value.num_tokens
    if hasattr(value, "grid"):
        return comparable(value.values)
    if value is None or isinstance(value, (str, int, float, Path)):
        return value
    return type(value).__name__


def test_comparable_tells_values_apart():
    values = [torch.zeros(2), torch.ones(2), "a", ["a", "b"], None]
    for first, second in itertools.combinations(values, 2):
        assert comparable(first) != comparable(second)
