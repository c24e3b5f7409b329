"""One real ComfyUI for the session, with the pack linked in and a tiny random checkpoint."""

import importlib.util
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # pytest's importlib mode leaves neighbours out

from bases import make_base  # noqa: E402
from browser import Browser  # noqa: E402
from comfy_server import ComfyServer  # noqa: E402
from hosts import FOUND_NONE, FOUND_ONE, PACK, found_hosts, name_of  # noqa: E402

Start = Callable[..., ComfyServer]
NEWEST_FRONTEND = "newest frontend"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what needs a ComfyUI on every one there is, and say so when there is but one.

    What looks at pages also gets the newest frontend, which the newest ComfyUI serves.
    """
    hosts = found_hosts()
    params = [pytest.param(host, id=name_of(host)) for host in hosts]
    if not hosts:
        params = [pytest.param(None, id="none", marks=pytest.mark.skip(FOUND_NONE))]
    if len(hosts) == 1:
        params.append(pytest.param(None, id="second", marks=pytest.mark.skip(FOUND_ONE)))
    if "any_browser" in metafunc.fixturenames:
        newest = [pytest.param(NEWEST_FRONTEND, id="newest-frontend")] if hosts else []
        metafunc.parametrize("any_browser", [*params, *newest], indirect=True, scope="session")
    elif "comfyui" in metafunc.fixturenames:
        metafunc.parametrize("comfyui", params, indirect=True, scope="session")


@pytest.fixture(scope="session")
def comfyui(request: pytest.FixtureRequest) -> Path:
    """The folder of a real ComfyUI."""
    return request.param


@pytest.fixture(scope="session")
def start_on(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Start servers of any host that know only this pack and the tiny checkpoint.

    All end with the session, for tests go back and forth between hosts.
    """
    running: list[ComfyServer] = []

    def start(comfyui: Path, *options: str, share: float | None = None) -> ComfyServer:
        base = make_base(tmp_path_factory.mktemp("comfyui") / "base", share)
        running.append(ComfyServer(comfyui, base, *options))
        return running[-1]

    yield start
    for server in running:
        server.stop()


@pytest.fixture(scope="session")
def start(comfyui: Path, start_on: Start) -> Start:
    """Start servers of the host under test."""
    return partial(start_on, comfyui)


@pytest.fixture(scope="session")
def server_of(start_on: Start) -> Callable[[Path], ComfyServer]:
    """The server of a host that most tests share, with the host's own settings."""
    return cache(start_on)


@pytest.fixture(scope="session")
def server(comfyui: Path, server_of: Callable[[Path], ComfyServer]) -> ComfyServer:
    """The server most tests of a host share."""
    return server_of(comfyui)


@pytest.fixture(scope="session")
def shots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where screenshots are kept: the folder MING_SCREENSHOTS, else a temporary one."""
    named = os.environ.get("MING_SCREENSHOTS")
    folder = Path(named) if named else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def browser_of(
    server_of: Callable[[Path], ComfyServer],
    start_on: Start,
    shots: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[Path | str], Browser]]:
    """The browser that shows a host's own frontend, or the newest one; all end with the session."""
    if importlib.util.find_spec("selenium") is None or shutil.which("chromedriver") is None:
        pytest.skip("no browser: pip install selenium, and chromium with chromedriver")
    opened: list[Browser] = []

    @cache
    def browser_of(page: Path | str) -> Browser:
        is_newer = page == NEWEST_FRONTEND
        if is_newer:
            static = _newest_frontend(tmp_path_factory.mktemp("frontend"))
            server = start_on(found_hosts()[0], "--front-end-root", str(static))
        else:
            server = server_of(Path(page))
        for picture in (PACK / "workflows" / "input").glob("*.png"):
            shutil.copy(picture, server.base / "input")
        name = NEWEST_FRONTEND if is_newer else name_of(Path(page))
        opened.append(Browser(server, shots, name, is_newer=is_newer))
        return opened[-1]

    yield browser_of
    for browser in opened:
        browser.close()


@pytest.fixture(scope="session")
def browser(comfyui: Path, browser_of: Callable[[Path | str], Browser]) -> Iterator[Browser]:
    """The frontend that ships with the ComfyUI under test."""
    with browser_of(comfyui).held() as browser:
        yield browser


@pytest.fixture(scope="session")
def any_browser(
    request: pytest.FixtureRequest, browser_of: Callable[[Path | str], Browser]
) -> Iterator[Browser]:
    """Every frontend in turn: each host's own, and the newest."""
    with browser_of(request.param).held() as browser:
        yield browser


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
