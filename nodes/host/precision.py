"""Picks the precision of a model for the device and the memory the host has, and says why."""

import logging
from dataclasses import replace
from pathlib import Path

import comfy.cli_args
import comfy.model_management
import torch

from ...ming_core import (
    FLOATS,
    QUANTISATIONS,
    CheckpointError,
    Room,
    measured_speeds,
    pick_precision,
    stored_quantisation,
)
from ..folders import AUTO
from .progress import HostProgress
from .results import GIB, headroom

PRECISIONS = (AUTO, *sorted(FLOATS), *QUANTISATIONS)


def held_precision(path: Path, asked: str) -> str:
    """Return the precision asked for, or the one a folder was quantised to, and tell the user."""
    stored = stored_quantisation(path)
    if stored is None or asked in (AUTO, stored):  # auto still looks whether it fits
        return asked
    text = f"this folder holds its weights in {stored}; precision is for folders as published"
    _tell(path, text)
    return stored


def automatic_precision(path: Path, device: torch.device) -> str:
    """Return the most exact precision that fits, and tell the user; raises when none does."""
    room = _room(device)
    try:  # what the host likes to keep free decides which precision, but not whether there is one
        choice = pick_precision(path, _with_headroom(room))
    except CheckpointError:
        choice = pick_precision(path, room)
    _tell(path, f"precision auto: {choice.need.precision} ({choice.reason})")
    return choice.need.precision


def dtype_of(precision: str, device: torch.device) -> torch.dtype:
    """Return what a precision computes in; quantised weights take what the device is best at."""
    return FLOATS.get(precision) or FLOATS[_best_floats(device)]


def quantisation_of(precision: str) -> str | None:
    """Return the quantisation that a precision names, None for floats."""
    return precision if precision in QUANTISATIONS else None


def _tell(path: Path, text: str) -> None:
    logging.getLogger("ming").info("%s: %s", path.name, text)
    HostProgress().say(text)


def _best_floats(device: torch.device) -> str:
    """Return the format the device is best at, which on a CPU is measured."""
    mm = comfy.model_management
    if mm.is_device_cpu(device):
        return measured_speeds().floats
    if mm.should_use_bf16(device):
        return "bf16"
    return "fp16" if mm.should_use_fp16(device) else "fp32"


def _with_headroom(room: Room) -> Room:
    return room if room.ram is None else replace(room, ram=max(0, room.ram - headroom()))


def _room(device: torch.device) -> Room:
    mm = comfy.model_management
    ram = mm.get_free_memory(torch.device("cpu"))
    if mm.is_device_cpu(device):
        speeds = measured_speeds()
        return Room(None, ram, floats=speeds.floats, speeds=speeds)
    # What other models hold there makes way when this one is loaded.
    others = (m for m in mm.current_loaded_models if m.device == device)
    free = mm.get_free_memory(device) + sum(model.model_loaded_memory() for model in others)
    spare = getattr(mm, "extra_reserved_memory", lambda: 0)()
    spare += int(getattr(comfy.cli_args.args, "vram_headroom", 0) * GIB)  # newer hosts keep more
    return Room(free, ram, spare, _best_floats(device))
