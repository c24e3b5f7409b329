"""Pictures of the training: sample sheets and loss curves as PNG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageDraw
from torch import Tensor

from ming_shapes.render import to_bytes

INKS = ("#c62828", "#1565c0", "#2e7d32", "#ef6c00", "#6a1b9a", "#00838f", "#4e342e")
PANEL = (640, 220)


def save_pictures(path: Path, rows: Sequence[Tensor]) -> None:
    """Write rows of pictures (B, 3, S, S) in [-1, 1], one below another."""
    bands = [torch.cat(list(to_bytes(row)), dim=1) for row in rows]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(torch.cat(bands, dim=0).numpy()).save(path)


def save_curves(path: Path, entries: Sequence[dict[str, Any]]) -> None:
    """Draw every stage's losses, each scaled logarithmically to its own panel."""
    stages = list(dict.fromkeys(e["stage"] for e in entries if e["kind"] == "loss"))
    sheet = Image.new("RGB", (PANEL[0], PANEL[1] * max(1, len(stages))), "white")
    for number, stage in enumerate(stages):
        chosen = [e for e in entries if e["stage"] == stage and e["kind"] == "loss"]
        _draw_panel(ImageDraw.Draw(sheet), number * PANEL[1], stage, chosen)
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)


def _draw_panel(
    draw: ImageDraw.ImageDraw, top: int, title: str, entries: Sequence[dict[str, Any]]
) -> None:
    names = [n for n in entries[-1] if n not in ("stage", "step", "kind", "gradient")]
    last = max(1, entries[-1]["step"])
    for row, (ink, name) in enumerate(zip(INKS, names, strict=False)):
        points = [(e["step"], e[name]) for e in entries if e.get(name, 0) > 0]
        if len(points) < 2:
            continue
        logs = [math.log10(value) for _, value in points]
        low, high = min(logs), max(logs)
        line = [
            (
                40 + (PANEL[0] - 60) * step / last,
                top + 30 + (PANEL[1] - 50) * (high - log) / max(1e-6, high - low),
            )
            for (step, _), log in zip(points, logs, strict=True)
        ]
        draw.line(line, fill=ink, width=2)
        corner = (PANEL[0] - 130, top + 26 + 13 * row)
        draw.text(corner, f"{name} {points[-1][1]:.4f}", ink)
    draw.text((10, top + 8), f"{title}, {last} steps (log scale, each curve by itself)", "black")
