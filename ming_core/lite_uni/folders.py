"""The folder of a published Ming-Lite-Uni checkpoint: found from it, from inside or from around."""

from pathlib import Path

from ..errors import CheckpointError
from ..foreign_files import is_folder, is_plain_file, subfolders

NAME = "Ming-Lite-Uni"
VISION, LANGUAGE, CONNECTOR = "qwen2_5_vit", "qwen2_5_llm", "connector"
GLUE, TRANSFORMER, AUTOENCODER, SCHEDULER = "mlp", "transformer", "vae", "scheduler"
FOLDERS = (VISION, LANGUAGE, CONNECTOR, GLUE, TRANSFORMER, AUTOENCODER)  # with weights
# Later relatives have these too; they are told apart by what their transformer says it is.
MARKS = (CONNECTOR, TRANSFORMER)


def holds(path: Path) -> bool:
    """Whether a folder is a Ming-Lite-Uni folder, or that of a later relative; by its folders."""
    return all(is_plain_file(path / mark / "config.json") for mark in MARKS)


def find_checkpoint(path: Path) -> Path:
    """Find the folder with the seven folders from it, from one of them or from around it.

    Raises CheckpointError saying what was looked for where.
    """
    if not is_folder(path):
        raise CheckpointError(f"{path} is no folder; expected a folder with {_seven()}.")
    found = [folder for folder in (path, path.parent) if holds(folder)][:1]
    if not found:
        found = list(filter(holds, subfolders(path)))
    if len(found) != 1:
        seen = ", ".join(folder.name for folder in found) or "none"
        raise CheckpointError(
            f"{path} should hold one Ming-Lite-Uni folder, with {_seven()}; found: {seen}. "
            "Name the folder itself."
        )
    return found[0]


def main_folder(path: Path) -> Path | None:
    """Return the Ming-Lite-Uni folder that a folder is, holds or lies in, if any."""
    try:
        return find_checkpoint(path)
    except CheckpointError:
        return None


def folders(path: Path) -> dict[str, Path]:
    """Return the folders of a checkpoint by name, the one around the others first."""
    root = find_checkpoint(path)
    inner = (folder for folder in (*FOLDERS, SCHEDULER) if is_folder(root / folder))
    return {NAME: root, **{folder: root / folder for folder in inner}}


def _seven() -> str:
    return ", ".join((*FOLDERS, SCHEDULER))
