"""`ming make-tiny`: a tiny random checkpoint in the published layout, for tests and the demo.

Its pictures are abstract noise and its texts gibberish, but every tensor name, shape and file
of the published layout is there. The same seed gives the same bytes. Knows nothing about the
engine, so tests that load it are not tests of the engine against itself.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from .config import MINGTOK_CONFIG, univision_config
from .tokenizer import write_tokenizer
from .weights import (
    Drawing,
    draw_connector,
    draw_encoder,
    draw_flow_head,
    draw_language_model,
    draw_pixel_decoder,
    draw_semantic_decoder,
)


def make_tiny(folder: Path, seed: int = 0) -> Path:
    """Write `folder`/Ming-UniVision and `folder`/MingTok-Vision; return `folder`."""
    univision, mingtok = folder / "Ming-UniVision", folder / "MingTok-Vision"
    for path in (univision, mingtok):
        path.mkdir(parents=True, exist_ok=True)
    token_ids = write_tokenizer(univision)
    draw = Drawing(np.random.RandomState(seed))
    draw_encoder(draw)
    draw_pixel_decoder(draw)
    draw_semantic_decoder(draw)
    write_json(mingtok / "config.json", MINGTOK_CONFIG)
    save(mingtok / "model.safetensors", draw.tensors)
    # As published: the big checkpoint brings a newer semantic decoder, and that one must win.
    draw_semantic_decoder(draw)
    draw.tensors = {f"vision.{name}": tensor for name, tensor in draw.tensors.items()}
    draw_connector(draw)
    draw_language_model(draw, token_ids)
    draw_flow_head(draw)
    write_json(univision / "config.json", univision_config(token_ids))
    save_shards(univision, draw.tensors)
    return folder


def save_shards(folder: Path, tensors: Mapping[str, np.ndarray]) -> None:
    """Write two shards of about the same size and the index that names each tensor's shard."""
    names = sorted(tensors)
    total = sum(tensors[name].size for name in names)
    shards: list[list[str]] = [[], []]
    written = 0
    for name in names:
        shards[0 if written < total // 2 else 1].append(name)
        written += tensors[name].size
    weight_map: dict[str, str] = {}
    for number, members in enumerate(shards, start=1):
        file = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        save(folder / file, {name: tensors[name] for name in members})
        weight_map |= dict.fromkeys(members, file)
    index = {"metadata": {"total_size": 2 * total}, "weight_map": weight_map}
    write_json(folder / "model.safetensors.index.json", index)


def save(path: Path, tensors: Mapping[str, np.ndarray]) -> None:
    """Write bf16 tensors under their names, in the order of the names."""
    rounded = {name: torch.from_numpy(tensors[name]).to(torch.bfloat16) for name in sorted(tensors)}
    save_file(
        {name: tensor.contiguous() for name, tensor in rounded.items()},
        str(path),
        metadata={"format": "pt"},
    )


def write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line of `ming make-tiny`."""
    parser.add_argument("folder", type=Path, help="folder to write the two checkpoint folders into")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other weights")


def main(args: argparse.Namespace) -> int:
    """Write the checkpoint and say where; a folder with something in it is left alone."""
    if args.folder.is_dir() and any(args.folder.iterdir()):
        raise FileExistsError(
            f"{args.folder} is not empty, and a checkpoint there would be overwritten; "
            "name a new folder."
        )
    folder = make_tiny(args.folder, args.seed)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(f"Wrote a tiny random checkpoint ({size / 1e6:.1f} MB) to {folder.resolve()}")
    return 0
