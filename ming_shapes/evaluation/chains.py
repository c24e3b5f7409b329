"""The paper's claim in miniature: chains of edits in latent contexts, and through pixels.

    python -m ming_shapes.evaluation.chains FOLDER --cases 40 [--plain] --docs docs

Writes docs/latent_chain.md and docs/latent_chain.png (with `--plain` latent_chain_plain.*): how
many chains are right so far, by their length and by what is remembered; drift; and success of
single pictures against guidance, steps, solver and temperature.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import compress, islice
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from ming_core import ImageSampling, load_model

from ..tasks import Conversation, edit_chain
from .cases import ANYTHING, Kind, cases_of, some_of
from .measures import is_edited, kept_psnr, mean, verdict_of
from .player import Played
from .ways import WAYS, played_by
from .worker_pool import Job, play_jobs, usual_processes

LENGTH = 12
EDITS = Kind(partial(edit_chain, length=LENGTH), ANYTHING, 0, most_things=2)
INKS = {
    "one growing context": "#1565c0",
    "last turn": "#2e7d32",
    "picture only": "#6a1b9a",
    "pixels": "#c62828",
    "pixels as JPEG": "#ef6c00",
}
PAGES = ("latent_chain", "latent_chain_plain")  # of anything, and in plain words
LENGTHS = (1, 2, 3, 4, 6, 8, 10, 12)
PANEL = (420, 260)
SETTINGS = "## One picture from words, by setting"
Row = tuple[str, float, float]  # setting, all right, background right


@dataclass(frozen=True)
class Step:
    """What became of one step of a chain, over all cases."""

    number: int
    success: float
    still_right: float  # this step and every one before it
    preserved: float  # PSNR of what should not change, in dB


def chain_cases(count: int, *, is_plain: bool = False) -> list[Conversation]:
    """Return chains of edits of pictures with one or two things; plain ones begin with one."""
    return some_of(EDITS, "twelve", count, is_plain=is_plain)


def steps_of(played: Sequence[Played]) -> list[Step]:
    """Return what became of every step; what was asked between them does not count."""
    chains = [edits_of(p) for p in played]
    rights = np.array([[is_edited(p, i) for i in range(LENGTH)] for p in chains], dtype=float)
    drift = np.array([[kept_psnr(p, i) for i in range(LENGTH)] for p in chains])
    so_far = np.cumprod(rights, axis=1)
    return [
        Step(i + 1, rights[:, i].mean(), so_far[:, i].mean(), drift[:, i].mean())
        for i in range(LENGTH)
    ]


def edits_of(played: Played) -> Played:
    """Return the turns that drew, without those that asked."""
    drew = [picture is not None for picture in played.pictures]
    turns = tuple(compress(played.conversation.turns, drew))
    conversation = replace(played.conversation, turns=turns)
    words, pictures = compress(played.words, drew), compress(played.pictures, drew)
    return Played(conversation, list(words), list(pictures))


def sweep(folder: Path, count: int, processes: int, *, is_plain: bool) -> list[Row]:
    """Return the share of right single pictures, and of right backgrounds, per setting."""
    base = ImageSampling()
    settings = {
        f"text guidance {g:g}": replace(base, text_guidance=g) for g in (1.0, 2.0, 3.0, 5.0)
    }
    for solver in ("euler", "ab2"):
        for steps in (16, 8, 4):
            settings[f"{steps} steps, {solver}"] = replace(base, steps=steps, solver=solver)
    for temperature in (0.8, 1.0, 1.2):
        settings[f"temperature {temperature:g}"] = replace(base, temperature=temperature)
    cases = cases_of("single", is_quick=False, is_plain=is_plain)[:count]
    jobs = [Job(case, i, how) for how in settings.values() for i, case in enumerate(cases)]
    verdicts = iter([verdict_of(played) for played in play_jobs(folder, jobs, processes)])
    rows = []
    for name in settings:
        some = list(islice(verdicts, len(cases)))
        rows.append((name, mean([v.everything for v in some]), mean([v.background for v in some])))
    return rows


def draw_plot(ways: dict[str, list[Step]]) -> Image.Image:
    """Draw success and preserved PSNR per step, one line per way."""
    sheet = Image.new("RGB", (2 * PANEL[0], PANEL[1] + 14 * len(INKS)), "white")
    pen = ImageDraw.Draw(sheet)
    panels = {
        "every step so far right": (lambda s: s.still_right, 0.0, 1.0),
        "kept part, PSNR in dB": (lambda s: s.preserved, 10.0, 50.0),
    }
    for column, (title, (value, low, high)) in enumerate(panels.items()):
        left = column * PANEL[0]
        pen.text((left + 50, 10), title, "black")
        pen.line([(left + 40, 30), (left + 40, 220), (left + 400, 220)], fill="black")
        for share in (0, 0.5, 1):
            label = f"{low + share * (high - low):g}"
            pen.text((left + 8, 214 - 180 * share), label, "black")
        drawn = ((name, steps) for name, steps in ways.items() if name in INKS)
        for row, (name, steps) in enumerate(drawn):
            points = [
                (left + 60 + 30 * i, 220 - 180 * (value(s) - low) / (high - low))
                for i, s in enumerate(steps)
            ]
            pen.line(points, fill=INKS[name], width=3)
            pen.text((left + 60, 228 + 14 * row), name, INKS[name])
    return sheet


def chains_section(ways: dict[str, list[Step]], cases: int, model: str, *, is_plain: bool) -> str:
    """Write what became of the chains of the model of an identity, and nothing else."""
    kind = "one filled thing, plain English" if is_plain else "held-out scenes and phrasings"
    other = PAGES[not is_plain]
    lengths = [length for length in LENGTHS if length <= LENGTH]
    lines = [
        "# Long conversations: what to remember",
        "",
        f"{cases} chains of {LENGTH} edits of given pictures ({kind}), with the same seeds",
        f"in every way, by the model `{model}`. Judged by `ming eval`'s judge.",
        f"The same {'of anything' if is_plain else 'in plain words'}: [{other}.md]({other}.md).",
        "",
        f"![success and drift per step]({PAGES[is_plain]}.png)",
        "",
        "Share of chains whose every edit so far is right, by length; then PSNR in dB of what an",
        f"edit should leave alone, over edits 1 to 4 and {LENGTH - 3} to {LENGTH}.",
        "",
        "| the next edit remembers | "
        + " | ".join(f"{n}" for n in lengths)
        + " | kept | kept late |",
        "|---|" + "---|" * (len(lengths) + 2),
    ]
    for name, steps in ways.items():
        cells = [f"{steps[n - 1].still_right:.2f}" for n in lengths]
        ends = (steps[:4], steps[-4:])
        cells += [f"{mean([step.preserved for step in some]):.1f}" for some in ends]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    lines += [
        "",
        "*Pixels*: the picture is decoded, encoded again and given to a fresh context.",
        "*Questions*: one between two edits. Asked aside, it changes no number here: the context",
        "it leaves is the one it was given.",
        "",
        _reproduced(f"--cases {cases} --singles 0", is_plain=is_plain),
    ]
    return "\n".join(lines)


def settings_section(rows: list[Row], singles: int, *, is_plain: bool) -> str:
    """Write how single pictures depend on their settings."""
    lines = [
        f"{SETTINGS} ({singles} cases each)",
        "",
        "| setting | all right | background right |",
        "|---|---|---|",
        *[f"| {name} | {right:.2f} | {background:.2f} |" for name, right, background in rows],
        "",
        _reproduced(f"--cases 0 --singles {singles}", is_plain=is_plain),
    ]
    return "\n".join(lines)


def _reproduced(counts: str, *, is_plain: bool) -> str:
    options = f"{counts}{' --plain' * is_plain} --docs docs"
    return f"Reproduce: `python -m ming_shapes.evaluation.chains FOLDER {options}`."


def written(page: Path) -> tuple[str, str]:
    """Return both sections of a page as it is; empty where there is none."""
    text = page.read_text(encoding="utf-8") if page.is_file() else ""
    chains, _, settings = text.partition(SETTINGS)
    return chains.strip(), f"{SETTINGS}{settings}".strip() if settings else ""


def measured_chains(args: argparse.Namespace, processes: int) -> dict[str, list[Step]]:
    """Play the chains in every way; return what became of their steps."""
    cases = chain_cases(args.cases, is_plain=args.plain)
    jobs = [
        Job(played_by(way, case, seed), seed * 100, ImageSampling(), way)
        for way in WAYS.values()
        for seed, case in enumerate(cases)
    ]
    played = iter(play_jobs(args.folder, jobs, processes))
    return {name: steps_of(list(islice(played, len(cases)))) for name in WAYS}


def main() -> None:
    """Measure and write the page; what is not measured anew stays as it was."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cases", type=int, default=40, help="0 leaves their table as it is")
    parser.add_argument("--singles", type=int, default=60, help="0 leaves their table as it is")
    parser.add_argument("--plain", action="store_true", help="one thing, plain English alone")
    parser.add_argument("--processes", type=int, help="one per CPU core, unless given")
    parser.add_argument("--docs", type=Path, default=Path("docs"))
    args = parser.parse_args()
    processes, name = args.processes or usual_processes(args.folder), PAGES[args.plain]
    args.docs.mkdir(parents=True, exist_ok=True)
    page = args.docs / f"{name}.md"
    chains, settings = written(page)
    if args.cases:
        ways = measured_chains(args, processes)
        draw_plot(ways).save(args.docs / f"{name}.png")
        model = load_model(args.folder).identity
        chains = chains_section(ways, args.cases, model, is_plain=args.plain)
    if args.singles:
        rows = sweep(args.folder, args.singles, processes, is_plain=args.plain)
        settings = settings_section(rows, args.singles, is_plain=args.plain)
    page.write_text(f"{chains}\n\n{settings}\n", encoding="utf-8")
    print(page.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
