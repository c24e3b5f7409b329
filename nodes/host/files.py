"""Where the host keeps files: checkpoints, contexts, lists, and the names of what is saved."""

import sys
from pathlib import Path

import folder_paths
from comfy_api.latest import io

from ...ming_core import (
    ContextError,
    LatentContext,
    MingError,
    entries_of,
    is_plain_file,
    plain,
    save_context,
    shown,
)
from ..folders import CONTEXT_SUFFIX, CheckpointFolders, ContextFolders
from .progress import HostProgress

FOLDER_TYPE = "ming_univision"

# Added, never assigned: extra_model_paths.yaml is read before packs are loaded.
folder_paths.add_model_folder_path(
    FOLDER_TYPE, str(Path(folder_paths.models_dir) / FOLDER_TYPE), is_default=False
)


def checkpoints() -> CheckpointFolders:
    """Return the folders that checkpoints are chosen from."""
    roots = tuple(Path(root) for root in folder_paths.get_folder_paths(FOLDER_TYPE))
    return CheckpointFolders(roots, Path(__file__).parents[2] / "bundled")


def contexts() -> ContextFolders:
    """Return the folders that saved contexts are chosen from."""
    return ContextFolders(
        Path(folder_paths.get_input_directory()), Path(folder_paths.get_output_directory())
    )


class DownloadProgress(HostProgress):
    """A download on the bar of the running node, and its current file as text below it."""

    def __init__(self, hidden: io.HiddenHolder | None) -> None:
        super().__init__()
        self._node = hidden.unique_id if hidden else None

    def advance_file(self, name: str, done: int, total: int) -> None:
        """Say which file is being read and how far it is; hosts without a page are not told."""
        server = getattr(sys.modules.get("server"), "PromptServer", None)
        page = getattr(server, "instance", None)
        if page is not None and self._node is not None:
            text = f"{name}\n{done / 1e6:,.1f} of {total / 1e6:,.1f} MB"
            page.send_progress_text(text, self._node)


def download_root() -> Path:
    """Return the first of the folders that checkpoints are looked for in."""
    return Path(folder_paths.get_folder_paths(FOLDER_TYPE)[0]).resolve()


def input_files(suffixes: tuple[str, ...]) -> list[Path]:
    """Return the files of some kinds that lie directly in the input folder."""
    files = entries_of(Path(folder_paths.get_input_directory()))
    return [file for file in files if file.suffix.lower() in suffixes and is_plain_file(file)]


def next_file(prefix: str, *size: int) -> tuple[Path, str, int, str]:
    """Return folder, stem, counter and subfolder for the next file of a prefix in the output.

    Raises MingError when the host cannot put a file there.
    """
    try:
        folder, stem, counter, subfolder, _ = folder_paths.get_save_image_path(
            prefix, folder_paths.get_output_directory(), *size
        )
    except Exception as error:  # noqa: BLE001  the host raises bare Exceptions here
        raise unsavable(prefix, error) from error
    return Path(folder), stem, counter, subfolder


def unsavable(prefix: str, error: Exception) -> MingError:
    """Say that nothing can be saved under a prefix, and what to do."""
    reason = getattr(error, "strerror", None) or plain(error)
    return MingError(
        f"Nothing can be saved under the prefix {shown(prefix)}: {reason}\nGive a short prefix "
        "that stays inside the output folder, and check that there is room and the right to write."
    )


def write_context(context: LatentContext, prefix: str) -> str:
    """Save a context as the next free file of `prefix`; return the name a choice would have."""
    folder, stem, counter, subfolder = next_file(prefix)
    name = f"{stem}_{counter:05}_{CONTEXT_SUFFIX}"
    try:
        save_context(context, folder / name)
    except (OSError, ValueError, ContextError) as error:
        raise unsavable(prefix, error) from error
    return f"{(Path(subfolder) / name).as_posix()} [output]"
