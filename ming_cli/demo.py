"""`ming demo`: runs every shipped workflow and gathers what came out on one sheet."""

from __future__ import annotations

import argparse
import json
import re
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import run
from .contact_sheet import Cell, Row, draw_sheet

PACK = Path(__file__).resolve().parent.parent
BUNDLED, WORKFLOWS = PACK / "bundled", PACK / "workflows"
SHEET = "contact sheet.png"
PICTURES = {".png", ".jpg", ".jpeg", ".webp"}
ASKS_A_HUB = "Download"  # the one workflow that draws nothing
GENERIC_TITLES = {"Save Image", "Preview Image"}  # the file's name says more

NOT_RUN = (
    "Not run, because this model is not the {family} that they ask for: {files}. Give a folder of "
    "that family to run them; on random weights they would draw noise."
)
SMALL = (
    "The small bundled model knows a few flat things at a time and nothing else: circle, square, "
    "triangle, star, diamond, cross and heart, in sixteen colours, on plain backgrounds "
    "(bundled/MODEL_CARD.md has the figures). The published checkpoint runs the same workflows: "
    "give its folder."
)


@dataclass(frozen=True)
class ChosenModel:
    """The checkpoint the demo runs on, and what to say about it."""

    folder: Path
    name: str
    remark: str = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line of `ming demo`."""
    parser.add_argument(
        "checkpoint", nargs="?", type=Path, help="checkpoint folder; default: the bundled one"
    )
    parser.add_argument("--output", type=Path, default=Path("output"), metavar="DIR")
    parser.add_argument("--comfyui", metavar="PATH", help="run inside the ComfyUI in PATH")


def main(args: argparse.Namespace) -> int:
    """Run all workflows; the exit code is 0 when each of them went well."""
    start = time.monotonic()
    args.output.mkdir(parents=True, exist_ok=True)
    model = chosen_model(args.checkpoint)
    with tempfile.TemporaryDirectory() as work:
        print(f"Model: {model.name}", flush=True)
        report_file = Path(work) / "report.json"
        place = ["--comfyui", args.comfyui] if args.comfyui else ["--headless"]
        files, others = workflows_for(model)
        code = run_workflows(
            *files,
            *("--checkpoint", model.folder, "--output", args.output, "--report", report_file),
            *place,
        )
        if not report_file.exists():
            return code or 1
        report = json.loads(report_file.read_text(encoding="utf-8"))
    write_texts(report, args.output)
    rows = [row_of(entry, args.output) for entry in report]
    heading = f"Ming-UniVision demo - {model.name}"
    draw_sheet(heading, rows).save(args.output / SHEET)
    print(summary(report, args.output, time.monotonic() - start))
    remarks = [model.remark] if model.remark else []
    remarks += [NOT_RUN.format(family=f, files=", ".join(names)) for f, names in others.items()]
    print(*(f"\n{remark}" for remark in remarks), sep="\n")
    return code


def chosen_model(checkpoint: Path | None) -> ChosenModel:
    """Return the given checkpoint, else the bundled model."""
    if checkpoint is not None:
        return ChosenModel(checkpoint, checkpoint.resolve().name)
    return ChosenModel(BUNDLED, "the small bundled model of drawn shapes", SMALL)


def run_workflows(*options: object) -> int:
    """Run workflows with `ming run` and return its exit code."""
    parser = argparse.ArgumentParser(prog="ming demo")
    run.add_arguments(parser)
    return run.main(parser.parse_args([str(option) for option in options]))


def workflows_for(model: ChosenModel) -> tuple[list[Path], dict[str, list[str]]]:
    """Return the shipped workflows that a model can run, and the names of others by family."""
    from ming_core.families import family_of

    files, others = list[Path](), dict[str, list[str]]()
    family = family_of(model.folder).NAME
    for path in sorted(WORKFLOWS.glob("*.json")):
        if ASKS_A_HUB in path.name:
            continue
        foreign = families_of(path) - {family}
        for name in foreign:
            others.setdefault(name, []).append(path.stem)
        files += [] if foreign else [path]
    return files, others


def families_of(path: Path) -> set[str]:
    """Return the families that the loaders of a shipped workflow ask for."""
    nodes = json.loads(path.read_text(encoding="utf-8"))["nodes"]
    choices = [n["widgets_values"][0] for n in nodes if n["type"] == run.LOADER_TYPE]
    return {family for choice in choices if (family := run.family_asked(choice)) is not None}


def row_of(entry: dict[str, Any], output: Path) -> Row:
    """Return one workflow as a row of the sheet: the pictures given, then what came out."""
    cells = [Cell(f"given: {path.name}", picture=path) for path in given_pictures(entry["file"])]
    cells += [cell_of(product, output) for product in entry["products"]]
    if "error" in entry:
        cells.append(Cell("error", text=entry["error"]))
    return Row(entry["file"], cells)


def given_pictures(name: str) -> list[Path]:
    """Return the shipped pictures that a workflow file loads."""
    workflow = json.loads((WORKFLOWS / f"{name}.json").read_text(encoding="utf-8"))
    loaders = [node for node in workflow["nodes"] if node["type"] == "LoadImage"]
    paths = [WORKFLOWS / "input" / str(node["widgets_values"][0]) for node in loaders]
    return [path for path in paths if path.is_file()]


def cell_of(product: dict[str, str], output: Path) -> Cell:
    """Return a product as a cell; a file that is no picture is shown by its name."""
    if "text" in product:
        return Cell(product["title"], text=product["text"])
    path = output / product["file"]
    label = product["title"]
    if label in GENERIC_TITLES:
        label = re.sub(r"_\d+_?$", "", path.stem)
    if path.suffix.lower() in PICTURES:
        return Cell(label, picture=path)
    return Cell(label, text=product["file"])


def write_texts(report: Sequence[dict[str, Any]], output: Path) -> None:
    """Write each workflow's texts beside the pictures."""
    for entry in report:
        texts = [f"{p['title']}:\n{p['text']}\n" for p in entry["products"] if "text" in p]
        if texts:
            (output / f"{entry['file']}.txt").write_text("\n".join(texts), encoding="utf-8")


def summary(report: Sequence[dict[str, Any]], output: Path, seconds: float) -> str:
    """Say how much came out, where it is and how long it took."""
    products = [product for entry in report for product in entry["products"]]
    num_texts = sum("text" in product for product in products)
    failed = [entry["file"] for entry in report if "error" in entry]
    lines = [
        "",
        f"{len(report)} workflows, {len(products) - num_texts} files, {num_texts} texts in "
        f"{seconds:.0f} s.",
        f"Everything is in {output.resolve()}",
        f"All of it at a glance: {(output / SHEET).resolve()}",
    ]
    if failed:
        lines.append(f"FAILED: {', '.join(failed)} (the messages are above)")
    return "\n".join(lines)
