"""Finds a ComfyUI on this machine, starts it with folders of our own, and ends it again."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .host import Folders, HostError

PACK_FOLDER = "ming-univision-nodes"
GUARD = Path(__file__).with_name("guard.py")
_LEFT_OUT = (".git", ".venv", ".quickstart", "output", "models", "tests", "docs", "__pycache__")
_PYTHONS = (
    ".venv/bin/python",
    ".venv/Scripts/python.exe",
    "venv/bin/python",
    "venv/Scripts/python.exe",
    "../python_embeded/python.exe",  # the portable Windows build spells it so
)


def named_comfyui() -> list[Path]:
    """What COMFYUI_PATH names: one ComfyUI, or several, separated as in PATH."""
    names = os.environ.get("COMFYUI_PATH", "").split(os.pathsep)
    return [checked_comfyui(Path(name)) for name in names if name]


def find_comfyui(pack: Path) -> Path | None:
    """COMFYUI_PATH, else ~/comfy/ComfyUI, else the ComfyUI whose custom_nodes holds the pack."""
    if named := named_comfyui():
        return named[0]
    for candidate in (Path.home() / "comfy" / "ComfyUI", pack.parent.parent):
        if is_comfyui(candidate):
            return candidate.resolve()
    return None


def is_comfyui(folder: Path) -> bool:
    """True for the folder of a ComfyUI checkout."""
    return (folder / "main.py").is_file() and (folder / "comfy").is_dir()


def checked_comfyui(folder: Path) -> Path:
    """The folder, or an error that says what it should hold."""
    folder = folder.expanduser().resolve()
    if not is_comfyui(folder):
        raise HostError(
            f"{folder}: is not a ComfyUI folder (no main.py beside a folder 'comfy'). Give the "
            "folder that holds main.py, or use --headless."
        )
    return folder


def python_of(root: Path) -> Path:
    """ComfyUI's own Python, else the one we run on."""
    found = (root / relative for relative in _PYTHONS if (root / relative).exists())
    return next(found, Path(sys.executable))


def has_accelerator() -> bool:
    """A guess without importing torch; ComfyUI needs to be told when there is only a CPU."""
    devices = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
    is_there = any(Path(device).exists() for device in devices)
    return is_there or sys.platform == "darwin" or shutil.which("nvidia-smi") is not None


class ComfyProcess:
    """A running `main.py`, listening on a free port of this machine only."""

    def __init__(self, root: Path, folders: Folders, arguments: list[str]) -> None:
        self.root = root
        self._log = folders.work / "comfyui.log"
        port = _free_port()
        self.url = f"http://127.0.0.1:{port}"
        _lay_out_base(root, folders)
        command = [str(python_of(root)), str(root / "main.py"), "--port", str(port)]
        command += _folder_arguments(folders)
        command += [] if has_accelerator() or "--cpu" in arguments else ["--cpu"]
        self._process = _start(command + arguments, root, self._log)

    def is_alive(self) -> bool:
        """True while the server process runs."""
        return self._process.poll() is None

    def last_lines(self, count: int = 30) -> str:
        """The end of the server's log."""
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(f"  | {line}" for line in lines[-count:])

    def stop(self) -> None:
        """End the server, gently first: its guard ends it when our end of the pipe is closed."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait()


def _start(command: list[str], root: Path, log: Path) -> "subprocess.Popen[Any]":
    """Start in a group of its own: Ctrl-C in the terminal reaches us alone, and we pass it on.

    Its guard ends it when we are killed.
    """
    command = [sys.executable, "-I", str(GUARD), *command]
    environment = {key: os.environ[key] for key in os.environ if key not in ("PYTHONSAFEPATH",)}
    environment["PYTHONUNBUFFERED"] = "1"
    group: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        group = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    with log.open("wb") as stream:
        return subprocess.Popen(
            command,
            cwd=root,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=stream,
            stderr=subprocess.STDOUT,
            **group,
        )


@contextmanager
def terminated_as_interrupted() -> Iterator[None]:
    """Make a polite kill of our own process clean up as Ctrl-C does."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield  # signals can be set in the main thread only
        return
    previous = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _folder_arguments(folders: Folders) -> list[str]:
    return [
        "--base-directory",
        str(folders.work),
        "--input-directory",
        str(folders.input),
        "--output-directory",
        str(folders.output),
        "--extra-model-paths-config",
        str(folders.work / "model_paths.yaml"),
        "--database-url",
        "sqlite:///:memory:",
        "--disable-auto-launch",
        "--disable-api-nodes",
    ]


def _lay_out_base(root: Path, folders: Folders) -> None:
    """A base directory that holds only our pack, and finds the real one's models."""
    for folder in (folders.work / "custom_nodes", folders.input, folders.output):
        folder.mkdir(parents=True, exist_ok=True)
    sections = {"comfyui": {"base_path": str(root), "ming_univision": "models/ming_univision"}}
    if folders.checkpoint_root is not None:
        given = {"ming_univision": str(folders.checkpoint_root), "is_default": True}
        sections = {"given": given, **sections}
    # JSON is YAML, and needs no quoting rules of our own.
    (folders.work / "model_paths.yaml").write_text(json.dumps(sections), encoding="utf-8")
    _make_visible(folders.pack, folders.work / "custom_nodes" / PACK_FOLDER)


def _make_visible(pack: Path, target: Path) -> None:
    if target.exists():
        return
    try:
        target.symlink_to(pack, target_is_directory=True)
    except OSError:  # Windows without the right to make links
        shutil.copytree(pack, target, ignore=shutil.ignore_patterns(*_LEFT_OUT))
