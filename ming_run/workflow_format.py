"""Reads workflow files: JSON of either format in any Unicode encoding, or a picture that holds one.

Knows nothing about nodes; `editor` turns what the page saves into what it sends.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ming_core.errors import ForeignError
from ming_core.foreign_files import open_plain, read_bytes
from ming_core.foreign_json import parse_json
from ming_core.foreign_text import plain
from ming_core.unicode_marks import unicode_encoding

from .host import WorkflowError

_PICTURES = (b"\x89PNG", b"RIFF", b"\xff\xd8\xff", b"\x00\x00\x00")  # PNG, WebP, JPEG, AVIF
_KEYS = ("workflow", "prompt")  # what the page prefers comes first
_MAKE, _MODEL = 271, 272  # EXIF entries of a WebP that ComfyUI wrote: "workflow:{...}"


def read_workflow(path: Path) -> dict[str, Any]:
    """The JSON object in a workflow file of either format, or in a picture that ComfyUI saved."""
    try:
        with open_plain(path) as stream:
            is_picture = stream.read(8).startswith(_PICTURES)
        content = b"" if is_picture else read_bytes(path)
    except (OSError, ForeignError) as error:
        reason = getattr(error, "strerror", None) or plain(error)
        raise WorkflowError(f"{path}: cannot be read ({reason}).") from error
    if is_picture:
        return _from_picture(path)
    try:
        read = parse_json(content.decode(unicode_encoding(content)), "it")
    except (ValueError, ForeignError) as error:
        raise WorkflowError(f"{path}: is not JSON that can be read ({plain(error)}).") from error
    if is_ui_format(read) or is_api_format(read):
        return read
    raise WorkflowError(
        f"{path}: is neither a ComfyUI workflow (an object with 'nodes' and 'links') "
        "nor an API export (an object of nodes with 'class_type' and 'inputs')."
    )


def is_ui_format(content: object) -> bool:
    """True for what the editor saves."""
    return isinstance(content, dict) and isinstance(content.get("nodes"), list)


def is_api_format(content: object) -> bool:
    """True for what the editor sends to the server."""
    if not isinstance(content, dict) or not content:
        return False
    return all(
        isinstance(node, dict)
        and isinstance(node.get("class_type"), str)
        and isinstance(node.get("inputs"), dict)
        for node in content.values()
    )


def _from_picture(path: Path) -> dict[str, Any]:
    for text in _texts_in(path):
        try:
            read = parse_json(text, "it")
        except ForeignError:
            continue
        if is_ui_format(read) or is_api_format(read):
            return read
    raise WorkflowError(
        f"{path}: this picture holds no workflow. ComfyUI keeps one in the PNG and WebP files "
        "that it saves itself, unless it runs with --disable-metadata; pictures that a chat or a "
        "web page has passed on have usually lost it."
    )


def _texts_in(path: Path) -> Iterator[str]:
    from PIL import Image

    try:
        with Image.open(path) as picture:
            kept = {key: str(picture.info[key]) for key in _KEYS if key in picture.info}
            exif = [str(picture.getexif().get(tag, "")) for tag in (_MAKE, _MODEL)]
    except (OSError, ValueError, SyntaxError) as error:
        raise WorkflowError(f"{path}: is a picture that cannot be read ({error}).") from error
    entries = [text.partition(":") for text in exif]
    kept.update({key: text for key, _, text in entries if key in _KEYS and key not in kept})
    yield from (kept[key] for key in _KEYS if key in kept)
