"""`ming eval`: how well a checkpoint of the drawn world draws, sees and edits."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from PIL import Image

from ming_core import GENERATE_PREFIX, SCHEDULES, ImageSampling, load_model
from ming_exam.examination import cases_of as outside_cases
from ming_exam.examination import examine, figures_of
from ming_exam.papers import PAPERS
from ming_shapes.evaluation.cases import KINDS, RECONSTRUCTIONS, SEED, cases_of
from ming_shapes.evaluation.measures import (
    Figures,
    ask_figures,
    describe_figures,
    edit_figures,
    generate_figures,
    is_edited,
    mean,
    psnr,
    region_figures,
    same_figures,
    superres_figures,
    talk_figures,
    verdict_of,
)
from ming_shapes.evaluation.player import Played, Player, picture_of
from ming_shapes.evaluation.worker_pool import MOST_PROCESSES, Job, play_jobs, usual_processes
from ming_shapes.tasks import Shown

from .contact_sheet import Cell, Row, draw_sheet

BUNDLED = Path(__file__).resolve().parent.parent / "bundled"
RIGHT, WRONG = "#2e7d32", "#d32f2f"
DRAWN = ("single", "two", "counting", "position")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line of `ming eval`."""
    parser.add_argument("folder", type=Path, nargs="?", help="checkpoint; default: the bundled one")
    parser.add_argument("--quick", action="store_true", help="a few cases of everything")
    parser.add_argument(
        "--outside",
        action="store_true",
        help="the examination that shares no word, picture or judge with the lessons",
    )
    parser.add_argument("--plain", action="store_true", help="one thing, plain English alone")
    parser.add_argument("--json", action="store_true", help="end with one JSON object")
    parser.add_argument("--sheet", type=Path, help="write a contact sheet (PNG) here")
    parser.add_argument(
        "--only", nargs="*", choices=sorted({*KINDS, *PAPERS}), help="these lines alone"
    )
    parser.add_argument("--cases", type=int, help="so many cases per line instead")
    parser.add_argument("--seed", type=int, default=SEED, help="of the cases, to ask others")
    parser.add_argument(
        "--processes",
        type=int,
        choices=range(1, MOST_PROCESSES + 1),
        help="play in so many processes at once; default: one per CPU core where the model is "
        "small, one on a GPU",
    )
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--solver", default="euler")
    parser.add_argument("--text-guidance", type=float, default=3.0)
    parser.add_argument("--image-guidance", type=float, default=1.1)
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--time-shift", type=float)
    parser.add_argument("--schedule", choices=SCHEDULES, default=SCHEDULES[0])


def main(args: argparse.Namespace) -> int:
    """Play every case, print the figures, and draw the sheet."""
    folder = args.folder or (BUNDLED if BUNDLED.is_dir() else None)
    if folder is None:
        print(f"No checkpoint is bundled in {BUNDLED}; name a folder.")
        return 2
    sampling = ImageSampling(
        steps=args.steps,
        solver=args.solver,
        text_guidance=args.text_guidance,
        image_guidance=args.image_guidance,
        temperature=args.temperature,
        time_shift=args.time_shift,
        schedule=args.schedule,
    )
    began = time.monotonic()
    if args.outside:
        return sit_outside(folder, sampling, args)
    played = play_all(folder, sampling, args)
    report = report_of(played)
    if not args.only or "copy" in args.only:
        count = RECONSTRUCTIONS["quick" if args.quick else "full"]
        report["reconstruct"] = reconstruct(Player(load_model(folder)), count, args.seed)
    cases = sum(len(group) for group in played.values())
    tell(report, f"{cases} cases in {time.monotonic() - began:.0f} s", is_json=args.json)
    if args.sheet:
        draw_sheet(f"ming eval - {folder}", rows_of(played)).save(args.sheet)
    return 0


def sit_outside(folder: Path, sampling: ImageSampling, args: argparse.Namespace) -> int:
    """Let the checkpoint sit the examination from outside, and print its figures."""
    began = time.monotonic()
    parts = [part for part in args.only or PAPERS if part in PAPERS]
    cases = [
        case
        for part in parts
        for case in outside_cases(part, args.seed, args.cases, is_quick=args.quick)
    ]
    marks = examine(folder, cases, sampling, args.processes or usual_processes(folder))
    took = f"{len(cases)} cases in {time.monotonic() - began:.0f} s"
    tell(figures_of(cases, marks), took, is_json=args.json)
    return 0


def tell(report: dict[str, Figures], took: str, *, is_json: bool) -> None:
    """Print the figures, a line each, and how long they took."""
    for line, figures in report.items():
        shown = "  ".join(f"{name} {value:g}" for name, value in figures.items())
        print(f"{line:<12} {shown}")
    print(took)
    if is_json:
        print(json.dumps(report))


def play_all(
    folder: Path, sampling: ImageSampling, args: argparse.Namespace
) -> dict[str, list[Played]]:
    """Play the cases of every wanted line, each with its own seed."""
    lines = {
        name: cases_of(name, is_quick=args.quick, is_plain=args.plain, seed=args.seed)[: args.cases]
        for name in args.only or KINDS
        if name in KINDS
    }
    jobs = [Job(case, seed, sampling) for some in lines.values() for seed, case in enumerate(some)]
    played = iter(play_jobs(folder, jobs, args.processes or usual_processes(folder)))
    return {name: list(islice(played, len(cases))) for name, cases in lines.items()}


def report_of(played: dict[str, list[Played]]) -> dict[str, Figures]:
    """Return the figures of every line that was played."""
    report: dict[str, Figures] = {}
    some = {name: played[name] for name in DRAWN if name in played}
    if some:
        report["generate"] = generate_figures({n: some.get(n, []) for n in DRAWN})
    makers = {
        "describe": describe_figures,
        "ask": ask_figures,
        "draw_then_edit": talk_figures,
        "region": region_figures,
        "superres": superres_figures,
        "colourise": same_figures,
        "copy": same_figures,
    }
    for name, figures in makers.items():
        if name in played:
            report[name] = figures(played[name])
    if "edit" in played or "chain" in played:
        report["edit"] = edit_figures(played.get("edit", []), played.get("chain", []))
    return report


def reconstruct(player: Player, count: int, seed: int) -> Figures:
    """Encode and decode true pictures; PSNR in dB."""
    shown = [case.turns[0].answer for case in cases_of("copy", is_quick=False, seed=seed)[:count]]
    pictures = [picture_of(answer) for answer in shown if isinstance(answer, Shown)]
    scores = [psnr(player.painted(player.features(picture)), picture) for picture in pictures]
    return {"psnr": round(mean(scores), 2)}


def rows_of(played: dict[str, list[Played]]) -> list[Row]:
    """Return a row per line: what was given, and what was drawn, framed by its verdict."""
    return [
        Row(name, [cell for one in group for cell in cells_of(one)])
        for name, group in played.items()
    ]


def cells_of(played: Played) -> Iterator[Cell]:
    """Yield every picture that was drawn, after the one that was given for it."""
    for number, (turn, picture) in enumerate(
        zip(played.conversation.turns, played.pictures, strict=True)
    ):
        if picture is None:
            continue
        if turn.spec is not None:
            is_right = number > 0 or verdict_of(played).everything
        else:
            is_right = turn.kind == "region" or is_edited(played, number)
        if turn.given is not None:
            yield Cell("given", Image.fromarray(picture_of(turn.given)))
        words = turn.words.removeprefix(GENERATE_PREFIX)
        yield Cell(words, Image.fromarray(picture), frame=RIGHT if is_right else WRONG)
