"""Hubs that are not to be trusted: odd listings, endless bytes, tokens asked for elsewhere."""

import io
import json
import sys
import urllib.request
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # pytest's importlib mode leaves neighbours out

from fake_hub import COMMIT, FakeHub  # noqa: E402

import ming_download as downloads  # noqa: E402
from ming_download import (  # noqa: E402
    DownloadError,
    Patience,
    RemoteFile,
    Repository,
    answers,
    transfer,
    web,
)

NAME = "owner/tiny"
SOURCES = list(downloads.SOURCES)
HALF = "\ud83d"


class Watch:
    """Lets everything happen."""

    def advance(self, done, total): ...
    def advance_file(self, name, done, total): ...
    def check_cancelled(self): ...


@pytest.fixture
def hub(monkeypatch):
    hub = FakeHub({NAME: {"model.safetensors": bytes(10_000), "config.json": b"{}"}})
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("MODELSCOPE_DOMAIN", hub.url)
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    yield hub
    hub.close()


def planned(root: Path, source: str) -> downloads.Plan:
    return downloads.make_plan(downloads.SOURCES[source](), [Repository(NAME)], root, Watch())


def listing(source: str, **changed: object) -> dict:
    """What a hub says of one file, with some of it changed."""
    if source == "ModelScope":
        entry = {"Path": "model.safetensors", "Type": "blob", "Size": 9, "Sha256": "a" * 64}
        renamed = {"path": "Path", "size": "Size", "sha256": "Sha256"}
        files = [entry | {renamed[key]: value for key, value in changed.items()}]
        return {"Code": 200, "Data": {"Files": files, "License": "mit"}}
    entry = {"rfilename": "model.safetensors", "size": 9, "lfs": {"sha256": "a" * 64}}
    renamed = {"path": "rfilename", "size": "size"}
    if "sha256" in changed:
        entry["lfs"] = {"sha256": changed.pop("sha256")}
    files = [entry | {renamed[key]: value for key, value in changed.items()}]
    return {"id": NAME, "sha": COMMIT, "siblings": files, "cardData": {"license": "mit"}}


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize(
    "changed",
    [
        *({"size": size} for size in (None, "", "9", -1, True, 1.5, [9], 10**400, 10**18)),
        *({"path": path} for path in (None, 7, [], {}, HALF, "x" * 300, "a/" * 900 + "b")),
        *({"sha256": digest} for digest in (7, ["a"], "A" * 64, "a" * 63, HALF, {"a": 1})),
    ],
    ids=lambda changed: f"{next(iter(changed))}-{str(next(iter(changed.values())))[:9]!a}",
)
def test_odd_files_of_a_listing_are_refused(hub, tmp_path, source, changed):
    if "path" in changed and isinstance(changed["path"], str):
        changed = {"path": changed["path"] + ".safetensors"}
    hub.listing_body = json.dumps(listing(source, **changed)).encode()
    with pytest.raises(DownloadError) as refused:
        planned(tmp_path / "models", source)
    assert len(str(refused.value).encode()) < 1500
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{oops",
        b"null",
        b"[]",
        b'"text"',
        b"{}",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"siblings": null, "Data": null}',
        b'{"siblings": "text", "Data": "text"}',
        b'{"siblings": [null], "Data": {"Files": [null]}}',
        b'{"siblings": {"a": 1}, "Data": {"Files": {"a": 1}}}',
        b'{"siblings": [{"lfs": 7}], "Data": {"Files": [{"Type": "blob"}]}}',
    ],
    ids=range(13),
)
def test_answers_of_another_kind_are_refused_and_name_the_setting(hub, tmp_path, source, body):
    hub.listing_body = body
    with pytest.raises(DownloadError, match="HF_ENDPOINT|MODELSCOPE_DOMAIN"):
        planned(tmp_path, source)


@pytest.mark.parametrize("source", SOURCES)
def test_an_answer_without_an_end_is_left(hub, tmp_path, source, monkeypatch):
    monkeypatch.setattr(answers, "MOST_BYTES", 1000)
    hub.listing_body = json.dumps(listing(source, path="a.safetensors")).encode() + b" " * 1000
    with pytest.raises(DownloadError, match="more than 1,000 bytes"):
        planned(tmp_path, source)


@pytest.mark.parametrize("names", [("a.json", "A.json"), ("a.json", "a.json/b.json")])
def test_names_that_some_systems_cannot_keep_apart_are_refused(hub, tmp_path, names):
    hub.repositories[NAME].update(dict.fromkeys(names, b"{}"))
    with pytest.raises(DownloadError, match="names 'a.json' twice"):
        planned(tmp_path, "ModelScope")


@pytest.mark.parametrize("source", SOURCES)
def test_a_server_that_does_not_stop_is_left_at_the_announced_size(hub, tmp_path, source):
    hub.faults = ["endless"]
    sizes = []

    class Sizes(Watch):
        def advance_file(self, name, done, total):
            sizes.append(done)

    with pytest.raises(DownloadError, match="more than the 10000 bytes"):
        downloads.download(planned(tmp_path, source), Sizes(), Patience(5, 2, 0.01))
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    assert max(sizes, default=0) <= 10_000


def test_bytes_beyond_the_size_are_noticed_however_small_the_pieces(tmp_path):
    part = transfer.Part(RemoteFile("a.bin", 10, "https://a"), tmp_path / "a.bin", lambda _: None)
    with pytest.raises(DownloadError, match="more than the 10 bytes"):
        part.append(iter([b"1234567"] * 2))
    assert part.path.read_bytes() == b"1234567"


def test_a_disk_that_takes_less_than_it_was_given_is_full(tmp_path, monkeypatch):
    class Short(io.FileIO):
        def write(self, chunk):
            return super().write(chunk[:3])

    part = transfer.Part(RemoteFile("a.bin", 10, "https://a"), tmp_path / "a.bin", lambda _: None)
    monkeypatch.setattr(Path, "open", lambda path, mode, buffering: Short(path, mode[:1]))
    with pytest.raises(DownloadError, match="disk is full"):
        part.append(iter([b"1234567"]))
    assert part.size == part.path.stat().st_size == 3, "the next start goes on from here"


def test_an_endless_text_beside_a_redirect_is_not_read(hub, tmp_path):
    hub.moved = f"{hub.url}/cdn/{NAME}/model.safetensors"
    downloads.download(planned(tmp_path, "ModelScope"), Watch(), Patience(5, 2, 0.01))
    assert (tmp_path / "tiny" / "model.safetensors").read_bytes() == bytes(10_000)


@pytest.mark.parametrize(
    ("before", "after", "is_kept"),
    [
        ("https://a.b/x", "https://a.b/y", True),
        ("https://a.b/x", "https://c.d/y", False),
        ("https://a.b/x", "https://a.b:444/y", False),
        ("https://a.b/x", "https://a.b@c.d/y", False),
        ("http://a.b/x", "https://a.b/y", False),
        ("http://a.b/x", "http://a.b/y", True),
        ("https://a.b/x", "http://a.b/y", None),
        ("https://a.b/x", "http://c.d/y", None),
        ("http://a.b/x", "ftp://a.b/y", None),
    ],
)
def test_the_token_stays_with_its_server_and_nothing_leaves_https(before, after, is_kept):
    request = urllib.request.Request(before, headers={"Authorization": "Bearer hf_secret"})

    def follow() -> urllib.request.Request:
        return web._SecretsStay().redirect_request(request, None, 302, "Found", {}, after)

    if is_kept is None:
        with pytest.raises(DownloadError, match="sends on from"):
            follow()
        return
    assert follow().has_header("Authorization") == is_kept
