"""Trained components -> a checkpoint in the published layout, bf16: loading turned around.

The engine's own table of names says where every tensor comes from.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from ming_bench.tiny_checkpoint.config import Sizes, config_files, ming_config
from ming_core.scope import FILE as SCOPE_FILE
from ming_core.univision.key_map import expected_tensors
from ming_core.univision.model import Components

from .tokenizer import vocabulary_of

LIMIT = 16_000_000  # bytes that both folders may take
VISION = "vision."


def publish(components: Components, sizes: Sizes, tokenizer: Path, folder: Path) -> int:
    """Write `folder`/Ming-UniVision and `folder`/MingTok-Vision; return their bytes.

    The tokenizer's files are copied. MingTok's tensors are written once, into its own folder:
    the loader takes them from there when the big folder has none.
    """
    univision, mingtok = folder / "Ming-UniVision", folder / "MingTok-Vision"
    copy_tokenizer(tokenizer, univision)
    vocabulary = vocabulary_of(tokenizer)
    mean, scale = components.semantic_decoder.mean, components.semantic_decoder.scale
    tensors = published_tensors(components, sizes, vocabulary)
    vision = {n.removeprefix(VISION): t for n, t in tensors.items() if n.startswith(VISION)}
    others = {n: t for n, t in tensors.items() if not n.startswith(VISION)}
    configs = config_files(replace(sizes, mean=mean, scale=scale), vocabulary)
    _write(univision, configs[0], others)
    _write(mingtok, configs[1], vision)
    files = [path for path in folder.rglob("*") if path.is_file()]
    return sum(path.stat().st_size for path in files)


def copy_tokenizer(source: Path, folder: Path) -> None:
    """Copy a tokenizer's files from one folder into another, and what its model knows."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in sorted([*source.glob("*token*.json"), *source.glob(SCOPE_FILE)]):
        shutil.copy(file, folder / file.name)


def published_tensors(
    components: Components, sizes: Sizes, vocabulary: dict[str, int]
) -> dict[str, Tensor]:
    """Return every tensor under its published name, in bf16."""
    places = expected_tensors(ming_config(sizes, vocabulary), components.named())
    named = components.named()
    result: dict[str, Tensor] = {}
    for name, place in places.items():
        whole = named[place.component].get_parameter(place.parameter).detach()
        result[name] = whole[place.index].to("cpu", torch.bfloat16).contiguous().clone()
    return result


def _write(folder: Path, config: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(config, indent=1) + "\n"
    (folder / "config.json").write_text(text, encoding="utf-8")
    ordered = {name: tensors[name] for name in sorted(tensors)}
    save_file(ordered, str(folder / "model.safetensors"), metadata={"format": "pt"})
