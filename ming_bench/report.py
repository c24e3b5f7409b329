"""What was measured, as JSON lines and as a table."""

import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from ming_core import MingModel, TorchOperations
from ming_core.univision.model import Components

from .measure import Plan

Figures = Mapping[str, Any]


def setting(device: torch.device) -> dict[str, Any]:
    """Return what ran where."""
    on_cuda = device.type == "cuda"
    return {
        "git": revision(),
        "torch": torch.__version__,
        "triton": triton_version(),
        "device": torch.cuda.get_device_name(device) if on_cuda else device.type,
        "cuda": torch.version.cuda if on_cuda else None,
        "allocator": torch.cuda.get_allocator_backend() if on_cuda else None,
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
    for package in ("triton", "triton-windows", "pytorch-triton"):
        with suppress(PackageNotFoundError):
            return version(package)
    return None


def heading(place: Figures, source: str, model: MingModel, precision: str) -> dict[str, Any]:
    """Return what all cases of a model have in common."""
    common = {**place, "model": source, "precision": precision, "sizes": asdict(model.config)}
    return common | {"components": component_sizes(model)}


def component_sizes(model: MingModel) -> dict[str, dict[str, Any]]:
    """Return parameters and bytes of every component, the latter by number format."""
    sizes: dict[str, dict[str, Any]] = {}
    # Counted as published: 4-bit weights share bytes, and scales are no parameters of the model.
    plain = Components.build(model.config, TorchOperations, model.dtype).named()
    for name, module in model.components.items():
        held: Counter[str] = Counter()
        for tensor in module.state_dict().values():
            held[str(tensor.dtype).removeprefix("torch.")] += tensor.nbytes
        parameters = sum(parameter.numel() for parameter in plain[name].parameters())
        sizes[name] = {"parameters": parameters, "bytes": dict(held)}
    return sizes


def line_of(common: Figures, plan: Plan, steps: int, found: Figures) -> dict[str, Any]:
    """Return a case as the object that is printed."""
    line = {**common, **asdict(plan), "steps": steps, **found}
    line.pop("graph")  # told of in `kernels`
    return line


COLUMNS = {
    "rows": lambda c: f"{c['rows']}",
    "pics": lambda c: f"{c['pictures']}",
    "solver": lambda c: f"{c['solver']} {c['steps']}",
    "weights": lambda c: c["precision"],
    "routing": lambda c: f"{c['routing']['mode']} {c['routing']['distinct_experts']:.1f}",
    "step": lambda c: c["kernels"]["step"].split()[-1],
    "ms": lambda c: f"{c['ms_per_token']['median']:.2f}",
    "head": lambda c: _or_dash(c["ms_per_token"].get("head"), ".2f"),
    "GB": lambda c: f"{c['gb_per_token']['total']:.3g}",
    "floor": lambda c: f"{c['floor_ms']:.2f}",
    "x floor": lambda c: f"{c['over_floor']:.2f}",
    "ops": lambda c: f"{c['ops_per_token']['total']}",
    "syncs": lambda c: _or_dash(c["syncs_per_token"], ""),
    "s/image": lambda c: f"{c['seconds_per_image']:.2f}",
    "error": lambda c: _or_dash(c["errors"]["fp32"] or c["errors"]["baseline"], ".1e"),
}
SHARED = ("ms", "head", "ops", "syncs")


def table(cases: Sequence[Figures]) -> list[str]:
    """Write cases as lines of a table, the published algorithm's figures under each."""
    rows = [list(COLUMNS)]
    for case in cases:
        rows.append([cell(case) for cell in COLUMNS.values()])
        theirs = case["baseline"]
        if theirs is not None:
            shown = {name: COLUMNS[name](theirs) for name in SHARED}
            shown |= {"weights": "baseline", "x floor": f"{theirs['over_ours']:.2f}x ours"}
            rows.append([shown.get(name, "") for name in COLUMNS])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    ]


def _or_dash(figure: float | None, form: str) -> str:
    """Write a figure that is not always known: a replayed graph has no parts, a CPU no waits."""
    return "-" if figure is None else format(figure, form)
