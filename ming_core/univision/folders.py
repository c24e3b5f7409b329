"""The two folders of a published Ming-UniVision checkpoint: found from either, or from around."""

from dataclasses import dataclass
from pathlib import Path

from ..errors import CheckpointError
from ..foreign_files import is_folder, is_plain_file, subfolders
from ..tensor_files import read_json

NAME = "Ming-UniVision"
SHOWN_FOLDERS = 20


@dataclass(frozen=True, slots=True)
class CheckpointFolder:
    """The two folders of a published checkpoint."""

    univision: Path
    mingtok: Path

    def named(self) -> dict[str, Path]:
        """Return both folders by their names for people."""
        return {NAME: self.univision, "MingTok-Vision": self.mingtok}

    def tokenizer_home(self) -> Path:
        """Return the folder with the tokenizer: beside the weights, or a sibling that has one."""
        siblings = sorted(self.univision.parent.glob("*/tokenizer.json"))
        places = [self.univision, self.mingtok, *(file.parent for file in siblings)]
        found = (place for place in places if is_plain_file(place / "tokenizer.json"))
        return next(found, self.univision)


def holds(path: Path) -> bool:
    """Whether a folder is a Ming-UniVision folder, by its config.json."""
    return _has_config(path, "llm_config")


def _has_config(folder: Path, key: str) -> bool:
    config = folder / "config.json"
    try:
        return is_plain_file(config) and key in read_json(config)
    except CheckpointError:
        return False


def _with_config(folder: Path, key: str) -> list[Path]:
    return [child for child in subfolders(folder) if _has_config(child, key)]


def find_checkpoint(path: Path) -> CheckpointFolder:
    """Find the two folders of a checkpoint from either of them or the folder around them.

    Raises CheckpointError saying what was looked for where.
    """
    if not is_folder(path):
        raise CheckpointError(
            f"{path} is no folder; expected a folder with Ming-UniVision and MingTok-Vision."
        )
    neighbours = path.parent if _has_config(path, "low_level_encoder") else path
    univision = [path] if _has_config(path, "llm_config") else []
    univision += [] if univision else _with_config(neighbours, "llm_config")
    if not univision:
        _refuse_broken_configs([path, *subfolders(neighbours)])
    if len(univision) != 1:
        seen = ", ".join(f.name for f in univision[:SHOWN_FOLDERS]) or "none"
        raise CheckpointError(
            f"{path} should hold one Ming-UniVision folder (a config.json with llm_config); "
            f"found: {seen}. Name the folder itself."
        )
    mingtok = _with_config(univision[0], "low_level_encoder")
    mingtok += _with_config(univision[0].parent, "low_level_encoder")
    if not mingtok:
        _refuse_broken_configs([*subfolders(univision[0]), *subfolders(univision[0].parent)])
        raise CheckpointError(
            f"No MingTok-Vision folder beside {univision[0]}: a folder whose config.json has "
            "low_level_encoder. Its config.json is needed even though its weights may lie in "
            "Ming-UniVision; put MingTok-Vision beside it."
        )
    return CheckpointFolder(univision[0], mingtok[0])


def _refuse_broken_configs(folders: list[Path]) -> None:
    """Raise the error of the first config.json that is there but cannot be read."""
    for folder in folders:
        if is_plain_file(folder / "config.json"):
            read_json(folder / "config.json")


def main_folder(path: Path) -> Path | None:
    """Return the Ming-UniVision folder that a folder is, holds or lies beside, if any."""
    try:
        return find_checkpoint(path).univision
    except CheckpointError:
        return None


def folders(path: Path) -> dict[str, Path]:
    """Return the two folders of a checkpoint by name; raises CheckpointError."""
    return find_checkpoint(path).named()


def weight_folders(path: Path) -> list[Path]:
    """Return the big folder, which may hold the weights of both."""
    return [find_checkpoint(path).univision]
