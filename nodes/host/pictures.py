"""Pictures on their way to people: as files with their record, as previews, as thumbnails."""

import json
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import comfy.cli_args
import folder_paths
import numpy
import torch
from comfy_api.latest import io
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from .files import next_file, unsavable

RECORD_KEY = "ming_univision"


def to_pictures(images: Tensor) -> list[Image.Image]:
    """Turn images (B,H,W,3) in 0..1 into pictures."""
    bytes_ = (images.clamp(0, 1) * 255).round().to("cpu", torch.uint8).numpy()
    return [Image.fromarray(numpy.ascontiguousarray(image)) for image in bytes_]


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


def preview(picture: Image.Image, hidden: io.HiddenHolder | None) -> dict[str, Any]:
    """Save a picture for display, with the workflow in it; return what the node's `ui` takes."""
    folder = Path(folder_paths.get_temp_directory())
    folder.mkdir(parents=True, exist_ok=True)
    name = f"ming_timeline_{uuid.uuid4().hex[:12]}.png"
    picture.save(folder / name, pnginfo=workflow_chunks(hidden), compress_level=1)
    return {"images": [{"filename": name, "subfolder": "", "type": "temp"}]}


def thumbnail(name: str, size: int, draw: Callable[[], Image.Image]) -> dict[str, str]:
    """Keep a small picture in the temp folder, drawn unless it is there; say where it is."""
    folder = Path(folder_paths.get_temp_directory())
    entry = {"filename": f"{name}.jpg", "subfolder": "", "type": "temp"}
    path = folder / entry["filename"]
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = folder / f".{uuid.uuid4().hex}.unfinished"
        small = ImageOps.contain(draw().convert("RGB"), (size, size))
        small.save(unfinished, "JPEG", quality=85)
        unfinished.replace(path)
    return entry


def open_thumbnail(entry: Mapping[str, str]) -> Image.Image:
    """Return a picture that `thumbnail` kept."""
    with Image.open(Path(folder_paths.get_temp_directory()) / entry["filename"]) as picture:
        return picture.convert("RGB")


def workflow_chunks(hidden: io.HiddenHolder | None) -> PngInfo | None:
    """Return the workflow as the host's own previews carry it, unless it is told not to."""
    if hidden is None or comfy.cli_args.args.disable_metadata:
        return None
    chunks = PngInfo()
    texts = {"prompt": hidden.prompt, **(hidden.extra_pnginfo or {})}
    for key, value in texts.items():
        if value is not None:
            chunks.add_text(key, json.dumps(value))
    return chunks


def _write_whole(picture: Image.Image, path: Path, chunks: PngInfo | None) -> None:
    """Write under another name first, so that nothing half-written looks like a picture."""
    unfinished = path.with_name(f".{uuid.uuid4().hex}.unfinished")
    try:
        picture.save(unfinished, "PNG", pnginfo=chunks, compress_level=4)
        unfinished.replace(path)
    finally:
        with suppress(FileNotFoundError):
            unfinished.unlink()
