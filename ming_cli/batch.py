"""The command line of `ming batch`: prepare the rows, run those that are left, sum up."""

import argparse
import dataclasses
import signal
import sys
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ming_core import RowError, read_rows
from ming_run.batch.bar import Bar, in_words
from ming_run.batch.outcomes import Journal, Outcome, execute, write_results
from ming_run.batch.tasks import TEMPLATE_SLOT, Pattern, Task, make_tasks
from ming_run.comfyui_process import terminated_as_interrupted
from ming_run.host import Folders, Host, Interrupted, RunError, WorkflowError
from ming_run.prompt_settings import apply_settings, parse_setting
from ming_run.workflow_format import read_workflow

from .run import (
    WORKFLOW_HELP,
    add_run_arguments,
    as_prompt,
    open_folders,
    open_host,
    set_checkpoint,
    shipped_pictures,
)

Outcomes = Generator[tuple[Task, Outcome], None, None]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.add_argument("rows", type=Path, metavar="FILE", help="a prompt a line, or a .csv table")
    parser.add_argument("workflow", type=Path, metavar="WORKFLOW", help=WORKFLOW_HELP)
    parser.add_argument(
        "--template",
        default=TEMPLATE_SLOT,
        metavar="TEXT",
        help="words around every prompt; {} stands for it",
    )
    add_run_arguments(parser)
    parser.add_argument(
        "--ray",
        nargs="?",
        const="",
        metavar="ADDRESS",
        help="spread the rows over a Ray cluster, or over this machine; runs without ComfyUI",
    )
    parser.add_argument(
        "--workers", type=int, metavar="N", help="with --ray: default one per GPU, else one"
    )


def main(args: argparse.Namespace) -> int:
    """Run the rows; 0 when all are done, 1 when some failed, 130 when interrupted."""
    try:
        with terminated_as_interrupted(), open_folders(args) as folders:
            return _run(args, folders)
    except (Interrupted, KeyboardInterrupt):
        print("\nming batch: interrupted. The same command goes on there.", file=sys.stderr)
        return 128 + signal.SIGINT
    except (RunError, RowError) as error:
        print(f"ming batch: {error}", file=sys.stderr)
        return 1


@dataclass
class _Summary:
    """What is said at the end."""

    num_rows: int
    num_skipped: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)
    num_done: int = 0

    def __str__(self) -> str:
        left = self.num_rows - self.num_done - self.num_skipped - len(self.failed)
        parts = [f"{self.num_done} done"]
        parts += [f"{self.num_skipped} done before"] if self.num_skipped else []
        parts += [f"{len(self.failed)} failed"] if self.failed else []
        parts += [f"{left} not run"] if left else []
        words = f"{self.num_rows} rows: {', '.join(parts)}"
        lines = [f"{words}, in {in_words(time.monotonic() - self.started)}."]
        return "\n".join(lines + [f"  {name}: {error}" for name, error in self.failed.items()])


def _run(args: argparse.Namespace, folders: Folders) -> int:
    _check_options(args)
    rows, content = read_rows(args.rows), read_workflow(args.workflow)
    output = folders.output
    output.mkdir(parents=True, exist_ok=True)
    folders = dataclasses.replace(folders, output=folders.work / "results")
    host = open_host(args, folders)
    summary = _Summary(len(rows))
    try:
        tasks, summary.failed = make_tasks(_pattern(args, content, folders, host), rows)
        journal = Journal(output)
        pending = [task for task in tasks if not journal.is_done(task)]
        summary.num_skipped = len(tasks) - len(pending)
        bar = Bar(sys.stderr, len(pending))
        bar.say(f"Running {len(pending)} of {len(rows)} rows {_place(args, host)}.")
        for name, error in summary.failed.items():
            bar.say(f"  {name} cannot run: {error}")
        if pending:
            _finish_all(_outcomes(args, pending, host, folders, bar), output, journal, bar, summary)
    finally:
        host.close()
        print(summary, flush=True)
    return 1 if summary.failed else 0


def _check_options(args: argparse.Namespace) -> None:
    if args.ray is not None and (args.server or args.comfyui):
        raise WorkflowError("--ray runs without ComfyUI: leave out --server and --comfyui.")
    if args.workers is not None and (args.ray is None or args.workers < 1):
        raise WorkflowError("--workers goes with --ray, and takes 1 or more.")
    if TEMPLATE_SLOT not in args.template:
        raise WorkflowError(f"--template {args.template!r}: put {TEMPLATE_SLOT} where prompts go.")
    args.headless = args.headless or args.ray is not None


def _pattern(args: argparse.Namespace, content: dict, folders: Folders, host: Host) -> Pattern:
    definitions = host.definitions()
    # Drawn once and the same way each time, or a batch that goes on would begin anew.
    seed = args.seed_choices or 0
    converted = as_prompt(content, definitions, args.workflow.name, seed, _say)
    prompt = converted.prompt
    settings = [parse_setting(text) for text in args.settings]
    apply_settings(settings, {"": prompt}, definitions, {"": converted.places})
    if args.checkpoint:
        set_checkpoint(prompt, args.checkpoint, definitions)
    return Pattern(
        prompt,
        definitions,
        shipped_pictures(args.workflow, prompt),
        [args.rows.resolve().parent, folders.input],
        args.template,
    )


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _place(args: argparse.Namespace, host: Host) -> str:
    return "on Ray" if args.ray is not None else host.label


def _outcomes(
    args: argparse.Namespace, tasks: Sequence[Task], host: Host, folders: Folders, bar: Bar
) -> Outcomes:
    if args.ray is None:
        return ((task, execute(task, host, folders, bar)) for task in tasks)
    from ming_run.batch.on_ray import run_on_ray

    return run_on_ray(tasks, folders, args.ray, args.workers)


def _finish_all(
    outcomes: Outcomes, output: Path, journal: Journal, bar: Bar, summary: _Summary
) -> None:
    """Write down each row as it ends."""
    try:
        for task, outcome in outcomes:
            files = [] if outcome.error else write_results(task.name, outcome, output)
            journal.add(task, outcome, files)
            bar.finished(task.name, outcome.seconds, outcome.error)
            if outcome.error is None:
                summary.num_done += 1
            else:
                summary.failed[task.name] = outcome.error
    finally:
        outcomes.close()
        bar.close()
