"""What only files need of ComfyUI: where downloads go, and pictures saved with their record."""

import json
import sys
import uuid
from contextlib import suppress
from pathlib import Path

import folder_paths
import torch
from comfy_api.latest import io
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from ..ming_core import LatentContext
from .host import (
    FOLDER_TYPE,
    HostedModel,
    HostProgress,
    next_file,
    to_pictures,
    unsavable,
    workflow_chunks,
)

RECORD_KEY = "ming_univision"


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
    folder = Path(folder_paths.get_input_directory())
    files = folder.iterdir() if folder.is_dir() else ()
    return sorted(file for file in files if file.suffix.lower() in suffixes and file.is_file())


def precision_of(model: HostedModel | None, context: LatentContext) -> str:
    """Return the number format of a model's weights; without it, that of what it remembers."""
    if model is None:
        formats = [segment.keys.dtype for segment in context.segments]
        return _name_of(formats[0]) if formats else "unknown"
    return model.engine.quantisation or _name_of(model.engine.dtype)


def save_images(
    images: Tensor, prefix: str, record: dict[str, object], hidden: io.HiddenHolder | None
) -> list[dict[str, str]]:
    """Write pictures as the host's Save Image does, with one chunk more; return what `ui` takes.

    images   (B,H,W,3) in 0..1
    """
    height, width = images.shape[1:3]
    folder, stem, counter, subfolder = next_file(prefix, width, height)
    chunks = workflow_chunks(hidden)
    if chunks is not None:
        chunks.add_text(RECORD_KEY, json.dumps(record))
    written = []
    for index, picture in enumerate(to_pictures(images)):
        name = f"{stem.replace('%batch_num%', str(index))}_{counter + index:05}_.png"
        try:
            _write_whole(picture, folder / name, chunks)
        except (OSError, ValueError) as error:
            raise unsavable(prefix, error) from error
        written.append({"filename": name, "subfolder": subfolder, "type": "output"})
    return written


def _name_of(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _write_whole(picture: Image.Image, path: Path, chunks: PngInfo | None) -> None:
    """Write under another name first, so that nothing half-written looks like a picture."""
    unfinished = path.with_name(f".{uuid.uuid4().hex}.unfinished")
    try:
        picture.save(unfinished, "PNG", pnginfo=chunks, compress_level=4)
        unfinished.replace(path)
    finally:
        with suppress(FileNotFoundError):
            unfinished.unlink()
