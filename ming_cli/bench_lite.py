"""`ming bench` for Ming-Lite-Uni: a picture by stages beside the published way, or few bits."""

import argparse
import sys

import torch

from ming_bench.clock import clock_of, device_named
from ming_bench.lite import picture, precision
from ming_bench.lite.random_model import SIZES, random_model
from ming_core import CheckpointError, PromptError, load_model, stored_quantisation
from ming_core.lite_uni.folders import NAME
from ming_core.lite_uni.model import LiteUniModel
from ming_core.lite_uni.sampler import DiffusionSampling

__all__ = ["NAME", "main"]

STEPS, REPORT_STEPS = 20, 4
REPEATS, QUICK_REPEATS = 5, 3
# Options of the first family's bench.
OTHERS = ("cpu", "solvers", "config", "precision", "routing", "step", "tokens", "json")


def main(args: argparse.Namespace) -> int:
    """Measure what was asked for, in fp32."""
    asked = [name for name in OTHERS if getattr(args, name)]
    if asked:
        raise PromptError(f"{NAME} is not measured with {', '.join(asked)}; leave that out.")
    device = device_named(args.device)
    if device.type == "cpu":
        torch.set_num_threads(1)  # shared machines time reproducibly on one thread only
    model, name = _model(args), str(args.folder or f"random weights, {args.size or 'mid'}")
    model.to(device)
    steps = next((count for count in args.steps or () if count is not None), None)
    if args.precision_report:
        return report_precision(model, name, steps or REPORT_STEPS)
    sampling = DiffusionSampling(steps=steps or STEPS)
    repeats = args.repeats or (QUICK_REPEATS if args.quick else REPEATS)
    found: list[picture.Pair] = []
    for pair in picture.pairs(model, clock_of(device), sampling, repeats):
        found.append(pair)
        print(f"measured: {len(found)} of {repeats}", file=sys.stderr, flush=True)
    print(f"{name}, {sampling.steps} steps, {device.type}, in turn with the published way\n")
    print("\n".join(picture.report(found)))
    return 0


def report_precision(model: LiteUniModel, name: str, steps: int) -> int:
    """Print what few bits cost, part by part."""
    found: list[precision.Cost] = []
    for cost in precision.costs(model, steps):
        found.append(cost)
        print(f"measured: {cost.name}, {cost.form}", file=sys.stderr, flush=True)
    print(f"{name}, {steps} steps; pictures are off by so many colours of 255, on average\n")
    print("\n".join(precision.report(found)))
    return 0


def _model(args: argparse.Namespace) -> LiteUniModel:
    if args.folder is None:
        size = args.size or "mid"
        if size not in SIZES:
            raise PromptError(f"{NAME} has no random weights of size {size}; {' or '.join(SIZES)}.")
        return random_model(SIZES[size])
    stored = stored_quantisation(args.folder)
    if stored is not None:
        raise CheckpointError(
            f"{args.folder} holds {stored}, and exact weights are measured; give the published "
            "folder."
        )
    return load_model(args.folder)
