"""One real ComfyUI for the session, with the pack linked in and a tiny random checkpoint."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # pytest's importlib mode leaves neighbours out

from comfy_server import ComfyServer  # noqa: E402

from ming_cli.make_tiny import make_tiny  # noqa: E402
from ming_cli.run.comfyui_process import find_comfyui  # noqa: E402

PACK = Path(__file__).parents[2]
PACK_FOLDER = "ming-univision-nodes"


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

    def start(*options: str) -> ComfyServer:
        base = tmp_path_factory.mktemp("comfyui")
        for name in ("custom_nodes", "input", "output"):
            (base / name).mkdir()
        link_folder(PACK, base / "custom_nodes" / PACK_FOLDER)
        make_tiny(base / "models" / "ming_univision")
        running.append(ComfyServer(comfyui, base, *options))
        return running[-1]

    yield start
    for server in running:
        server.stop()


@pytest.fixture(scope="session")
def server(start: Callable[..., ComfyServer]) -> ComfyServer:
    """The server most tests share, with the host's own settings."""
    return start()


def link_folder(source: Path, target: Path) -> None:
    """Link a folder; on Windows by a junction, which needs no special right."""
    if sys.platform == "win32":
        import _winapi

        _winapi.CreateJunction(str(source), str(target))
    else:
        target.symlink_to(source, target_is_directory=True)
