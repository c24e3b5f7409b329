"""Several files at once, several downloads at once, and whose names errors use."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # pytest's importlib mode leaves neighbours out

from fake_hub import FakeHub  # noqa: E402

import ming_download as downloads  # noqa: E402
from ming_download import DownloadError, Patience, Repository, lock  # noqa: E402
from ming_download.lock import LOCK_NAME, held  # noqa: E402

SHARDS = {f"model-{number}.safetensors": bytes([number]) * 400_000 for number in range(8)}
FILES = {**SHARDS, "config.json": b"{}", "README.md": b"# eight\n"}
HASTY = Patience(silence=20, attempts=3, pause=0.01)
HOLD = """
import sys, time
from pathlib import Path
from ming_download.lock import held
with held(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


class Watch:
    """Keeps the files that are whole; ends the download when told to."""

    def __init__(self):
        self.whole: list[str] = []
        self.sums: list[tuple[int, int]] = []
        self.threads: set[int] = set()
        self.stop = threading.Event()

    def advance(self, done, total):
        self.threads.add(threading.get_ident())
        self.sums.append((done, total))

    def advance_file(self, name, done, total):
        if done == total:
            self.whole.append(name)

    def check_cancelled(self):
        self.threads.add(threading.get_ident())
        if self.stop.is_set():
            self.stop.clear()  # as ComfyUI's interrupt: told once, to whoever asks first
            raise KeyboardInterrupt


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch):
    hub = FakeHub({"owner/eight": dict(FILES), "owner/other": dict(FILES)})
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("MODELSCOPE_ENDPOINT", hub.url)
    monkeypatch.setenv("NO_PROXY", "*")
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "MODELSCOPE_DOMAIN", "MODELSCOPE_API_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    yield hub
    hub.close()


def planned(root: Path, source: str = "Hugging Face", name: str = "owner/eight"):
    return downloads.make_plan(downloads.SOURCES[source](), [Repository(name)], root, Watch())


def assert_whole(root: Path) -> None:
    folder = root / "eight"
    assert {path.name for path in folder.iterdir()} == set(FILES)
    assert all((folder / name).read_bytes() == content for name, content in FILES.items())


@pytest.mark.parametrize("source", ["Hugging Face", "ModelScope"])
def test_eight_files_arrive_side_by_side_and_the_config_last(hub, tmp_path, source):
    meeting = threading.Barrier(8)  # breaks, and so fails the test, where fewer are under way
    hub.before_bytes = lambda path: meeting.wait(20) if path in SHARDS else None
    watch = Watch()
    downloads.download(planned(tmp_path, source), watch, HASTY)
    assert_whole(tmp_path)
    assert hub.requests[-1]["path"] == "config.json"
    assert set(watch.whole) == set(FILES)
    assert watch.sums[-1] == (total := sum(map(len, FILES.values())), total)
    assert watch.threads == {threading.get_ident()}  # a host's bar belongs to one thread


def _size(part: Path) -> int:
    try:
        return part.stat().st_size
    except FileNotFoundError:  # renamed just now
        return 0


def test_one_cancel_ends_all_connections_and_what_came_is_gone_on_from(hub, tmp_path):
    class Impatient(Watch):
        def check_cancelled(self):
            sizes = [_size(part) for part in (tmp_path / "eight").glob("*.part")]
            if sizes.count(100_000) > 1:
                self.stop.set()
            super().check_cancelled()

    hub.faults = [("stall", 100_000)] * 8
    with pytest.raises(KeyboardInterrupt):
        downloads.download(planned(tmp_path), Impatient(), Patience(silence=20))
    parts = list((tmp_path / "eight").glob("*.part"))
    assert len(parts) > 1
    hub.requests.clear()
    downloads.download(planned(tmp_path), Watch(), HASTY)
    assert_whole(tmp_path)
    assert hub.ranges().count("bytes=100000-") > 1
    assert not [t for t in threading.enumerate() if t.name.startswith("ming-download")]


