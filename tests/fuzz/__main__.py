"""python -m tests.fuzz --minutes N --seed S: run cases of every target in turn; count and report.

One case again: `--only TARGET --first NUMBER --cases 1` with the seed it was found with.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from .targets import ALL, Target, chosen
from .watching import Finding, Runner

ROUND = 25  # cases for each share of a target in one round


def main() -> int:
    """Print how many cases ran and what was found; 1 if anything was."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--cases", type=int, help="in all, shared out; else as time allows")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, metavar="NUMBER")
    parser.add_argument("--only", action="append", default=[], choices=[t.name for t in ALL])
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        runner = Runner(args.seed, Path(place), time.monotonic() + 60 * args.minutes)
        findings = _run(runner, chosen(args.only), args)
    total = sum(runner.num_cases.values())
    print(f"{total:,} cases: {runner.num_cases}")
    print(f"{len(findings)} findings with seed {args.seed}")
    return 1 if findings else 0


def _run(runner: Runner, targets: tuple[Target, ...], args: argparse.Namespace) -> list[Finding]:
    findings: list[Finding] = []
    shares = sum(target.share for target in targets)
    first, end = {t.name: args.first for t in targets}, time.monotonic() + 60 * args.minutes
    while time.monotonic() < end:
        for target in targets:
            count = args.cases * target.share // shares if args.cases else ROUND * target.share
            numbers = range(first[target.name], first[target.name] + max(count, 1))
            for finding in runner.run(target, numbers):
                findings.append(finding)
                print(f"{finding.target} {finding.number}: {finding.what}", flush=True)
            first[target.name] = numbers.stop
        if args.cases:
            break
    return findings


if __name__ == "__main__":
    sys.exit(main())
