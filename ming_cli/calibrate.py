"""`ming calibrate DIR`: fewer evaluations of the flow that draw nearly what was published."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch

from ming_core import (
    FLOATS,
    GENERATE_PREFIX,
    QUANTISATIONS,
    CheckpointError,
    MingModel,
    PromptError,
    folders_of,
    generate,
    load_model,
    measured_speeds,
)
from ming_core.graph import SWITCH
from ming_core.univision.calibration import (
    PROMPTS,
    STEPS,
    Judge,
    calibrate,
    looks_trained,
)
from ming_core.univision.conditions import Conditions
from ming_core.univision.flow.schedule import Calibrated
from ming_core.univision.schedule_file import write_schedules

HELD_OUT = 3  # of so many prompts one is left out of the search
LATER = 1 << 20  # a seed that the search does not come to
TOKENS = 256  # searched on, and judged on


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line of `ming calibrate`."""
    add = parser.add_argument
    add("folder", type=Path, help="checkpoint folder; the schedules are written into it")
    add("--prompts", type=Path, help="a text file, one prompt a line; default: simple drawings")
    add("--pictures", type=int, default=1, help="drawn of every prompt (1)")
    add("--steps", nargs="+", type=int, default=list(STEPS), help="evaluations a token (4 to 12)")
    add("--tokens", type=int, default=TOKENS, help=f"visual tokens looked at ({TOKENS})")
    add("--device", help="where to compute (CUDA if there is one, else cpu)")
    add(
        "--precision",
        choices=(*FLOATS, *QUANTISATIONS),
        default="fp32",
        help="of the weights (fp32)",
    )
    add("--dry-run", action="store_true", help="write nothing")


def main(args: argparse.Namespace) -> int:
    """Search, report, and write the schedules beside the checkpoint."""
    prompts = read_prompts(args.prompts)
    device = torch.device(args.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    on_processor = device.type == "cpu"
    few = measured_speeds().floats if on_processor else "bf16"  # beside weights in few bits
    loaded = load_model(
        args.folder,
        dtype=FLOATS.get(args.precision) or FLOATS[few],
        quantise=args.precision if args.precision in QUANTISATIONS else None,
        on_processor=on_processor,
    )
    if not isinstance(loaded, MingModel):
        raise CheckpointError(f"{args.folder} is of a family whose flow has its own schedule.")
    model = loaded.to(device)
    if not 1 <= min(args.steps) <= max(args.steps) < model.config.flow.steps:
        raise PromptError(f"--steps are counts below the {model.config.flow.steps} of the model.")
    left_out = max(1, len(prompts) // HELD_OUT)
    os.environ[SWITCH] = "0"  # conditions are heard of by layers, which no recorded graph calls
    print(f"drawing {len(prompts) * args.pictures} pictures as published", file=sys.stderr)
    found = collect(model, prompts[:-left_out], pictures=args.pictures)
    held_out = collect(model, prompts[-left_out:], pictures=args.pictures, seed=LATER)
    if not looks_trained(found):
        print(
            "The flow does not take the noise away: these weights look random, and then what is "
            "found here means nothing."
        )
    print(f"{'steps':>5} {'searched':>9} {'held out':>9}  grid")
    published = model.config.flow.steps
    searched, judged = (Judge.of(one.some(args.tokens), published) for one in (found, held_out))
    schedules = calibrate(model, searched, judged, args.steps, told)
    if schedules.rounding is not None:
        print(f"rounding the flow to bf16: {schedules.rounding:.4f}")
    if not args.dry_run:
        home = next(iter(folders_of(args.folder).values()))
        print(f"written: {write_schedules(schedules, home)}")
    return 0


def collect(
    model: MingModel, prompts: Sequence[str], *, pictures: int = 1, seed: int = 0
) -> Conditions:
    """Draw some pictures of every prompt, and keep all conditions."""
    each: list[Conditions] = []
    for index, prompt in enumerate(prompts):
        first = seed + index * pictures
        own = range(first, first + pictures)
        draw = partial(generate, model, GENERATE_PREFIX + prompt, seeds=own)
        each.append(Conditions.collect(model, own, draw))
    return Conditions.joined(each)


def told(steps: int, found: Calibrated, searched: float) -> None:
    """Print a grid that was found."""
    points = " ".join(f"{point:.3f}" for point in found.grid)
    print(f"{steps:5} {searched:9.4f} {found.error:9.4f}  {points}", flush=True)


def read_prompts(path: Path | None) -> list[str]:
    """Return the prompts of a file, or the usual ones; raises PromptError for fewer than two."""
    if path is None:
        return list(PROMPTS)
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    prompts = [line for line in lines if line and not line.startswith("#")]
    if len(prompts) < 2:  # noqa: PLR2004  one to search on, one to judge by
        raise PromptError(f"{path} has {len(prompts)} prompts; write two or more, one a line.")
    return prompts
