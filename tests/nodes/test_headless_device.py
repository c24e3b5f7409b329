"""Without ComfyUI the weights are where the pack computes, or it says that they do not fit."""

import importlib

import pytest
import torch

from ming_run.headless import DoesNotFitError, let_models_move

pytestmark = pytest.mark.runtime

ELSEWHERE = torch.device("meta")  # stands for a device that is not main memory


@pytest.fixture
def elsewhere(monkeypatch):
    """Make the runtime believe in another device, with the command's fix applied."""
    import comfy.model_management as mm
    import comfy.model_patcher

    monkeypatch.setattr(comfy.model_patcher.ModelPatcher, "to", None, raising=False)
    monkeypatch.delattr(comfy.model_patcher.ModelPatcher, "to")
    let_models_move(comfy.model_patcher)
    monkeypatch.setattr(mm, "get_torch_device", lambda: ELSEWHERE)
    monkeypatch.setattr(mm, "get_free_memory", lambda *_: 1 << 40)
    mm.current_loaded_models.clear()
    yield mm
    mm.current_loaded_models.clear()


def test_the_runtime_moves_what_a_node_needs_and_nothing_else(pack, checkpoint, elsewhere):
    model = pack.run("LoadModel", checkpoint=checkpoint, precision="fp16")[0]
    assert model.engine.device == ELSEWHERE
    pack.models.prepare(model, pack.core.turn_stage(model.engine))
    devices = {
        name: {p.device.type for p in part.parameters()}
        for name, part in model.engine.components.items()
    }
    assert devices["language_model"] == devices["semantic_decoder"] == {"meta"}
    assert devices["low_level_encoder"] == devices["pixel_decoder"] == {"cpu"}


def test_a_model_that_does_not_fit_is_said_to(pack, checkpoint, features, elsewhere, monkeypatch):
    model = pack.run("LoadModel", checkpoint=checkpoint, precision="fp16")[0]
    painter = model.engine.components["pixel_decoder"]
    real = type(painter).to

    def to(module, device):
        if device == ELSEWHERE:
            raise torch.cuda.OutOfMemoryError
        return real(module, device)

    monkeypatch.setattr(type(painter), "to", to)
    with pytest.raises(DoesNotFitError, match="int8"):
        pack.models.prepare(model, pack.core.painting_stage(model.engine, features))
    assert {p.device.type for p in painter.parameters()} == {"cpu"}


@pytest.mark.parametrize("shows", [False, True])
def test_a_head_left_off_the_device_stops_drawing_but_not_words(
    pack, checkpoint, elsewhere, monkeypatch, shows
):
    model = pack.run("LoadModel", checkpoint=checkpoint, precision="fp16")[0]
    monkeypatch.setattr(elsewhere, "load_models_gpu", lambda *_args, **_more: None)
    monkeypatch.setattr(pack.models, "previews_wanted", lambda: shows)
    assert pack.models.prepare(model, pack.core.turn_stage(model.engine)) is model.engine
    with pytest.raises(pack.core.MingError, match="device is too small"):
        pack.models.prepare_drawing(model, pack.core.turn_stage(model.engine, images=1))


@pytest.mark.parametrize(
    ("node", "words"), [("Generate", {"prompt": "a cat"}), ("EditStep", {"instruction": "blue"})]
)
def test_drawing_asks_for_memory_by_its_steps(pack, model, features, monkeypatch, node, words):
    asked = []
    memory = importlib.import_module(f"{pack.core.__name__}.univision.memory")
    monkeypatch.setattr(memory, "working_memory", lambda *needs: asked.append(needs[5]) or 0)
    pack.run(node, model=model, features=features, steps=3, **words)
    assert asked == [3]
