"""Runs every check of a GPU as a process of its own, so that none is lost with another.

`tools/gpu_check.sh` says how it is called. A part that fails, hangs or is killed leaves its reason
in the report, and the next one begins.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock, patch

import torch

ROOT = Path(__file__).resolve().parent.parent
# What a bare machine may lack, and nothing here calls: the engine imports them by name.
UNUSED = ("numpy", "numpy.typing", "PIL", "safetensors", "safetensors.torch", "tokenizers")
WHOLE = 460  # seconds for all parts
SMALL = "quick"
TOKEN_IDS = SimpleNamespace(image=7, max_id=1000)  # all that drawing asks of a tokenizer

Figures = dict[str, Any]


def kernels(device: torch.device, _size: str) -> Figures:
    """Hold every fused kernel against its plain twin, in every format and dtype."""
    from ming_core.kernels import fused
    from ming_core.kernels.probe import TOLERANCE, Case, error_of

    found: Figures = {}
    for kernel in ("add_experts", "block"):
        for dtype in TOLERANCE:
            for name, form in (
                ("floats", (dtype, 0)),
                ("int8", (torch.int8, 0)),
                ("int4", (torch.uint8, 64)),
            ):
                case = Case(kernel, device, dtype, (form, form))
                error = error_of(fused, case)
                key = f"{kernel} {name} {str(dtype).removeprefix('torch.')}"
                found[key] = {"error": error, "is_right": error <= TOLERANCE[dtype]}
    return {"all_right": all(one["is_right"] for one in found.values()), "cases": found}


def ties(device: torch.device, _size: str) -> Figures:
    """Which experts win among equal scores, here and on a processor."""
    scores = torch.zeros(2, 64)
    scores[1, 10:40] = 1
    chosen = {
        where.type: [sorted(row) for row in scores.to(where).topk(6).indices.tolist()]
        for where in (torch.device("cpu"), device)
    }
    lowest = [list(range(6)), list(range(10, 16))]
    here = chosen[device.type]
    return {"chosen": chosen, "is_lowest": here == lowest, "as_cpu": here == chosen["cpu"]}


def graphs(device: torch.device, _size: str) -> Figures:
    """Whether replayed tokens are those of eager steps, bit for bit."""
    from ming_bench.case import Case
    from ming_bench.clock import unmarked
    from ming_bench.random_model import SIZES, random_model

    model = random_model(SIZES["mid" if is_real(device) else SMALL], torch.bfloat16, device)
    case = Case.read(model, 3, 32)
    with torch.inference_mode():
        eager, graph = (case.draw(12, unmarked, graph=wanted) for wanted in (False, True))
    return {"equal": torch.equal(eager, graph), "off": float((eager - graph).abs().max())}


def streamed(device: torch.device, _size: str) -> Figures:
    """Whether experts that rest in main memory, some of them in slots, draw the same."""
    from ming_bench.case import Case
    from ming_bench.clock import unmarked
    from ming_bench.random_model import SIZES, random_model
    from ming_core import Experts, give_slots

    size = "mid" if is_real(device) else SMALL
    model = random_model(SIZES[size], torch.bfloat16, device)
    layers = [m for m in model.parts.language_model.modules() if isinstance(m, Experts)]
    case = Case.read(model, 3, 32)
    with torch.inference_mode():
        whole = case.draw(6, unmarked)
        for layer in layers:
            layer.to("cpu")
        give_slots(layers, 4, device)
        ours = case.draw(6, unmarked)
    return {"off": float((whole - ours).norm() / whole.norm())}


def bench(*words: str) -> Callable[[torch.device, str], Figures]:
    """Return a part that measures cases of `ming bench`."""

    def part(device: torch.device, size: str) -> Figures:
        from ming_cli.bench import add_arguments, measure_all, source_of

        wanted = words if is_real(device) else [w.replace("graph", "eager") for w in words]
        parser = argparse.ArgumentParser()
        add_arguments(parser)
        args = parser.parse_args(["--device", str(device), "--size", size, "--quick", *wanted])
        source = source_of(None, None, size)
        cases = [told(case) for case in measure_all(args, source, args.precision, device)]
        return {"cases": cases}

    return part


def told(case: Mapping[str, Any]) -> Figures:
    """Return what the table needs of a measured case."""
    beside = case["baseline"]
    return {
        "name": f"{case['precision']} {case['kernels']['step']}, {case['pictures']} pictures, "
        f"{case['steps']} steps",
        "ms": case["ms_per_token"]["median"],
        "over_floor": case["over_floor"],
        "published_over_ours": None if beside is None else beside["over_ours"],
        "seconds_per_image": case["seconds_per_image"],
        "waits": case["syncs_per_token"],
        "kernels": case["kernels"],
        "errors": case["errors"],
        "peak_memory_gb": case["peak_memory_gb"],
    }


# In order of value: what comes last is lost first when time runs out.
PARTS: dict[str, Callable[[torch.device, str], Figures]] = {
    "kernels": kernels,
    "graphs": graphs,
    "streamed experts": streamed,
    "ties in the router": ties,
    "bf16, graph and eager": bench("--precision", "bf16", "--step", "graph", "eager"),
    "few bits": bench(
        "--precision", "int8", "int4-experts", "int4", "--step", "graph", "--no-baseline"
    ),
    "calibrated against 16": bench(
        "--precision", "bf16", "--steps", "16", "6", "--step", "graph", "--no-baseline"
    ),
    "8 pictures against 1": bench(
        "--precision", "bf16", "--pictures", "1", "8", "--step", "graph", "--no-baseline"
    ),
}


def is_real(device: torch.device) -> bool:
    """Whether this is no rehearsal."""
    return device.type == "cuda"


def run_part(name: str, *, rehearse: bool) -> None:
    """Run one part in this process, and end with its figures as a line of JSON."""
    sys.path.insert(0, str(ROOT))
    device = torch.device("cpu" if rehearse else "cuda:0")
    with ExitStack() as stack:
        for module in UNUSED:
            try:
                importlib.import_module(module)
            except ImportError:
                stack.enter_context(patch.dict(sys.modules, {module: MagicMock()}))
        random_model = importlib.import_module("ming_bench.random_model")
        stack.enter_context(patch.object(random_model, "small_tokenizer", lambda: TOKEN_IDS))
        found = PARTS[name](device, SMALL if rehearse else "published")
    sys.stdout.write(json.dumps(found) + "\n")


def outcome_of(name: str, seconds: float, *, rehearse: bool) -> Figures:
    """Run one part in a process of its own; its figures, or why there are none."""
    command = [sys.executable, "-P", __file__, "--part", name]
    command += ["--rehearse"] if rehearse else []
    surroundings = os.environ | ({"TRITON_INTERPRET": "1"} if rehearse else {})
    start = time.monotonic()
    try:
        ran = subprocess.run(
            command, capture_output=True, text=True, timeout=seconds, check=False, env=surroundings
        )
        lines = ran.stdout.strip().splitlines()
        if ran.returncode == 0 and lines:
            found = json.loads(lines[-1])
        else:
            found = {"failed": (ran.stderr.strip().splitlines() or [f"exit {ran.returncode}"])[-1]}
    except subprocess.TimeoutExpired:
        found = {"failed": f"not done within {seconds:.0f} s"}
    return found | {"seconds": round(time.monotonic() - start, 1)}


def table(report: Mapping[str, Figures]) -> list[str]:
    """Write the figures as lines of a Markdown table."""
    lines = ["| check | outcome |", "|---|---|"]
    for name, found in report.items():
        if "failed" in found:
            lines.append(f"| {name} | FAILED: {found['failed']} |")
            continue
        for case in found.get("cases", []) if isinstance(found.get("cases"), list) else []:
            beside = case["published_over_ours"]
            text = f"{case['ms']:.2f} ms, {case['over_floor']:.2f} x floor, "
            text += f"{case['seconds_per_image']:.1f} s a picture, {case['waits']} waits"
            text += "" if beside is None else f", published / ours {beside:.2f}"
            lines.append(f"| {case['name']} | {text}, {case['peak_memory_gb']} GB |")
        plain = {k: v for k, v in found.items() if k not in ("cases", "seconds", "chosen")}
        if plain:
            lines.append(f"| {name} | {', '.join(f'{k}: {v}' for k, v in plain.items())} |")
    return lines


def main() -> int:
    """Run every part as long as there is time; write and print what came out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rehearse", action="store_true", help="on a processor, with tiny sizes")
    parser.add_argument("--part", choices=PARTS, help="this one alone, in this process")
    args = parser.parse_args()
    if args.part is not None:
        run_part(args.part, rehearse=args.rehearse)
        return 0
    out = Path(os.environ.get("OUT") or ROOT / "output" / "gpu_check")
    out.mkdir(parents=True, exist_ok=True)
    report: dict[str, Figures] = {}
    ends = time.monotonic() + WHOLE
    for name in PARTS:
        left = ends - time.monotonic()
        report[name] = (
            outcome_of(name, left, rehearse=args.rehearse)
            if left > 0
            else {"failed": "no time was left"}
        )
        # After every part: what a killed run has found so far is not lost.
        (out / "gpu_check.json").write_text(json.dumps(report, indent=1), encoding="utf-8")
        sys.stderr.write(f"{name}: {report[name].get('failed', 'done')}\n")
    lines = table(report)
    (out / "gpu_check.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    sys.stdout.write("\n".join(lines) + "\n")
    return int(any("failed" in found for found in report.values()))


if __name__ == "__main__":
    sys.exit(main())
