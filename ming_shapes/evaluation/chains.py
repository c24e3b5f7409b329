"""The paper's claim in miniature: chains of edits through the latent context and through pixels.

    python -m ming_shapes.evaluation.chains FOLDER --cases 40 [--plain] --docs docs

Writes docs/latent_chain.md and docs/latent_chain.png (with `--plain` latent_chain_plain.*): success
and drift per step both ways, and success of single pictures against guidance, steps, solver and
temperature.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from ming_core import ImageSampling

from ..tasks import Conversation, edit_chain
from .cases import ANYTHING, Kind, cases_of, some_of
from .measures import is_edited, kept_psnr, mean, verdict_of
from .player import Played
from .worker_pool import Job, play_jobs, usual_processes

LENGTH = 6
WAYS = {"latent context": False, "decode and re-encode": True}
SIX_EDITS = Kind(partial(edit_chain, length=LENGTH), ANYTHING, 0, most_things=2)
INKS = {"latent context": "#1565c0", "decode and re-encode": "#c62828"}
PAGES = ("latent_chain", "latent_chain_plain")  # of anything, and in plain words
PANEL = (420, 260)
Row = tuple[str, float, float]  # setting, all right, background right


@dataclass(frozen=True)
class Step:
    """What became of one step of a chain, over all cases."""

    number: int
    success: float
    still_right: float  # this step and every one before it
    preserved: float  # PSNR of what should not change, in dB


def chain_cases(count: int, *, is_plain: bool = False) -> list[Conversation]:
    """Return chains of six edits of pictures with one or two things; plain ones begin with one."""
    return some_of(SIX_EDITS, "six", count, is_plain=is_plain)


def steps_of(played: Sequence[Played]) -> list[Step]:
    """Return what became of every step."""
    rights = np.array([[is_edited(p, i) for i in range(LENGTH)] for p in played], dtype=float)
    drift = np.array([[kept_psnr(p, i) for i in range(LENGTH)] for p in played])
    so_far = np.cumprod(rights, axis=1)
    return [
        Step(i + 1, rights[:, i].mean(), so_far[:, i].mean(), drift[:, i].mean())
        for i in range(LENGTH)
    ]


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
    sheet = Image.new("RGB", (2 * PANEL[0], PANEL[1]), "white")
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
        for row, (name, steps) in enumerate(ways.items()):
            points = [
                (left + 60 + 60 * i, 220 - 180 * (value(s) - low) / (high - low))
                for i, s in enumerate(steps)
            ]
            pen.line(points, fill=INKS[name], width=3)
            pen.text((left + 60, 228 + 14 * row), name, INKS[name])
    return sheet


def page_of(
    ways: dict[str, list[Step]],
    rows: list[Row],
    cases: int,
    singles: int,
    *,
    is_plain: bool,
) -> str:
    """Write the page: tables, and nothing that was not measured."""
    kind = "one filled thing, plain English" if is_plain else "held-out scenes and phrasings"
    other = PAGES[not is_plain]
    lines = [
        "# Edits in one latent context, and through pixels",
        "",
        f"{cases} chains of {LENGTH} edits of given pictures ({kind}),",
        "played twice with the same seeds: in one latent context, and with the picture decoded,",
        "encoded again and given to a fresh context between steps. Judged by `ming eval`'s judge.",
        f"The same {'of anything' if is_plain else 'in plain words'}: [{other}.md]({other}.md).",
        "",
        f"![success and drift per step]({PAGES[is_plain]}.png)",
        "",
        "| step | " + " | ".join(f"{name}: right, right so far, kept dB" for name in ways) + " |",
        "|---|" + "---|" * len(ways),
    ]
    for index in range(LENGTH):
        cells = [
            f"{s[index].success:.2f}, {s[index].still_right:.2f}, {s[index].preserved:.1f}"
            for s in ways.values()
        ]
        lines.append(f"| {index + 1} | " + " | ".join(cells) + " |")
    lines += [
        "",
        f"## One picture from words, by setting ({singles} cases each)",
        "",
        "| setting | all right | background right |",
        "|---|---|---|",
        *[f"| {name} | {right:.2f} | {background:.2f} |" for name, right, background in rows],
        "",
        "Reproduce: `python -m ming_shapes.evaluation.chains FOLDER "
        f"--cases {cases} --singles {singles}{' --plain' * is_plain} --docs docs`.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cases", type=int, default=40)
    parser.add_argument("--singles", type=int, default=60)
    parser.add_argument("--plain", action="store_true", help="one thing, plain English alone")
    parser.add_argument("--docs", type=Path, default=Path("docs"))
    args = parser.parse_args()
    cases, processes = chain_cases(args.cases, is_plain=args.plain), usual_processes(args.folder)
    jobs = [
        Job(case, seed * 10, ImageSampling(), by_pixels)
        for by_pixels in WAYS.values()
        for seed, case in enumerate(cases)
    ]
    played = iter(play_jobs(args.folder, jobs, processes))
    ways = {name: steps_of(list(islice(played, len(cases)))) for name in WAYS}
    rows = sweep(args.folder, args.singles, processes, is_plain=args.plain)
    args.docs.mkdir(parents=True, exist_ok=True)
    name = PAGES[args.plain]
    draw_plot(ways).save(args.docs / f"{name}.png")
    page = page_of(ways, rows, args.cases, args.singles, is_plain=args.plain)
    (args.docs / f"{name}.md").write_text(page, encoding="utf-8")
    print(page)


if __name__ == "__main__":
    main()
