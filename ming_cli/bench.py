"""`ming bench`: what a visual token costs, side by side with the published algorithm."""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ming_bench import precision, report, solvers
from ming_bench.case import recording
from ming_bench.checks import cpu_checks
from ming_bench.clock import clock_of, device_named, reset_peak_memory
from ming_bench.counters import ROUTING
from ming_bench.measure import Bench, Plan, exact_latents, plans
from ming_bench.random_model import SIZES
from ming_bench.sources import EXACT, PRECISIONS, Source, source_of
from ming_bench.traffic import Bandwidth
from ming_core import GENERATE_PREFIX, SOLVERS, CheckpointError, PromptError, generate
from ming_core.families import FAMILIES, family_of
from ming_core.univision.conditions import Conditions

from . import bench_lite
from .machine import Machine

PROMPT = "A red circle on a white background."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line of `ming bench`."""
    add = parser.add_argument
    add("folder", type=Path, nargs="?", help="checkpoint to measure; default: random weights")
    add("--cpu", action="store_true", help="only the ratios and counts that any CPU can check")
    add("--solvers", action="store_true", help="only how accurate each solver is")
    add("--precision-report", action="store_true", help="only what few bits cost, part by part")
    add("--size", choices=SIZES, help="of random weights (published on CUDA, else mid)")
    add("--family", choices=[family.NAME for family in FAMILIES], help="of random weights")
    add("--config", type=Path, help="random weights of the config.json files in this folder")
    add("--device", help="where to compute (CUDA if there is one, else cpu)")
    # Shared machines time reproducibly on one thread only.
    add("--threads", type=int, default=1, help="on a CPU (1)")
    add("--precision", nargs="+", choices=PRECISIONS, help="of weights (bf16 on CUDA, else fp32)")
    add("--rows", nargs="+", type=int, choices=(1, 2, 3), default=[3], help="guidance branches (3)")
    add("--pictures", nargs="+", type=int, default=[1], help="drawn side by side (1)")
    add("--solver", nargs="+", choices=SOLVERS, default=["euler"], help="of the flow (euler)")
    add("--steps", nargs="+", type=int, default=[None], help="of the solver (the model's own)")
    add("--routing", nargs="+", choices=ROUTING, help="uniform on random weights, else model")
    add("--step", nargs="+", choices=("eager", "graph"), help="of a token (graph on CUDA)")
    add("--context", type=int, default=64, help="tokens before the picture (64)")
    add("--tokens", type=int, help="visual tokens per timed drawing (16 on CUDA, else 3)")
    add("--repeats", type=int, help="timed drawings (5)")
    add("--quick", action="store_true", help="fewer repeats")
    add("--no-baseline", action="store_true", help="leave the published algorithm out")
    add("--prompt", default=PROMPT, help="of the pictures for --solvers")
    add("--json", action="store_true", help="JSON only; with --cpu: end with one JSON object")


def main(args: argparse.Namespace) -> int:
    """Measure what was asked for."""
    if bench_lite.NAME in (args.family, args.folder and family_of(args.folder).NAME):
        return bench_lite.main(args)
    if args.cpu:
        return check_cpu(args)
    device = device_named(args.device)
    on_cuda = device.type == "cuda"
    if not on_cuda:
        torch.set_num_threads(args.threads)
    source = source_of(args.folder, args.config, args.size or ("published" if on_cuda else "mid"))
    precisions = args.precision or ["bf16" if on_cuda else EXACT]
    if args.precision_report:
        return report_precision(source, device, args.tokens or 8)
    if args.solvers:
        return compare_solvers(args, source, precisions[0], device)
    cases: list[dict[str, Any]] = []
    for case in measure_all(args, source, precisions, device):
        print(json.dumps(case), flush=True)
        cases.append(case)
    if not args.json:
        print("\n".join(["", *report.table(cases)]))
    return 0


def check_cpu(args: argparse.Namespace) -> int:
    """Print the checks of a CPU, one line each; they know their sizes themselves."""
    others = ("folder", "size", "config", "solvers", "precision_report", "precision")
    asked = [name for name in others if getattr(args, name)]
    if asked:
        raise PromptError(
            f"--cpu checks fixed sizes on random weights, so it cannot go with {', '.join(asked)}. "
            "Leave --cpu out to measure that; --device cpu chooses the CPU."
        )
    torch.set_num_threads(1)
    repeats = args.repeats or (5 if args.quick else 9)
    figures: dict[str, float | None] = {}
    for check in cpu_checks(repeats):
        print(check.line(), flush=True)
        figures[check.name] = check.value
    if args.json:
        print(json.dumps(figures))
    return 0


def measure_all(
    args: argparse.Namespace, source: Source, precisions: list[str], device: torch.device
) -> Iterator[dict[str, Any]]:
    """Measure every combination of what was asked for, one precision after another."""
    tokens = args.tokens or (16 if device.type == "cuda" else 3)
    repeats = args.repeats or (3 if args.quick else 5)
    wanted = wanted_plans(args, source, device)
    bandwidth = Bandwidth.measure(device, clock_of(device))
    reset_peak_memory(device)  # and give its buffers back
    place = report.setting(device)
    for name in precisions:
        source.refuse(name, free_bytes(device))
    exact = exact_of(source, wanted, device) if set(precisions) - {EXACT} else {}
    for name in precisions:
        model = source.make(name, device)
        common = report.heading(place, source.name, model, name)
        bench = Bench(model, bandwidth, tokens, repeats, baseline=not args.no_baseline)
        for plan in wanted:
            found = bench.measure(plan, None if name == EXACT else exact.get(plan))
            yield report.line_of(common, plan, plan.sampling(model).steps, found)
        del model, bench  # before the next precision's weights are made


def wanted_plans(args: argparse.Namespace, source: Source, device: torch.device) -> list[Plan]:
    """Return a plan for every combination on the command line."""
    if min(args.context, *args.pictures) < 1:
        raise PromptError("--context and --pictures count from 1.")
    on_cuda = device.type == "cuda"
    kinds = args.step or ["graph" if on_cuda else "eager"]
    if "graph" in kinds and not on_cuda:
        raise PromptError("--step graph needs CUDA: nothing else here replays graphs. Use eager.")
    routing = args.routing or ["model" if source.is_trained else "uniform"]
    graph = [kind == "graph" for kind in kinds]
    given = {name: getattr(args, name) for name in ("rows", "pictures", "solver", "steps")}
    return plans(Plan(context=args.context), {"routing": routing, **given, "graph": graph})


def exact_of(source: Source, wanted: list[Plan], device: torch.device) -> dict[Plan, Tensor]:
    """Draw every plan in fp32; nothing where such weights are not there or do not fit."""
    try:
        source.refuse(EXACT, free_bytes(device))
    except CheckpointError:
        return {}
    model = source.make(EXACT, device)
    return {plan: exact_latents(model, plan) for plan in wanted}


def free_bytes(device: torch.device) -> int | None:
    """Return what is free where a device's weights lie."""
    machine = Machine.here()
    return machine.free_vram if device.type == "cuda" else machine.free_ram


