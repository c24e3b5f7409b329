"""Writes random weights in the published layout and sizes, for what needs no pictures of them.

    python tools/random_checkpoint.py FOLDER --layers 7

Tensors are drawn in bf16, shard by shard, so that memory holds little more than one. With fewer
layers of the language model than the published 28 every single tensor is as large all the same.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ming_bench.random_model import PUBLISHED, weights_of
from ming_bench.tiny_checkpoint.config import Sizes, config_files, ming_config
from ming_bench.tiny_checkpoint.tokenizer import write_tokenizer
from ming_core import TorchOperations
from ming_core.places import Place
from ming_core.univision.key_map import expected_tensors
from ming_core.univision.model import Components

SHARD_WEIGHTS = 1 << 29  # of 2 bytes each
VISION = "vision."


def write(folder: Path, sizes: Sizes, seed: int = 0) -> None:
    """Write `folder`/Ming-UniVision and `folder`/MingTok-Vision."""
    univision, mingtok = folder / "Ming-UniVision", folder / "MingTok-Vision"
    mingtok.mkdir(parents=True, exist_ok=True)
    ids = write_tokenizer(univision)
    config = ming_config(sizes, ids)
    parts = Components.build(config, TorchOperations, torch.bfloat16).named()
    places = expected_tensors(config, parts)
    generator = torch.Generator().manual_seed(seed)
    weight_map: dict[str, str] = {}
    shards = list(in_shards(places))
    for number, names in enumerate(shards, start=1):
        file = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        save({name: drawn(places[name], generator) for name in names}, univision / file)
        weight_map |= dict.fromkeys(names, file)
    write_json(univision / "model.safetensors.index.json", {"weight_map": weight_map})
    own = [name for name in places if name.startswith(VISION)]
    vision = {name.removeprefix(VISION): drawn(places[name], generator) for name in own}
    save(vision, mingtok / "model.safetensors")
    for target, content in zip((univision, mingtok), config_files(sizes, ids), strict=True):
        write_json(target / "config.json", content)


def in_shards(places: Mapping[str, Place]) -> Iterator[list[str]]:
    """Yield the names of one shard after another."""
    names: list[str] = []
    count = 0
    for name, place in places.items():
        size = torch.Size(place.shape).numel()
        if names and count + size > SHARD_WEIGHTS:
            yield names
            names, count = [], 0
        names.append(name)
        count += size
    yield names


def drawn(place: Place, generator: torch.Generator) -> torch.Tensor:
    """Draw the weights of one place."""
    weights = weights_of(f"{place.component}.{place.parameter}", place.shape, generator)
    return weights.to(torch.bfloat16)


def save(tensors: Mapping[str, torch.Tensor], path: Path) -> None:
    """Write one file of weights, and say so."""
    save_file(dict(tensors), str(path), metadata={"format": "pt"})
    sys.stderr.write(f"{path.name}: {path.stat().st_size / 1e9:.1f} GB\n")


def write_json(path: Path, content: object) -> None:
    """Write a file of settings."""
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def main() -> int:
    """Write the folder that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--layers", type=int, default=PUBLISHED.layers, help="of the language model"
    )
    args = parser.parse_args()
    write(args.folder, replace(PUBLISHED, layers=args.layers))
    return 0


if __name__ == "__main__":
    sys.exit(main())
