"""Downloads against a hub on this machine that stalls, breaks off, lies and refuses."""

import errno
import os
import shutil
import sys
import threading
import time
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # pytest's importlib mode leaves neighbours out

from fake_hub import COMMIT, FakeHub  # noqa: E402

import ming_download as downloads  # noqa: E402
from ming_download import DownloadError, Patience, Repository, connections, plan, transfer  # noqa: E402

TINY = "owner/tiny"
WEIGHTS = os.urandom(3_000_000)
FILES = {
    "config.json": b"{}",
    "model.safetensors": WEIGHTS,
    "README.md": b"# tiny\n",
    "modeling.py": b"print('code')",
    "pytorch_model.bin": b"pickle",
    ".gitattributes": b"",
    "sub/extra.json": b"[]",
}
EXPECTED = {"config.json", "model.safetensors", "README.md", "sub/extra.json"}
HASTY = Patience(silence=20, attempts=3, pause=0.01)


class Watch:
    """Keeps what it is told; ends the download where the test says so."""

    def __init__(self, stop_at: int | None = None):
        self.bytes: list[tuple[int, int]] = []
        self.files: list[tuple[str, int, int]] = []
        self.stop = threading.Event()
        self.stop_at = stop_at

    def advance(self, done, total):
        self.bytes.append((done, total))
        if self.stop_at is not None and done >= self.stop_at:
            self.stop.set()

    def advance_file(self, name, done, total):
        self.files.append((name, done, total))

    def check_cancelled(self):
        if self.stop.is_set():
            raise KeyboardInterrupt


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch):
    hub = FakeHub({TINY: dict(FILES)})
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("MODELSCOPE_DOMAIN", hub.url)
    monkeypatch.setenv("NO_PROXY", "*")
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "MODELSCOPE_ENDPOINT", "MODELSCOPE_API_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(connections, "_LOOK_SECONDS", 0.01)
    monkeypatch.setattr(transfer, "_CHUNK", 100_000)
    yield hub
    hub.close()


def planned(root: Path, source: str = "Hugging Face", name: str = TINY) -> downloads.Plan:
    source_class = downloads.SOURCES[source]
    return downloads.make_plan(source_class(), [Repository(name)], root, Watch())


def fetched(
    root: Path, watch: Watch | None = None, patience: Patience = HASTY, **options: object
) -> Watch:
    watch = watch or Watch()
    # One connection: the faults of a hub come in the order of its files.
    downloads.download(planned(root, **options), watch, patience, num_connections=1)
    return watch


def found(root: Path) -> set[str]:
    folder = root / "tiny"
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def assert_whole(root: Path) -> None:
    assert found(root) == EXPECTED
    for name in EXPECTED:
        assert (root / "tiny" / name).read_bytes() == FILES[name]


@pytest.mark.parametrize("source", ["Hugging Face", "ModelScope"])
def test_weights_and_texts_arrive_and_neither_code_nor_pickles(hub, tmp_path, source):
    watch = fetched(tmp_path, source=source)
    assert_whole(tmp_path)
    total = sum(len(FILES[name]) for name in EXPECTED)
    assert watch.bytes[-1] == (total, total)
    assert [done for done, _ in watch.bytes] == sorted(done for done, _ in watch.bytes)
    assert ("model.safetensors", len(WEIGHTS), len(WEIGHTS)) in watch.files
    assert hub.requests[-1]["path"] == "config.json"  # only then does the folder count


def test_the_report_says_what_how_large_which_licence_and_where(hub, tmp_path):
    report = downloads.describe(planned(tmp_path))
    for words in (TINY, "3.0 MB in 4 files", "licence: mit", hub.url, str(tmp_path), "free"):
        assert words in report
    assert "Still to download: 3.0 MB" in report
    assert "Apache License 2.0" in downloads.describe(planned(tmp_path, "ModelScope"))
    assert hub.requests == [] and not list(tmp_path.iterdir())
    fetched(tmp_path)
    assert "All of it is here." in downloads.describe(planned(tmp_path))


