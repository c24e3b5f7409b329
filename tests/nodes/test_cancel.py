"""Cancelling a node at any chance: it stops there, leaves nothing, and the next run is the same."""

import gc

import pytest
import torch

pytestmark = pytest.mark.runtime

STEPS = {"steps": 2, "seed": 3}


@pytest.fixture
def calls(pack, model, lite, photo, features, context):
    """Return what each node is called with."""
    latents = pack.run("EncodeImage", model=model, image=photo, use="understand")[0]
    return {
        "EncodeImage": {"model": model, "image": photo, "use": "understand"},
        "SemanticExpand": {"model": model, "latents": latents},
        "PixelDecode": {"model": model, "features": features},
        "Generate": {"model": model, "prompt": "a cat", "images": 2, "context": context, **STEPS},
        "EditStep": {"model": model, "instruction": "red", "features": features, **STEPS},
        "Describe": {"model": model, "question": "?", "max_tokens": 4, "features": features},
        "MingLiteUni_EncodePrompt": {"model": lite, "prompt": "a cat"},
        "MingLiteUni_Generate": {"model": lite, "prompt": "a cat", "images": 2, **STEPS},
    }


class Chances:
    """Counts the chances to cancel; at one of them the user does."""

    def __init__(self, monkeypatch, pack):
        import comfy.model_management as mm

        self.count, self.cancel_at = 0, 0
        real = pack.progress.HostProgress.check_cancelled

        def check(progress):
            self.count += 1
            if self.count == self.cancel_at:
                mm.interrupt_current_processing()
            real(progress)

        monkeypatch.setattr(pack.progress.HostProgress, "check_cancelled", check)


def tensors_of(value):
    """Return every tensor in what a node gave."""
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, (list, tuple)):
        return [tensor for item in value for tensor in tensors_of(item)]
    return value._comfy_cache_tensors() if hasattr(value, "_comfy_cache_tensors") else []


def bytes_alive():
    """Return the memory of all tensors that something still holds."""
    gc.collect()
    storages = {}
    for thing in gc.get_objects():
        if type(thing) in (torch.Tensor, torch.nn.Parameter) and thing.device.type == "cpu":
            storage = thing.untyped_storage()
            storages[storage.data_ptr()] = storage.nbytes()
    return sum(storages.values())


NODES = ["EncodeImage", "SemanticExpand", "PixelDecode", "Generate", "EditStep", "Describe"]
NODES += ["MingLiteUni_EncodePrompt", "MingLiteUni_Generate"]


QUICK_NODES = ("Generate", "MingLiteUni_Generate")  # one of each family while working


@pytest.mark.parametrize(
    "name", [n if n in QUICK_NODES else pytest.param(n, marks=pytest.mark.slow) for n in NODES]
)
def test_a_cancelled_node_leaves_nothing_and_the_next_run_is_the_same(
    pack, calls, name, monkeypatch, folders
):
    from comfy.model_management import InterruptProcessingException

    chances = Chances(monkeypatch, pack)
    expected = tensors_of(pack.run(name, **calls[name]).args)
    assert expected
    total = chances.count
    files, alive = sorted(folders.rglob("*")), bytes_alive()
    for chances.cancel_at in (1, total // 2, total):
        chances.count = 0
        with pytest.raises(InterruptProcessingException):
            pack.run(name, **calls[name])
        assert chances.count == chances.cancel_at, "it stopped at once"
        assert sorted(folders.rglob("*")) == files
        assert bytes_alive() == alive
    chances.cancel_at = 0
    again = tensors_of(pack.run(name, **calls[name]).args)
    assert all(torch.equal(a, b) for a, b in zip(expected, again, strict=True))


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_a_cancelled_load_leaves_nothing_and_the_next_one_is_the_same(
    pack, checkpoint, precision, monkeypatch
):
    from comfy.model_management import InterruptProcessingException

    def load():
        return pack.run("LoadModel", checkpoint=checkpoint, precision=precision)[0]

    chances = Chances(monkeypatch, pack)
    expected = {k: v.clone() for k, v in weights_of(load()).items()}
    total, alive = chances.count, bytes_alive()
    for chances.cancel_at in (1, total // 2, total):
        chances.count = 0
        with pytest.raises(InterruptProcessingException):
            load()
        assert chances.count == chances.cancel_at
        assert bytes_alive() == alive, "nothing of the model stays"
    chances.cancel_at = 0
    model = load()
    assert bytes_alive() - alive > model.get_ram_usage() // 2, "this would show a leak"
    again = weights_of(model)
    assert all(torch.equal(expected[name], again[name]) for name in expected)


def weights_of(model):
    return {
        f"{name}.{key}": value
        for name, part in model.engine.components.items()
        for key, value in part.state_dict().items()
    }


def test_an_encoder_and_a_decoder_can_be_cancelled_within_a_layer(pack, calls, monkeypatch):
    for name, stage in (("EncodeImage", "encoder"), ("SemanticExpand", "semantic")):
        chances = Chances(monkeypatch, pack)
        pack.run(name, **calls[name])
        mingtok = calls[name]["model"].engine.config.mingtok
        assert chances.count == getattr(mingtok, stage).depth
        monkeypatch.undo()
