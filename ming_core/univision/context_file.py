"""Latent contexts <-> one safetensors file each: tensors, and a JSON header saying what they are.

Nothing that can run code is written or read.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import save
from torch import Tensor

from ..errors import ContextError, MingError
from ..foreign_code import guarded
from ..foreign_files import is_plain_file
from ..foreign_json import parse_json
from ..foreign_text import plain, shown
from ..places import compare, first_of
from ..tensor_files import open_tensors
from .context import LatentContext, Part, Picture, Text, Turn
from .context_header import expected_tensors, read_context

HEADER_KEY = "ming_context"
VERSION = 1
AGAIN = "save the context again"


def save_context(context: LatentContext, path: Path) -> None:
    """Write a context to `path`, which appears only once it is whole.

    Raises ContextError when it cannot be written; what was there before is then still there.
    """
    tensors: dict[str, Tensor] = {}
    for index, segment in enumerate(context.segments):
        tensors[f"segment.{index}.keys"] = segment.keys
        tensors[f"segment.{index}.values"] = segment.values
    turns = [_turn_header(turn, f"turn.{i}", tensors) for i, turn in enumerate(context.turns)]
    left_out = [
        {"before": gone.before, "turn": _turn_header(gone.turn, f"left_out.{i}", tensors)}
        for i, gone in enumerate(context.left_out)
    ]
    header = {
        "version": VERSION,
        "model_identity": context.model_identity,
        "num_segments": len(context.segments),
        "turns": turns,
        # Not in files from before windows.
        "left_out": left_out,
        "carried": _carried_header(context.carried, "carried", tensors),
    }
    # The safetensors writer refuses tensors that share memory, as pictures of one batch do.
    whole = {name: tensor.clone().contiguous() for name, tensor in tensors.items()}
    unfinished = path.with_name(path.name + ".part")

    def unwritten(reason: str) -> ContextError:
        return ContextError(
            f"{path} could not be written ({reason}); is the folder there, writable, and the disk "
            "not full?"
        )

    try:
        with guarded(unwritten, SafetensorError, OSError):
            # Written here: the package's own writer leaves files of other names when it is killed.
            unfinished.write_bytes(save(whole, metadata={HEADER_KEY: json.dumps(header)}))
            unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def load_context(path: Path) -> LatentContext:
    """Read a context, bit for bit as it was saved.

    Raises ContextError when the file is missing, broken, or no context of a known version.
    """
    if not is_plain_file(path):
        raise ContextError(
            f"{plain(path)} does not exist; save a latent context first, or pick another."
        )

    def broken(reason: str) -> ContextError:
        return ContextError(f"{path} is no whole safetensors file ({reason}); {AGAIN}.")

    file, stored = open_tensors(path, broken)
    with guarded(broken, SafetensorError, OSError):
        metadata: Mapping[str, str] = file.metadata() or {}
    if HEADER_KEY not in metadata:
        raise ContextError(
            f"{path} is a safetensors file, but no saved latent context: its header lacks "
            f"{HEADER_KEY!r}. Pick a file written by Save Latent Context."
        )
    try:
        header = parse_json(metadata[HEADER_KEY], f"the header of {path}")
        _refuse_other_version(header, path)
        problems = compare(stored, expected_tensors(header, stored), source="its header")
        if problems:
            listed = "\n  ".join(first_of(problems))
            raise ContextError(f"{path} does not hold what its turns count:\n  {listed}\n{AGAIN}.")
        with guarded(broken, SafetensorError, OSError):
            # Clones, so that the file can be replaced while the context lives on.
            tensors = {name: file.get_tensor(name).clone() for name in stored}
        return read_context(header, tensors)
    except ContextError:
        raise
    except (MingError, ValueError, LookupError, TypeError, AttributeError) as error:
        reason = plain(error) if isinstance(error, MingError) else plain(repr(error))
        raise ContextError(f"{path} has a damaged header ({reason}); {AGAIN}.") from error


def _refuse_other_version(header: dict[str, Any], path: Path) -> None:
    if header["version"] != VERSION:
        raise ContextError(
            f"{path} is a latent context of version {shown(header['version'])}; this pack reads "
            f"version {VERSION}. Update the pack, or save the context again."
        )


def _turn_header(turn: Turn, name: str, tensors: dict[str, Tensor]) -> dict[str, Any]:
    return {
        "parts": _part_headers(turn.parts, f"{name}.parts", tensors),
        "reply": _part_headers(turn.reply, f"{name}.reply", tensors),
        "num_prompt_tokens": turn.num_prompt_tokens,
        "num_reply_tokens": turn.num_reply_tokens,
        "seed": turn.seed,
        "image_sampling": turn.image_sampling and asdict(turn.image_sampling),
        "text_sampling": turn.text_sampling and asdict(turn.text_sampling),
        "carried": _carried_header(turn.carried, f"{name}.carried", tensors),
        "reply_ids": list(turn.reply_ids),
    }


def _carried_header(
    carried: Picture | None, name: str, tensors: dict[str, Tensor]
) -> list[dict[str, Any]]:
    return [] if carried is None else _part_headers((carried,), name, tensors)


def _part_headers(
    parts: tuple[Part, ...], name: str, tensors: dict[str, Tensor]
) -> list[dict[str, Any]]:
    headers: list[dict[str, Any]] = []
    for index, part in enumerate(parts):
        if isinstance(part, Text):
            headers.append({"text": part.text})
        else:
            tensors[f"{name}.{index}"] = part.features.values
            frame = part.features.frame
            header = {"picture": f"{name}.{index}", "grid": list(part.features.grid)}
            # Not in files from before frames.
            headers.append(header | ({} if frame is None else {"frame": asdict(frame)}))
    return headers