def test_what_is_here_already_is_checked_and_not_fetched_again(hub, tmp_path):
    fetched(tmp_path)
    (tmp_path / "tiny" / "model.safetensors").write_bytes(bytes(len(WEIGHTS)))
    hub.requests.clear()
    fetched(tmp_path)
    assert [request["path"] for request in hub.requests] == ["model.safetensors"]
    assert_whole(tmp_path)


def test_a_cut_connection_goes_on_from_where_it_was(hub, tmp_path):
    hub.faults = [None, ("cut", 1_000_000), ("cut", 500_000), 503, ("cut", 0)]
    fetched(tmp_path)
    assert_whole(tmp_path)
    weights = [r["range"] for r in hub.requests if r["path"] == "model.safetensors"]
    assert weights == ["", "bytes=1000000-", *["bytes=1500000-"] * 3]


def test_a_connection_that_gives_nothing_any_more_is_given_up(hub, tmp_path):
    hub.faults = [None, ("cut", 1_000), *[503] * 9]
    with pytest.raises(DownloadError, match=r"model.safetensors: the connection broke 3 times"):
        fetched(tmp_path)
    assert found(tmp_path) == {"README.md", "model.safetensors.part"}
    hub.faults = []
    fetched(tmp_path)
    assert "bytes=1000-" in hub.ranges()
    assert_whole(tmp_path)


def test_a_silent_server_is_asked_again(hub, tmp_path):
    hub.faults = [None, ("stall", 200_000)]
    fetched(tmp_path, patience=Patience(silence=1, attempts=3, pause=0.01))
    assert "bytes=200000-" in hub.ranges()
    assert_whole(tmp_path)


def test_a_server_that_cannot_resume_sends_all_of_it(hub, tmp_path):
    hub.faults = [None, ("cut", 700_000), "whole"]
    fetched(tmp_path)
    assert_whole(tmp_path)


@pytest.mark.parametrize("position", [0, 1], ids=["git sha1", "sha256"])
def test_wrong_bytes_are_named_and_removed(hub, tmp_path, position):
    name = ["README.md", "model.safetensors"][position]
    hub.faults = [*[None] * position, "wrong"]
    with pytest.raises(DownloadError, match=rf"{name}: its checksum is .* removed; start again"):
        fetched(tmp_path)
    assert found(tmp_path) == set(["README.md"][:position])
    fetched(tmp_path)
    assert_whole(tmp_path)


def test_an_unfinished_file_of_something_else_is_noticed(hub, tmp_path):
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "model.safetensors.part").write_bytes(b"older" * 100)
    with pytest.raises(DownloadError, match="checksum"):
        fetched(tmp_path)
    (tmp_path / "tiny" / "README.md.part").write_bytes(b"longer than the file")
    fetched(tmp_path)
    assert_whole(tmp_path)


def test_cancelled_midway_and_resumed(hub, tmp_path):
    hub.faults = [None, ("stall", 1_500_000)]
    with pytest.raises(KeyboardInterrupt):
        fetched(tmp_path, Watch(stop_at=1_000_000))
    part = tmp_path / "tiny" / "model.safetensors.part"
    assert 900_000 < part.stat().st_size < len(WEIGHTS)
    assert not part.with_suffix("").exists()
    kept = part.stat().st_size
    assert planned(tmp_path).missing == planned(tmp_path / "empty").missing - kept - 7
    fetched(tmp_path)
    assert f"bytes={kept}-" in hub.ranges()
    assert_whole(tmp_path)


def test_cancelling_works_within_a_second_while_the_server_is_silent(hub, tmp_path):
    hub.faults = [None, ("stall", 1000)]
    watch = Watch()
    threading.Timer(0.5, watch.stop.set).start()
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        downloads.download(planned(tmp_path), watch, Patience(silence=20), num_connections=1)
    assert time.monotonic() - started < 1.5


