"""Loaders share a model as long as anyone holds it, and the host can always forget it."""

import gc
import os
import shutil
import weakref

import pytest

pytestmark = pytest.mark.runtime


@pytest.fixture
def copy(folders, checkpoint):
    """A checkpoint that no other test has loaded, in a folder of its own."""
    source, target = (folders / "models" / "ming_univision" / n for n in ("tiny", "copied"))
    shutil.copytree(source, target)
    yield "copied/Ming-UniVision"
    shutil.rmtree(target)


def load(pack, checkpoint, precision="fp32"):
    return pack.run("LoadModel", checkpoint=checkpoint, precision=precision)[0]


def test_the_same_files_in_the_same_precision_are_one_model(pack, copy):
    first = load(pack, copy)
    assert load(pack, copy) is first
    assert load(pack, copy, "auto") is first, "auto is fp32 on a CPU"
    assert load(pack, copy, "int8") is not first


def test_other_files_are_another_model(pack, copy, checkpoint, model, folders):
    first = load(pack, copy)
    assert first is not model
    assert first.engine.identity == model.engine.identity
    config = folders / "models" / "ming_univision" / "copied" / "MingTok-Vision" / "config.json"
    os.utime(config, ns=(0, config.stat().st_mtime_ns + 10**9))
    assert load(pack, copy) is not first, "a replaced file is read again"


def test_what_nobody_holds_is_gone_at_once(pack, copy):
    loaded = load(pack, copy)
    part = weakref.ref(loaded.engine.components["language_model"])
    again = load(pack, copy)
    known = len(pack.models._loaded)
    gc.disable()
    try:
        del loaded
        assert part() is not None
        del again
        assert part() is None
    finally:
        gc.enable()
    assert len(pack.models._loaded) == known - 1


def test_a_shared_model_serves_two_graphs(pack, copy):
    first, second = load(pack, copy), load(pack, copy)
    inputs = {"prompt": "a cat", "steps": 2, "seed": 1}
    alone = pack.run("Generate", model=first, **inputs)[1][0].values
    del first
    again = pack.run("Generate", model=second, **inputs)[1][0].values
    assert (alone == again).all()


def test_what_draws_tokens_is_never_paged_in_and_out(pack, copy, monkeypatch):
    """Newer hosts offer a patcher under this name whose weights have no lasting address."""
    import comfy.model_patcher

    class Paging(comfy.model_patcher.ModelPatcher):
        pass

    monkeypatch.setattr(comfy.model_patcher, "CoreModelPatcher", Paging, raising=False)
    patchers = load(pack, copy).patchers
    paged = {name for name, group in patchers.items() if isinstance(group[0], Paging)}
    assert paged == {"low_level_encoder", "pixel_decoder"}
