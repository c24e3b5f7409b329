"""`ming bench`: what a visual token costs, side by side with the published algorithm."""

import argparse
import json
from collections.abc import Callable

import torch

from .measure import (
    THREE_ROWS,
    TWO_ROWS,
    Case,
    baseline_seconds_per_token,
    count_ops,
    paired_ratio,
    seconds_per_token,
)
from .random_model import deep, middle, random_model

CPU = torch.device("cpu")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line of `ming bench`."""
    parser.add_argument("--cpu", action="store_true", help="the checks a CPU can time (default)")
    parser.add_argument("--quick", action="store_true", help="fewer tokens and repeats")
    parser.add_argument("--json", action="store_true", help="end with one JSON object")


def main(args: argparse.Namespace) -> int:
    """Measure, printing a line per case."""
    torch.set_num_threads(1)  # shared machines time reproducibly on one thread only
    figures = cpu_figures(tokens=3 if args.quick else 9, repeats=3 if args.quick else 7)
    if args.json:
        print(json.dumps(figures))
    return 0


@torch.inference_mode()
def cpu_figures(tokens: int, repeats: int) -> dict[str, float]:
    """Return the ratios and counts a CPU can give, in fp32 on one thread."""
    model = random_model(middle(), torch.float32, CPU)
    three, two = Case.read(model, THREE_ROWS), Case.read(model, TWO_ROWS)
    figures: dict[str, float] = {}

    def ratio(name: str, first: Callable[[], float], second: Callable[[], float]) -> None:
        figures[name], every = paired_ratio(first, second, repeats)
        print(f"{name:<18} {figures[name]:7.3f}   of {', '.join(f'{r:.3f}' for r in every)}")

    for name, case in (("ratio_3_rows", three), ("ratio_2_rows", two)):
        ratio(
            name,
            lambda case=case: baseline_seconds_per_token(case, tokens),
            lambda case=case: seconds_per_token(case, tokens),
        )
    ratio(
        "batch4_over_4x1",
        lambda: seconds_per_token(three, tokens, pictures=4),
        lambda: 4 * seconds_per_token(three, tokens),
    )
    ours = three.draw(2, 1, lambda: None)[0]
    theirs = three.draw_baseline(2, lambda: None)
    figures["latent_error"] = float((ours - theirs).abs().max() / theirs.abs().max())
    figures |= op_figures()
    for name in list(figures)[3:]:
        print(f"{name:<18} {figures[name]:10.3g}")
    return figures


def op_figures() -> dict[str, float]:
    """Count operations per token at the published depths."""
    case = Case.read(random_model(deep(), torch.float32, CPU), THREE_ROWS)
    ours = count_ops(lambda mark: case.draw(2, 1, mark))
    theirs = count_ops(lambda mark: case.draw_baseline(2, mark))
    return {
        "ops_per_token": float(sum(ours.values())),
        "ops_per_token_baseline": float(sum(theirs.values())),
    }
