"""Which ComfyUIs the tests run on: every one that is found, the newest first."""

import re
from pathlib import Path

from bases import PACK

from ming_run.comfyui_process import find_comfyui, is_comfyui, named_comfyui

FOUND_NONE = (
    "no ComfyUI found: set COMFYUI_PATH, or install one at ~/comfy/ComfyUI, or put the pack into "
    "its custom_nodes"
)
FOUND_ONE = "a second ComfyUI: name both in COMFYUI_PATH, separated as in PATH"


def found_hosts() -> list[Path]:
    """Return what COMFYUI_PATH names, else every ~/comfy*/ComfyUI, else the one around the pack."""
    beside = (folder / "ComfyUI" for folder in Path.home().glob("comfy*"))
    found = named_comfyui() or [folder.resolve() for folder in beside if is_comfyui(folder)]
    around = find_comfyui(PACK)
    return sorted(found or [around] if around else found, key=version_of, reverse=True)


def version_of(host: Path) -> tuple[int, ...]:
    """Return a ComfyUI's version, (0, 33, 0)."""
    text = (host / "comfyui_version.py").read_text(encoding="utf-8")
    found = re.search(r'__version__ = "(\d+)\.(\d+)\.(\d+)', text)
    return tuple(map(int, found.groups())) if found else ()


def name_of(host: Path) -> str:
    """Return a ComfyUI's version as people write it."""
    return ".".join(map(str, version_of(host)))
