"""A folder of numbers recorded of Ming-Lite-Uni, and ways to look into our own run."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn

from ming_core import CheckpointError
from ming_core.foreign_text import several
from ming_core.lite_uni.condition import Condition
from ming_core.lite_uni.generation import encode
from ming_core.lite_uni.model import LiteUniModel
from ming_core.lite_uni.preprocessing import PIXELS, Patches, to_patches
from ming_core.lite_uni.sequence import LiteTokenizer, Prompt, conversation

from .comparison import Report


class PublishedTokenizer(LiteTokenizer):
    """Takes typed markup for control tokens, as the published code does and ours never may."""

    def _encode_text(self, text: str) -> list[int]:
        return self._full.encode(text, add_special_tokens=False).ids


@dataclass(frozen=True, slots=True)
class Recorded:
    """A folder of recorded numbers, and the model it holds."""

    folder: Path
    manifest: dict[str, Any]
    model: LiteUniModel
    report: Report

    def tensors(self, name: str) -> dict[str, Tensor]:
        """Read a file of tensors."""
        return load_file(self.folder / f"{name}_io.safetensors")

    def image(self, name: str) -> Tensor:
        """Read a picture as a host has it."""
        with Image.open(self.folder / name) as photo:
            return torch.from_numpy(np.asarray(photo.convert("RGB")).copy())[None].float() / 255

    def photo(self, case: dict[str, Any]) -> Tensor | None:
        """Read the picture of a case, if it has one."""
        return None if case["image"] is None else self.image(case["image"])

    def limit(self, case: dict[str, Any]) -> int:
        """Return about how many pixels the picture of a case is scaled to."""
        return case["min_max_pixels"] or PIXELS

    def patches(self, image: Tensor, pixels: int) -> Patches:
        """Cut a picture into patches."""
        vision = self.model.config.vision
        return to_patches(image, vision.patch_size, vision.merge, vision.num_frames, pixels)

    def prompt(
        self, text: str, grid_thw: Sequence[int] | None, scales: Sequence[int] = ()
    ) -> Prompt:
        """Put a recorded prompt into words, typed markup as the published code takes it."""
        tokenizer, merge = self.model.tokenizer, self.model.config.vision.merge
        if any(mark in text for mark in tokenizer.ids):
            tokenizer = PublishedTokenizer.load(self.folder / "Ming-Lite-Uni" / "qwen2_5_llm")
        grid = None if grid_thw is None else (grid_thw[1] // merge, grid_thw[2] // merge)
        return conversation(tokenizer, text, grid, scales=scales)


@contextmanager
def collecting(module: nn.Module) -> Iterator[list[tuple[Tensor, Tensor]]]:
    """Collect the first argument and the output of every call of a module."""
    calls: list[tuple[Tensor, Tensor]] = []

    def keep(_module: nn.Module, arguments: tuple[Any, ...], output: Tensor) -> None:
        calls.append((arguments[0], output))

    hook = module.register_forward_hook(keep)
    yield calls
    hook.remove()


def taken(tensors: dict[str, Tensor], case: str) -> dict[str, Tensor]:
    """Take what is recorded of a case out of all tensors."""
    names = [name for name in tensors if name.startswith(f"{case}.")]
    return {name.removeprefix(f"{case}."): tensors.pop(name) for name in names}


def refuse_unknown(recorded: Recorded, *left: dict[str, Tensor]) -> None:
    """Raise CheckpointError for what is recorded but was not compared."""
    unknown = sorted(name for tensors in left for name in tensors)
    if unknown:
        raise CheckpointError(
            f"{recorded.folder} records {several(unknown)}, which is nothing known here."
        )


def condition_of(recorded: Recorded, case: dict[str, Any]) -> Condition:
    """Encode the prompt of a case, the coarse scales too."""
    image, pixels = recorded.photo(case), recorded.limit(case)
    return encode(recorded.model, case["prompt"], image, previews=True, pixels=pixels)
