"""Ming-UniVision as the door of families knows it."""

from pathlib import Path

from ..errors import CheckpointError
from .checkpoint import open_checkpoint
from .folders import NAME, find_checkpoint, holds

__all__ = ["NAME", "folders", "holds", "main_folder", "open_checkpoint"]


def main_folder(path: Path) -> Path | None:
    """Return the Ming-UniVision folder that a folder is, holds or lies beside, if any."""
    try:
        return find_checkpoint(path).univision
    except CheckpointError:
        return None


def folders(path: Path) -> dict[str, Path]:
    """Return the two folders of a checkpoint by name; raises CheckpointError."""
    return find_checkpoint(path).named()
