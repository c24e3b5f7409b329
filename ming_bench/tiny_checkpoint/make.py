"""A tiny random checkpoint in the published layout, for tests.

Its pictures are abstract noise and its texts gibberish, but every tensor name, shape and file
of the published layout is there. The same seed gives the same bytes: the numbers come from NumPy's
legacy generator, whose stream is frozen.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from ming_core import TorchOperations
from ming_core.univision.key_map import expected_tensors
from ming_core.univision.model import Components
from ming_core.univision.tokenizer import EOS, IMAGE

from .config import Sizes, config_files, ming_config
from .tokenizer import is_readable, write_tokenizer

ROPE_THETA = 600000  # as published
TINY = Sizes(64, 2, 4, 2, 16, 8, 2, 32, 64, 2, 128, 2, 2, encoder=(64, 2), rope_theta=ROPE_THETA)
TINY = replace(TINY, mean=0.125, scale=0.75)
# Parts of names -> the size of what comes out of a layer for inputs of size 1, if it is not 1.
GAINS = {"adaLN": 0.3, "final_layer.linear": 0.2, "pixel_decoder.head": 0.3}
GAINS |= {"time_embed": 0.7}  # slow enough for 256 steps to follow
GAINS |= {"lm_head": 2.0, "patch_embed": 2.0}  # pixels of one patch are alike
VISION = "vision."
Tensors = dict[str, np.ndarray]
Shapes = Mapping[str, tuple[int, ...]]


def make_tiny(folder: Path, seed: int = 0) -> Path:
    """Write `folder`/Ming-UniVision and `folder`/MingTok-Vision; return `folder`."""
    univision, mingtok = folder / "Ming-UniVision", folder / "MingTok-Vision"
    mingtok.mkdir(parents=True, exist_ok=True)
    ids = write_tokenizer(univision)
    config = ming_config(TINY, ids)
    parts = Components.build(config, TorchOperations, torch.float32).named()
    shapes = {name: place.shape for name, place in expected_tensors(config, parts).items()}
    for layer in range(TINY.layers):  # is there, and never read
        shapes[f"model.model.layers.{layer}.mlp.audio_gate.weight"] = (TINY.experts, TINY.hidden)
    stream = np.random.RandomState(seed)
    tensors = draw(stream, shapes)
    shape_outputs(tensors, stream, ids)
    older = tensors | draw(stream, {n: s for n, s in shapes.items() if ".semantic_decoder." in n})
    older = {n.removeprefix(VISION): t for n, t in older.items() if n.startswith(VISION)}
    big, small = config_files(TINY, ids)
    write_json(univision / "config.json", big)
    write_json(mingtok / "config.json", small)
    # As published: the big checkpoint brings a newer semantic decoder, and that one must win.
    save(mingtok / "model.safetensors", older)
    save_shards(univision, tensors)
    return folder


def draw(stream: np.random.RandomState, shapes: Shapes) -> Tensors:
    """Draw tensors that keep the size of what passes through them, by their published names."""
    drawn: Tensors = {}
    for name, shape in shapes.items():
        gain = next((gain for part, gain in GAINS.items() if part in name), 1.0)
        values = stream.standard_normal(shape)
        if len(shape) == 1:
            drawn[name] = 1 + 0.1 * values if name.endswith("weight") else 0.1 * gain * values
        elif name.endswith(("cls_token", "pos_embed")):
            drawn[name] = 0.5 * values
        elif name.endswith("word_embeddings.weight"):
            drawn[name] = values
        else:
            drawn[name] = values * gain / np.prod(shape[1:]) ** 0.5
    return drawn


def shape_outputs(tensors: Tensors, stream: np.random.RandomState, ids: Mapping[str, int]) -> None:
    """Make what comes out good enough to test with: texts, latents and pixels."""
    # Only readable tokens, the end of the text and the start of a picture are ever likely.
    likely = {index for token, index in ids.items() if is_readable(token)}
    rows = tensors["model.lm_head.weight"]
    rows[[i for i in range(len(rows)) if i not in likely | {ids[EOS], ids[IMAGE]}]] = 0.0
    rows[ids[EOS]] *= 1.3
    # Point back along the input: the flow then shrinks its noise instead of blowing it up, and
    # rounding differences do not grow from one visual token to the next.
    inward = tensors["model.diffloss.net.input_proj.weight"].T
    tensors["model.diffloss.net.final_layer.linear.weight"] -= 0.25 * inward
    # Slow waves instead of grain: patches become soft colour fields, clearly not flat grey.
    side, head = TINY.pixel_patch, f"{VISION}pixel_decoder.head.weight"
    width = tensors[head].shape[1]
    across = np.cos(np.pi * (np.arange(side) + 0.5)[:, None] / side * np.arange(2))
    mixing = 0.22 * stream.standard_normal((2, 2, 3, width)) / width**0.5
    waves = np.einsum("iu,jv,uvcd->ijcd", across, across, mixing)
    tensors[head] = waves.reshape(-1, width)


def save_shards(folder: Path, tensors: Tensors) -> None:
    """Write two shards of about the same size and the index that names each tensor's shard."""
    names, total = sorted(tensors), sum(tensor.size for tensor in tensors.values())
    sizes = np.cumsum([tensors[name].size for name in names])
    half = int(np.searchsorted(sizes, total // 2)) + 1
    weight_map: dict[str, str] = {}
    for number, members in enumerate((names[:half], names[half:]), start=1):
        file = f"model-{number:05d}-of-00002.safetensors"
        save(folder / file, {name: tensors[name] for name in members})
        weight_map |= dict.fromkeys(members, file)
    index = {"metadata": {"total_size": 2 * total}, "weight_map": weight_map}
    write_json(folder / "model.safetensors.index.json", index)


def save(path: Path, tensors: Tensors) -> None:
    """Write bf16 tensors under their names, in the order of the names."""
    rounded = {n: torch.from_numpy(tensors[n]).to(torch.bfloat16) for n in sorted(tensors)}
    contiguous = {name: tensor.contiguous() for name, tensor in rounded.items()}
    save_file(contiguous, str(path), metadata={"format": "pt"})


def write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
