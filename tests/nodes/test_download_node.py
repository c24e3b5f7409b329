"""The download node: tells first, fetches when told to, into the folder the loader reads."""

import os
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # pytest's importlib mode leaves neighbours out

from fake_hub import FakeHub  # noqa: E402

pytestmark = pytest.mark.runtime

COPY = {"what": "the repository named below", "repository": "owner/copy"}
WEIGHTS = os.urandom(100_000)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch):
    files = {"model.safetensors": WEIGHTS, "config.json": b"{}"}
    published = ("MingTok-Vision", "Ming-UniVision-16B-A3B", "Ming-Lite-Uni")
    names = ("owner/copy", *(f"inclusionAI/{name}" for name in published))
    hub = FakeHub({name: dict(files) for name in names})
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    yield hub
    hub.close()


@pytest.fixture
def models(pack, tmp_path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own as the first one of ming_univision."""
    import folder_paths

    monkeypatch.setitem(
        folder_paths.folder_names_and_paths, "ming_univision", ([str(tmp_path / "m")], set())
    )
    return tmp_path / "m"


def test_it_only_tells_unless_the_switch_is_on(pack, hub, models):
    told = pack.run("Download")
    for words in ("MingTok-Vision", "16B-A3B", "licence: mit", str(models), "free", "is off"):
        assert words in told[0]
    assert told.ui["text"] == [told[0]]
    assert hub.requests == [] and not models.exists()


def test_the_switch_names_licence_and_size(pack):
    inputs = {i.id: i for i in pack.nodes["Download"].GET_SCHEMA().inputs}
    assert inputs["confirm"].default is False
    assert "licence" in inputs["confirm"].label_on
    assert "licence" in inputs["confirm"].tooltip and "40 GB" in inputs["confirm"].tooltip
    labels = (inputs["confirm"].label_on, inputs["confirm"].label_off)
    assert max(map(len, labels)) <= 20, "Nodes 2.0 draws both beside each other"


def test_switched_on_it_downloads_both_folders(pack, hub, models, monkeypatch):
    steps = []
    progress = importlib_module(pack, "host.files").DownloadProgress
    monkeypatch.setattr(progress, "advance", lambda _, done, total: steps.append((done, total)))
    report = pack.run("Download", confirm=True)[0]
    assert "All of it is here" in report
    assert {p.name for p in models.iterdir()} == {"MingTok-Vision", "Ming-UniVision-16B-A3B"}
    assert (models / "MingTok-Vision" / "model.safetensors").read_bytes() == WEIGHTS
    assert not list(models.rglob("*.part"))
    assert steps[-1] == (200_004, 200_004)


def test_the_second_family_is_one_folder(pack, hub, models):
    assert "Ming-Lite-Uni" in pack.run("Download", what="Ming-Lite-Uni")[0]
    pack.run("Download", what="Ming-Lite-Uni", confirm=True)
    assert [path.name for path in models.iterdir()] == ["Ming-Lite-Uni"]


def test_a_cancel_of_the_host_ends_it_and_the_next_run_goes_on(pack, hub, models):
    import comfy.model_management as management

    hub.faults = [("stall", 40_000)]
    interrupted = management.InterruptProcessingException
    management.interrupt_current_processing(True)
    with pytest.raises(interrupted):
        pack.run("Download", confirm=True, **COPY)
    assert not (models / "copy" / "model.safetensors").exists()
    hub.faults = []
    pack.run("Download", confirm=True, **COPY)
    assert (models / "copy" / "model.safetensors").read_bytes() == WEIGHTS


def test_without_a_connection_it_still_says_what_is_expected(pack, models, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    told = pack.run("Download")[0]
    assert "HF_HUB_OFFLINE is set" in told and "about 38 GB" in told and str(models) in told
    for choice in ({"confirm": True}, COPY):
        with pytest.raises(Exception, match="HF_HUB_OFFLINE is set"):
            pack.run("Download", **choice)


def test_it_runs_again_every_time(pack):
    fingerprint = pack.nodes["Download"].fingerprint_inputs
    assert fingerprint(confirm=False) != fingerprint(confirm=False)


def test_a_misspelt_repository_is_refused(pack, models):
    with pytest.raises(Exception, match="OWNER/NAME"):
        pack.run("Download", **COPY | {"repository": "../../x"})


def test_the_current_file_is_told_to_the_page(pack, monkeypatch):
    told = []

    class Page:
        def send_progress_text(self, text, node):
            told.append((text, node))

    class Server:
        class PromptServer:
            instance = Page()

    monkeypatch.setitem(sys.modules, "server", Server)
    hidden = type("Hidden", (), {"unique_id": "7"})
    progress = importlib_module(pack, "host.files").DownloadProgress(hidden)
    progress.advance_file("a.safetensors", 1_500_000, 3_000_000)
    assert told == [("a.safetensors\n1.5 of 3.0 MB", "7")]


def importlib_module(pack, name):
    return sys.modules[f"{pack.module.__name__}.nodes.{name}"]
