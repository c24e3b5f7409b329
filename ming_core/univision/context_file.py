"""Latent contexts <-> one safetensors file each: tensors, and a JSON header saying what they are.

Nothing that can run code is written or read.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ..errors import ContextError, MingError
from ..kv_cache import KVSegment
from ..sampling import TextSampling
from .context import LatentContext, Part, Picture, Text, Turn
from .sampling import ImageSampling
from .values import Features

HEADER_KEY = "ming_context"
VERSION = 1


def save_context(context: LatentContext, path: Path) -> None:
    """Write a context to `path`, which appears only once it is whole.

    Raises ContextError when it cannot be written; what was there before is then still there.
    """
    tensors: dict[str, Tensor] = {}
    for index, segment in enumerate(context.segments):
        tensors[f"segment.{index}.keys"] = segment.keys
        tensors[f"segment.{index}.values"] = segment.values
    turns = [_turn_header(turn, f"turn.{i}", tensors) for i, turn in enumerate(context.turns)]
    header = {
        "version": VERSION,
        "model_identity": context.model_identity,
        "num_segments": len(context.segments),
        "turns": turns,
    }
    # The safetensors writer refuses tensors that share memory, as pictures of one batch do.
    whole = {name: tensor.clone().contiguous() for name, tensor in tensors.items()}
    unfinished = path.with_name(path.name + ".part")
    try:
        save_file(whole, str(unfinished), metadata={HEADER_KEY: json.dumps(header)})
        unfinished.replace(path)
    except (SafetensorError, OSError) as error:
        raise ContextError(
            f"{path} could not be written ({error}); is the folder there, writable, and the disk "
            "not full?"
        ) from error
    finally:
        unfinished.unlink(missing_ok=True)


def load_context(path: Path) -> LatentContext:
    """Read a context, bit for bit as it was saved.

    Raises ContextError when the file is missing, broken, or no context of a known version.
    """
    if not path.is_file():
        raise ContextError(f"{path} does not exist; save a latent context first, or pick another.")
    try:
        with safe_open(str(path), framework="pt", device="cpu") as file:
            metadata: Mapping[str, str] = file.metadata() or {}
            if HEADER_KEY not in metadata:
                raise ContextError(
                    f"{path} is a safetensors file, but no saved latent context: its header lacks "
                    f"{HEADER_KEY!r}. Pick a file written by Save Latent Context."
                )
            # Clones, so that the file can be replaced while the context lives on.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
        return _read_context(json.loads(metadata[HEADER_KEY]), tensors, path)
    except ContextError:
        raise
    except (SafetensorError, OSError) as error:
        raise ContextError(
            f"{path} is no whole safetensors file ({error}); save the context again."
        ) from error
    except (MingError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise ContextError(
            f"{path} has a damaged header ({error!r}); save the context again."
        ) from error


def _turn_header(turn: Turn, name: str, tensors: dict[str, Tensor]) -> dict[str, Any]:
    return {
        "parts": _part_headers(turn.parts, f"{name}.parts", tensors),
        "reply": _part_headers(turn.reply, f"{name}.reply", tensors),
        "num_prompt_tokens": turn.num_prompt_tokens,
        "num_reply_tokens": turn.num_reply_tokens,
        "seed": turn.seed,
        "image_sampling": turn.image_sampling and asdict(turn.image_sampling),
        "text_sampling": turn.text_sampling and asdict(turn.text_sampling),
    }


def _part_headers(
    parts: tuple[Part, ...], name: str, tensors: dict[str, Tensor]
) -> list[dict[str, Any]]:
    headers: list[dict[str, Any]] = []
    for index, part in enumerate(parts):
        if isinstance(part, Text):
            headers.append({"text": part.text})
        else:
            tensors[f"{name}.{index}"] = part.features.values
            headers.append({"picture": f"{name}.{index}", "grid": list(part.features.grid)})
    return headers


def _read_context(header: dict[str, Any], tensors: dict[str, Tensor], path: Path) -> LatentContext:
    if header["version"] != VERSION:
        raise ContextError(
            f"{path} is a latent context of version {header['version']}; this pack reads version "
            f"{VERSION}. Update the pack, or save the context again."
        )
    segments = tuple(
        KVSegment(tensors[f"segment.{i}.keys"], tensors[f"segment.{i}.values"])
        for i in range(header["num_segments"])
    )
    identity = header["model_identity"]
    if not isinstance(identity, str) or any(not s.keys.is_floating_point() for s in segments):
        raise TypeError("its identity is no text, or its keys are no floating-point numbers")
    turns = tuple(_read_turn(turn, tensors, identity) for turn in header["turns"])
    context = LatentContext(identity, turns, segments)
    # Every turn leaves two stretches: what was read, and what was answered.
    counts = [n for turn in turns for n in (turn.num_prompt_tokens, turn.num_reply_tokens)]
    shapes = [(tuple(s.keys.shape), tuple(s.values.shape)) for s in segments]
    if [k[2] if k == v and len(k) == 4 else None for k, v in shapes] != counts:
        raise ContextError(
            f"{path} holds keys and values of shapes {shapes}, but its turns count {counts} "
            "tokens read and answered; the file is damaged, save the context again."
        )
    return context


def _read_turn(header: dict[str, Any], tensors: dict[str, Tensor], identity: str) -> Turn:
    image, text = header["image_sampling"], header["text_sampling"]
    if not isinstance(header["seed"], int | None):
        raise TypeError(f"a seed is {header['seed']!r}")
    return Turn(
        parts=_read_parts(header["parts"], tensors, identity),
        reply=_read_parts(header["reply"], tensors, identity),
        num_prompt_tokens=header["num_prompt_tokens"],
        num_reply_tokens=header["num_reply_tokens"],
        seed=header["seed"],
        image_sampling=image and ImageSampling(**image),
        text_sampling=text and TextSampling(**text),
    )


def _read_parts(
    headers: list[dict[str, Any]], tensors: dict[str, Tensor], identity: str
) -> tuple[Part, ...]:
    parts: list[Part] = []
    for part in headers:
        if "text" not in part:
            rows, columns = part["grid"]
            parts.append(Picture(Features(tensors[part["picture"]], (rows, columns), identity)))
        elif isinstance(part["text"], str):
            parts.append(Text(part["text"]))
        else:
            raise TypeError(f"a text is {part['text']!r}")
    return tuple(parts)
