"""One real ComfyUI for the session, with the pack linked in and a tiny random checkpoint."""

import importlib.util
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # pytest's importlib mode leaves neighbours out

from bases import PACK, make_base  # noqa: E402
from browser import Browser  # noqa: E402
from comfy_server import ComfyServer  # noqa: E402

from ming_run.comfyui_process import find_comfyui  # noqa: E402


@pytest.fixture(scope="session")
def comfyui() -> Path:
    """The folder of a real ComfyUI; without one, whatever asks for it is skipped."""
    found = find_comfyui(PACK)
    if found is None:
        pytest.skip(
            "no ComfyUI found: set COMFYUI_PATH, or install one at ~/comfy/ComfyUI, or put the "
            "pack into its custom_nodes"
        )
    return found


@pytest.fixture(scope="session")
def start(
    comfyui: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., ComfyServer]]:
    """Start servers that know only this pack and the tiny checkpoint; all end with the session."""
    running: list[ComfyServer] = []

    def start(*options: str, share: float | None = None) -> ComfyServer:
        base = make_base(tmp_path_factory.mktemp("comfyui") / "base", share)
        running.append(ComfyServer(comfyui, base, *options))
        return running[-1]

    yield start
    for server in running:
        server.stop()


@pytest.fixture(scope="session")
def server(start: Callable[..., ComfyServer]) -> ComfyServer:
    """The server most tests share, with the host's own settings."""
    return start()


@pytest.fixture(scope="session")
def shots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where screenshots are kept: the folder MING_SCREENSHOTS, else a temporary one."""
    named = os.environ.get("MING_SCREENSHOTS")
    folder = Path(named) if named else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def browser(request: pytest.FixtureRequest, shots: Path) -> Iterator[Browser]:
    """The frontend that ships with the ComfyUI under test."""
    _need_a_browser()
    yield from _browse(request.getfixturevalue("server"), shots)


@pytest.fixture(scope="session")
def newest_browser(
    request: pytest.FixtureRequest, shots: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Browser]:
    """The newest frontend of the package index, on a server of its own."""
    _need_a_browser()
    static = _newest_frontend(tmp_path_factory.mktemp("frontend"))
    start = request.getfixturevalue("start")
    yield from _browse(start("--front-end-root", str(static)), shots, is_newer=True)


def _browse(server: ComfyServer, shots: Path, *, is_newer: bool = False) -> Iterator[Browser]:
    for picture in (PACK / "workflows" / "input").glob("*.png"):
        shutil.copy(picture, server.base / "input")
    opened = Browser(server, shots, is_newer=is_newer)
    yield opened
    opened.close()


def _need_a_browser() -> None:
    if importlib.util.find_spec("selenium") is None or shutil.which("chromedriver") is None:
        pytest.skip("no browser: pip install selenium, and chromium with chromedriver")


def _newest_frontend(folder: Path) -> Path:
    """Fetch the frontend package; MING_FRONTEND_ROOT names an unpacked one instead."""
    if named := os.environ.get("MING_FRONTEND_ROOT"):
        return Path(named)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--dest", str(folder), "comfyui-frontend-package"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    wheels = list(folder.glob("*.whl"))
    if answer.returncode or not wheels:
        pytest.skip(f"the newest frontend could not be fetched: {answer.stderr.strip()[-200:]}")
    with zipfile.ZipFile(wheels[0]) as archive:
        archive.extractall(folder)
    return folder / "comfyui_frontend_package" / "static"
