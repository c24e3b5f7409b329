"""The file of a checkpoint's calibrated schedules, which lies in its main folder."""

import json
from dataclasses import asdict
from pathlib import Path

from ..errors import CheckpointError
from ..tensor_files import read_json
from .flow.schedule import Calibrated, Schedules

FILE_NAME = "ming_schedules.json"
VERSION = 1


def read_schedules(folder: Path, identity: str) -> Schedules | None:
    """Read those of a checkpoint folder; None without any, or where they are another model's.

    Raises CheckpointError where the file cannot be read.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        return None
    kept = read_json(path)
    if (kept.get("version"), kept.get("identity")) != (VERSION, identity):
        return None
    try:
        found = {
            int(steps): Calibrated(tuple(map(float, one["grid"])), float(one["error"]))
            for steps, one in kept["by_steps"].items()
        }
        rounding = None if kept["rounding"] is None else float(kept["rounding"])
        read = Schedules(identity, int(kept["published"]), rounding, found)
        read.check()
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise CheckpointError(
            f"{path} holds no schedules ({error}). Delete it, and run ming calibrate again."
        ) from error
    return read


def write_schedules(schedules: Schedules, folder: Path) -> Path:
    """Write the schedules of a checkpoint into its main folder; returns the file."""
    path = folder / FILE_NAME
    text = json.dumps({"version": VERSION, **asdict(schedules)}, indent=1)
    path.write_text(text + "\n", encoding="utf-8")
    return path