def report_precision(source: Source, device: torch.device, tokens: int) -> int:
    """Print what few bits cost, part by part; the weights must be exact and fit in fp32."""
    source.refuse(EXACT, free_bytes(device))
    model = source.make(EXACT, device)
    found: list[precision.Cost] = []
    for cost in precision.costs(model, tokens, lambda form: source.make(form, device)):
        found.append(cost)
        print(f"measured: {cost.name}, {cost.form}", file=sys.stderr, flush=True)
    rows = precision.ROWS
    print(f"{source.name}, {tokens} tokens, {rows} rows, each after the exact latents\n")
    print("\n".join(precision.report(found)))
    return 0


def compare_solvers(
    args: argparse.Namespace, source: Source, name: str, device: torch.device
) -> int:
    """Print how far each solver's latents lie from the flow's true end."""
    source.refuse(name, free_bytes(device))
    model = source.make(name, device)
    seeds = range(1 if args.quick else 4)
    draw = partial(generate, model, GENERATE_PREFIX + args.prompt, seeds=seeds)
    with recording(wanted=False):
        errors = solvers.solver_errors(Conditions.collect(model, seeds, draw))
    if args.json:
        common = {"model": source.name, "is_trained": source.is_trained, "precision": name}
        common["against"] = f"ab2 {solvers.TRUE_STEPS}"
        print(json.dumps({**common, "errors": [asdict(error) for error in errors]}))
        return 0
    print(f"{source.name}, {name}: error against {solvers.TRUE_STEPS} steps of ab2")
    if not source.is_trained:
        print("Random weights: a random flow, which says nothing about pictures.")
    print("\n".join(solvers.report(errors)))
    return 0