def test_a_disk_without_room_is_noticed_before(hub, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=plan.RESERVE + 1000)
    monkeypatch.setattr(plan.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DownloadError, match=r"3\.0 MB are still .* but only .* extra_model_paths"):
        fetched(tmp_path)
    assert hub.requests == [] and not list(tmp_path.iterdir())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_a_disk_that_fills_up_is_named(hub, tmp_path):
    (tmp_path / "tiny").mkdir()
    part = tmp_path / "tiny" / "model.safetensors.part"
    (tmp_path / "tiny" / "README.md").write_bytes(FILES["README.md"])
    part.symlink_to("/dev/full")
    digest = transfer.Part._read_into_digest  # /dev/full has no end to read to
    transfer.Part._read_into_digest = lambda *_: 0
    try:
        with pytest.raises(DownloadError, match=r"The disk is full .* is kept in"):
            fetched(tmp_path)
    finally:
        transfer.Part._read_into_digest = digest
    assert not (tmp_path / "tiny" / "model.safetensors").exists()


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    with (
        pytest.raises(DownloadError, match="cannot be written"),
        transfer._disk_errors(tmp_path / "x"),
    ):
        raise PermissionError(errno.EACCES, "Permission denied")


@pytest.mark.parametrize(
    ("source", "token", "address"),
    [
        ("Hugging Face", "HF_TOKEN", "HF_ENDPOINT"),
        ("ModelScope", "MODELSCOPE_API_TOKEN", "MODELSCOPE_DOMAIN"),
    ],
)
@pytest.mark.parametrize(
    ("status", "advice"),
    [
        *((401, "accept its terms.*{token}"), (403, "accept its terms.*{token}")),
        *((404, "exists.*{address}"), (429, "in 17 seconds.*{token}")),
    ],
)
def test_refusals_say_what_to_do_in_the_words_of_the_hub(
    hub, tmp_path, source, status, advice, token, address
):
    advice = advice.format(token=token, address=address)
    hub.listing_status = status
    with pytest.raises(DownloadError, match=rf"answered with {status}\..*{advice}"):
        planned(tmp_path, source)
    hub.listing_status = 200
    hub.faults = [status]
    with pytest.raises(DownloadError, match=rf"answered with {status}\..*{advice}"):
        fetched(tmp_path, source=source)
    assert len(hub.requests) == 1  # a refusal is not asked again


def test_nothing_listens(hub, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("MODELSCOPE_DOMAIN", "http://127.0.0.1:9")
    for source, name in (("Hugging Face", "HF_ENDPOINT"), ("ModelScope", "MODELSCOPE_DOMAIN")):
        with pytest.raises(DownloadError, match=name):
            planned(tmp_path, source)


def test_the_token_goes_to_the_hub_and_to_nobody_else(hub, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    fetched(tmp_path)
    seen = {request["path"]: request["authorization"] for request in hub.requests}
    assert seen["config.json"] == "Bearer hf_secret"
    assert seen["model.safetensors"] == ""  # it came from another server
    assert planned(tmp_path).listings[0].files[0].url.split("/")[-2] == COMMIT


def test_offline_means_offline(hub, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(DownloadError, match="HF_HUB_OFFLINE is set"):
        planned(tmp_path)


@pytest.mark.parametrize(
    "path", ["../x.json", "a/../../x.json", "/x.json", "a\\..\\x.json", "C:x.json"]
)
def test_names_that_leave_the_folder_are_refused(hub, tmp_path, path):
    hub.repositories[TINY][path] = b"{}"
    with pytest.raises(DownloadError, match="cannot be kept inside"):
        planned(tmp_path / "models")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["tiny", "../tiny", "owner/..", "owner/a/b", "http://x/y", ""])
def test_what_is_no_repository_is_refused(name):
    with pytest.raises(DownloadError, match="not a repository id"):
        Repository(name)


def test_a_repository_without_weights_is_refused(hub, tmp_path):
    hub.repositories[TINY].pop("model.safetensors")
    with pytest.raises(DownloadError, match="no safetensors"):
        planned(tmp_path)
