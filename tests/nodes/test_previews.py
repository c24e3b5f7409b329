"""Pictures and words in the making: shown when wanted, without a trace in the result."""

import importlib
import sys
from types import SimpleNamespace

import pytest
import torch
from PIL import Image, ImageChops

pytestmark = pytest.mark.runtime

STEPS = 2


@pytest.fixture
def shown(pack, model, monkeypatch):
    """Everything the host is given to show; painting costs nothing as far as the budget knows."""
    import comfy.utils

    told = []
    hook = lambda value, total, preview, node_id=None: told.append((value, total, preview))  # noqa: E731
    monkeypatch.setattr(comfy.utils, "PROGRESS_BAR_HOOK", hook)
    budget = importlib.import_module(f"{pack.module.__name__}.nodes.host.preview_budget")
    monkeypatch.setattr(budget, "SHARE", 1e9)
    return told


@pytest.fixture
def wanted(monkeypatch):
    """Switch previews on, as the host does for a prompt."""
    from comfy.cli_args import LatentPreviewMethod, args

    monkeypatch.setattr(args, "preview_method", LatentPreviewMethod.Auto)
    monkeypatch.setattr(args, "preview_size", 64)


@pytest.fixture
def brought(monkeypatch):
    """The modules that are brought to the device, in order."""
    import comfy.model_management as mm

    models, real = [], mm.load_models_gpu
    monkeypatch.setattr(
        mm, "load_models_gpu", lambda m, **k: models.extend(p.model for p in m) or real(m, **k)
    )
    return models


def draw(pack, model, **inputs):
    return pack.run("Generate", model=model, prompt="a cat", steps=STEPS, seed=4, **inputs)


def test_without_the_setting_nothing_is_painted_or_even_loaded(
    pack, model, shown, brought, monkeypatch
):
    painter = model.engine.components["pixel_decoder"]
    monkeypatch.setattr(type(painter), "forward", None)
    draw(pack, model)
    assert shown and all(preview is None for *_, preview in shown)
    assert all(module is not painter for module in brought)


def test_with_it_every_row_is_shown_and_the_picture_is_the_same(
    pack, model, shown, wanted, brought
):
    watched = draw(pack, model, images=3)
    previews = [preview for *_, preview in shown if preview is not None]
    columns = model.engine.config.language.image_grid[1]
    assert len(previews) == model.engine.config.language.num_image_tokens // columns
    assert brought[-1] is model.engine.components["pixel_decoder"]
    size = model.engine.edit_size
    for kind, picture, largest in previews:
        assert (kind, picture.size, largest) == ("JPEG", (2 * size, 2 * size), 64)
    first, last = previews[0][1], previews[-1][1]
    box = (0, size // 2, size, size)
    assert len(first.crop(box).getcolors()) == 1 < len(last.crop(box).getcolors(size * size))
    shown.clear()
    import comfy.cli_args

    comfy.cli_args.args.preview_method = comfy.cli_args.LatentPreviewMethod.NoPreviews
    plain = draw(pack, model, images=3)
    assert all(torch.equal(a.values, b.values) for a, b in zip(watched[1], plain[1], strict=True))


def test_the_last_preview_is_the_picture(pack, model, shown, wanted):
    features = draw(pack, model)[1][0]
    preview = [preview for *_, preview in shown if preview is not None][-1][1]
    image = pack.run("PixelDecode", model=model, features=features)[0]
    (picture,) = pack.pictures.to_pictures(image)
    assert max(high for _, high in ImageChops.difference(preview, picture).getextrema()) <= 1


def test_no_room_for_a_preview_is_no_reason_to_lose_the_picture(
    pack, model, shown, wanted, monkeypatch
):
    painter, calls = type(model.engine.components["pixel_decoder"]), []

    def fail(self, *_):
        calls.append(1)
        raise torch.OutOfMemoryError

    monkeypatch.setattr(painter, "forward", fail)
    monkeypatch.setattr(model.pace, "fixed", 0.0)
    assert draw(pack, model)[1][0].values.isfinite().all()
    assert len(calls) == 2, "before the drawing, and at its first row"
    assert all(preview is None for *_, preview in shown)


def test_text_is_told_to_the_user_as_it_is_written(pack, model, monkeypatch):
    sent = []
    page = SimpleNamespace(
        client_id="me", send_progress_text=lambda text, node, sid: sent.append((text, node, sid))
    )
    server = SimpleNamespace(PromptServer=SimpleNamespace(instance=page))
    monkeypatch.setitem(sys.modules, "server", server)
    progress = importlib.import_module(f"{pack.module.__name__}.nodes.host.progress")
    running = SimpleNamespace(node_id="7")
    monkeypatch.setattr(progress, "get_executing_context", lambda: running)
    monkeypatch.setattr(progress, "TEXT_SECONDS", 0)
    inputs = {"model": model, "question": "What?", "max_tokens": 8, "temperature": 1.5}
    reply = pack.run("Describe", **inputs)[0]
    texts = [text for text, *_ in sent]
    assert all((node, sid) == ("7", "me") for _, node, sid in sent)
    assert texts[-1] == reply and len(texts) > 1
    assert all(after.startswith(before) for before, after in zip(texts, texts[1:], strict=False))
    sent.clear()
    monkeypatch.setattr(progress, "TEXT_SECONDS", 1000)
    pack.run("Describe", **inputs)
    assert len(sent) <= 3 and sent[-1][0] == reply, "however rarely it is told, the end is"


def test_a_host_without_a_page_is_told_nothing(pack, model, monkeypatch):
    monkeypatch.delitem(sys.modules, "server", raising=False)
    assert isinstance(pack.run("Describe", model=model, question="?", max_tokens=3)[0], str)


def test_previews_are_ordinary_pictures(pack, shown, model, wanted):
    draw(pack, model)
    assert all(isinstance(p[1], Image.Image) and p[1].mode == "RGB" for *_, p in shown if p)
