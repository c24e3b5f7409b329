"""What was measured, as JSON lines and as a table."""

from __future__ import annotations

import importlib.util
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from ming_core import MingModel
from ming_core.univision.config import MingConfig

from .measure import Plan
from .traffic import component_sizes

Figures = Mapping[str, Any]


def setting(device: torch.device) -> dict[str, Any]:
    """Return what ran where."""
    return {
        "git": revision(),
        "torch": torch.__version__,
        "triton": triton_version(),
        "device": device_name(device),
        "cuda": torch.version.cuda if device.type == "cuda" else None,
        "allocator": torch.cuda.get_allocator_backend() if device.type == "cuda" else None,
        "threads": torch.get_num_threads(),
    }


def revision() -> str:
    """Return the commit of this checkout, with a plus when files differ from it."""
    command = ["git", "describe", "--always", "--dirty=+", "--exclude=*"]
    folder = Path(__file__).resolve().parent
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    except OSError:
        return "unknown"
    return done.stdout.strip() or "unknown"


def triton_version() -> str | None:
    """Return the version of Triton, if there is one."""
    if importlib.util.find_spec("triton") is None:
        return None
    try:
        return version("triton")
    except PackageNotFoundError:  # installed under another name
        return "unknown version"


def device_name(device: torch.device) -> str:
    """Return what the device calls itself."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def sizes(config: MingConfig) -> dict[str, Any]:
    """Return the figures of a config that decide what a token costs."""
    language, tok = asdict(config.language), config.mingtok
    stages = {"encoder": tok.encoder, "semantic": tok.semantic, "pixel": tok.pixel}
    return {
        "language_model": language,
        "flow_head": asdict(config.flow),
        **{name: asdict(stage) for name, stage in stages.items()},
    }


def heading(place: Figures, source: str, model: MingModel, precision: str) -> dict[str, Any]:
    """Return what all cases of a model have in common."""
    return {
        **place,
        "model": source,
        "precision": precision,
        "sizes": sizes(model.config),
        "components": component_sizes(model),
    }


def line_of(common: Figures, plan: Plan, steps: int, found: Figures) -> dict[str, Any]:
    """Return a case as the object that is printed."""
    drawn = asdict(plan) | {"steps": steps}
    for field in ("routing", "graph"):  # told of in `found`
        drawn.pop(field)
    return {**common, **drawn, **found}


COLUMNS = (
    ("rows", lambda c: f"{c['rows']}"),
    ("pics", lambda c: f"{c['pictures']}"),
    ("solver", lambda c: f"{c['solver']} {c['steps']}"),
    ("weights", lambda c: c["precision"]),
    ("routing", lambda c: f"{c['routing']['mode']} {c['routing']['distinct_experts']:.1f}"),
    ("step", lambda c: c["kernels"]["step"].split()[-1]),
    ("ms", lambda c: f"{c['ms_per_token']['median']:.2f}"),
    ("p90", lambda c: f"{c['ms_per_token']['p90']:.2f}"),
    ("language", lambda c: _part(c, "language_model")),
    ("head", lambda c: _part(c, "head")),
    ("semantic", lambda c: _part(c, "semantic_decoder")),
    ("rest", lambda c: _part(c, "rest")),
    ("GB", lambda c: f"{c['gb_per_token']['total']:.3g}"),
    ("floor", lambda c: f"{c['floor_ms']:.2f}"),
    ("x floor", lambda c: f"{c['over_floor']:.2f}"),
    ("ops", lambda c: f"{c['ops_per_token']['total']}"),
    ("syncs", lambda c: f"{c['syncs_per_token']}"),
    ("s/image", lambda c: f"{c['seconds_per_image']:.2f}"),
    ("error", lambda c: _error(c["errors"])),
)


def table(cases: Sequence[Figures]) -> list[str]:
    """Write cases as lines of a table, the published algorithm's figures under each."""
    rows = [[name for name, _ in COLUMNS]]
    for case in cases:
        rows.append([cell(case) for _, cell in COLUMNS])
        rows += [_baseline_row(case["baseline"])] if case["baseline"] is not None else []
    widths = [max(len(row[index]) for row in rows) for index in range(len(COLUMNS))]
    return [
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    ]


def _baseline_row(theirs: Figures) -> list[str]:
    """Write the figures of the baseline below the engine's own."""
    shown = {
        "weights": "baseline",
        "ops": f"{theirs['ops_per_token']['total']}",
        "syncs": f"{theirs['syncs_per_token']}",
        "x floor": f"{theirs['over_ours']:.2f}x ours",
    }
    timed = {name: cell for name, cell in COLUMNS if name in TIMES}
    shown |= {name: cell({"ms_per_token": theirs["ms_per_token"]}) for name, cell in timed.items()}
    return [shown.get(name, "") for name, _ in COLUMNS]


TIMES = ("ms", "p90", "language", "head", "semantic", "rest")


def _part(case: Figures, part: str) -> str:
    """Write the time of one part of a token, which a replayed graph does not tell."""
    taken = case["ms_per_token"].get(part)
    return "-" if taken is None else f"{taken:.2f}"


def _error(errors: Mapping[str, float | None]) -> str:
    """Write the error to the fp32 engine, or where that is the engine, to the baseline."""
    known = [error for error in errors.values() if error is not None]
    return f"{known[0]:.1e}" if known else "-"
