"""`ming download` as a person calls it, against a hub on this machine."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "nodes"))  # the hub of the node's tests

from fake_hub import FakeHub  # noqa: E402

from ming_cli.__main__ import main  # noqa: E402

WEIGHTS = bytes(range(256)) * 100


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch):
    files = {"model.safetensors": WEIGHTS, "config.json": b"{}"}
    hub = FakeHub({"owner/copy": files})
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("MODELSCOPE_DOMAIN", hub.url)
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    yield hub
    hub.close()


@pytest.mark.parametrize("source", ["hugging-face", "modelscope"])
def test_it_tells_and_then_fetches(hub, tmp_path, capsys, source):
    words = ["download", "owner/copy", "--to", str(tmp_path), "--source", source]
    assert main(words) == 0
    told = capsys.readouterr().out
    assert "25.6 kB in 2 files" in told and "Nothing was downloaded" in told
    assert hub.requests == [] and not list(tmp_path.iterdir())
    assert main([*words, "--accept-licence"]) == 0
    assert (tmp_path / "copy" / "model.safetensors").read_bytes() == WEIGHTS
    assert "checksums are right" in capsys.readouterr().out


LITE = ["download", "--family", "Ming-Lite-Uni"]
FOLDERS = ("connector", "mlp", "transformer")


@pytest.mark.parametrize("source", ["hugging-face", "modelscope"])
def test_the_second_family_comes_with_its_folders(hub, tmp_path, capsys, source):
    files = {f"{folder}/model.safetensors": WEIGHTS for folder in FOLDERS}
    files |= {f"{folder}/config.json": b"{}" for folder in FOLDERS}
    hub.repositories["inclusionAI/Ming-Lite-Uni"] = files | {"code.py": b"", "old.bin": b""}
    words = [*LITE, "--to", str(tmp_path), "--source", source, "--accept-licence"]
    assert main(words) == 0
    assert "76.8 kB in 6 files, licence: " in capsys.readouterr().out
    root = tmp_path / "Ming-Lite-Uni"
    found = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    assert found == set(files)
    last = [request["path"].rpartition("/")[2] for request in hub.requests][-3:]
    assert last == ["config.json"] * 3  # only then does the folder count


def test_errors_are_one_message(hub, tmp_path, capsys):
    assert main(["download", "owner/none", "--to", str(tmp_path)]) == 1
    assert "answered with 404" in capsys.readouterr().err
    assert main(["download", "../x", "--to", str(tmp_path)]) == 1
    assert "not a repository id" in capsys.readouterr().err


def test_ctrl_c_leaves_what_can_be_resumed(hub, tmp_path, capsys, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    words = ["download", "owner/copy", "--to", str(tmp_path), "--accept-licence"]
    monkeypatch.setattr("ming_cli.download._FileProgress.advance", stop)
    assert main(words) == 130
    assert "goes on where it was" in capsys.readouterr().err
    monkeypatch.undo()
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    assert main(words) == 0