def test_wrong_bytes_in_one_file_end_the_others_and_leave_them(hub, tmp_path):
    hub.wrong = {"model-3.safetensors"}
    with pytest.raises(DownloadError, match=r"model-3\.safetensors: its checksum is"):
        downloads.download(planned(tmp_path), Watch(), HASTY)
    assert not (tmp_path / "eight" / "model-3.safetensors").exists()
    assert not (tmp_path / "eight" / "config.json").exists()
    hub.wrong = set()
    downloads.download(planned(tmp_path), Watch(), HASTY)
    assert_whole(tmp_path)


def test_a_second_download_into_the_same_folder_is_refused_and_told_who_has_it(hub, tmp_path):
    folder = tmp_path / "eight"
    other = subprocess.Popen(
        [sys.executable, "-P", "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        with pytest.raises(DownloadError, match=rf"Another download.*eight.*process {other.pid}"):
            downloads.download(planned(tmp_path), Watch(), HASTY)
        assert [path.name for path in folder.iterdir()] == [LOCK_NAME]
        downloads.download(planned(tmp_path, name="owner/other"), Watch(), HASTY)
    finally:
        other.kill()
        other.wait()
    downloads.download(planned(tmp_path), Watch(), HASTY)  # a killed one holds nothing
    assert_whole(tmp_path)


def test_of_two_downloads_in_one_program_one_is_refused(tmp_path):
    with held(tmp_path), pytest.raises(DownloadError, match="Another download"), held(tmp_path):
        pass
    with held(tmp_path):
        pass
    assert not list(tmp_path.iterdir())


def test_a_disk_without_locks_is_written_to_all_the_same(tmp_path, monkeypatch):
    def refuse(_stream):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("ming_download.lock._lock", refuse)
    with held(tmp_path):
        pass


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps what is open")
def test_a_lock_that_its_holder_has_just_removed_is_taken_anew(tmp_path, monkeypatch):
    own, streams = lock._lock, []

    def late(stream):
        own(stream)
        streams.append(stream)
        if len(streams) == 1:
            (tmp_path / LOCK_NAME).unlink()

    monkeypatch.setattr(lock, "_lock", late)
    with held(tmp_path):
        assert len(streams) == 2 and (tmp_path / LOCK_NAME).stat().st_size > 0


def test_what_is_renamed_is_what_was_checked(hub, tmp_path):
    part = tmp_path / "eight" / "model-0.safetensors.part"

    class Meddler(Watch):
        """Writes into the unfinished file, as a second download on a disk without locks would."""

        def check_cancelled(self):
            if not hub.is_closing and part.exists() and part.stat().st_size == 100_000:
                with part.open("r+b") as stream:
                    stream.write(b"other")
                hub.is_closing = True  # ends the stalled connection; the next one goes on

    hub.faults = [None, ("stall", 100_000)]
    with pytest.raises(DownloadError, match=r"model-0\.safetensors: its checksum is"):
        downloads.download(planned(tmp_path), Meddler(), HASTY, num_connections=1)
    assert not part.with_suffix("").exists()


def test_the_settings_of_model_scope_are_read(hub, tmp_path, monkeypatch):
    monkeypatch.setenv("MODELSCOPE_DOMAIN", "nowhere.invalid")  # the newer name counts
    monkeypatch.setenv("MODELSCOPE_API_TOKEN", "ms-secret")
    downloads.download(planned(tmp_path, "ModelScope"), Watch(), HASTY)
    assert {request["authorization"] for request in hub.requests} == {"Bearer ms-secret"}
    assert {request["cookie"] for request in hub.requests} == {"m_session_id=ms-secret"}


def test_a_mirror_is_asked_for_nothing_that_it_might_be_silent_about(hub, tmp_path):
    planned(tmp_path)
    assert not hub.others
