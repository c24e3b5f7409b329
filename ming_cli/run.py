"""`ming run FILE...`: executes workflow files and lists what came out.

Chooses the place to run (a real ComfyUI, or this process), prepares the prompts, and reports.
"""

import argparse
import json
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

from ming_core.foreign_text import several
from ming_run.comfyui_process import checked_comfyui, find_comfyui, terminated_as_interrupted
from ming_run.console import Console
from ming_run.editor import Converted, convert
from ming_run.host import (
    Folders,
    Host,
    HostError,
    Interrupted,
    Job,
    Product,
    RunError,
    WorkflowError,
)
from ming_run.node_definitions import NodeDefinition
from ming_run.products import keep_previews
from ming_run.prompt_checks import check_prompt
from ming_run.prompt_settings import apply_settings, parse_setting
from ming_run.workflow_format import is_ui_format, read_workflow

LOADER_TYPE = "MingUniVision_LoadModel"
WORKFLOW_HELP = "workflow, UI or API, or a picture that ComfyUI saved with one"
AUTO, FIRST_FAMILY = "auto", "Ming-UniVision"  # "auto: FAMILY" asks for another one


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help=WORKFLOW_HELP)
    add_run_arguments(parser)
    parser.add_argument("--report", type=Path, metavar="FILE", help="also list the results as JSON")


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe what every way of running workflows takes: values, folders, and the place."""
    parser.add_argument("--checkpoint", metavar="NAME_OR_FOLDER", help="for every Load node")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        dest="settings",
        metavar="NODE.INPUT=VALUE",
        help="change one value; NODE is an id or a title; may be given several times",
    )
    parser.add_argument(
        "--seed-choices",
        type=int,
        metavar="N",
        help="draw the {a|b} in a workflow's texts the same way every time",
    )
    parser.add_argument("--input", type=Path, metavar="DIR", help="folder of the pictures to load")
    parser.add_argument("--output", type=Path, default=Path("output"), metavar="DIR")
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--headless", action="store_true", help="run without ComfyUI")
    place.add_argument("--comfyui", type=Path, metavar="PATH", help="start the ComfyUI in PATH")
    place.add_argument("--server", metavar="URL", help="use a ComfyUI that runs already")
    parser.add_argument(
        "--comfyui-argument",
        action="append",
        default=[],
        metavar="ARG",
        help="pass on to ComfyUI's main.py, as in --comfyui-argument=--lowvram",
    )
    parser.add_argument(
        "--base-directory", type=Path, metavar="DIR", help="keep working files here"
    )


def main(args: argparse.Namespace) -> int:
    """Run every file; 0 when all went well, 1 on any error, 130 when interrupted."""
    console = Console(sys.stderr)
    try:
        with terminated_as_interrupted(), open_folders(args) as folders:
            return _run_files(args, folders, console)
    except (Interrupted, KeyboardInterrupt) as error:
        console.close_line()
        print(f"ming run: {error}" if str(error) else "ming run: interrupted", file=sys.stderr)
        return 128 + signal.SIGINT
    except RunError as error:
        console.close_line()
        print(f"ming run: {error}", file=sys.stderr)
        return 1


@contextmanager
def open_folders(args: argparse.Namespace) -> Iterator[Folders]:
    """The folders of this run; what is temporary is removed at the end."""
    if args.input is not None and not args.input.is_dir():
        raise WorkflowError(f"--input {args.input}: is not a folder.")
    is_temporary = args.base_directory is None
    work = Path(tempfile.mkdtemp(prefix="ming-run-")) if is_temporary else args.base_directory
    work = work.resolve()
    checkpoint = Path(args.checkpoint).resolve() if args.checkpoint else None
    is_folder = checkpoint is not None and checkpoint.is_dir()
    try:
        work.mkdir(parents=True, exist_ok=True)
        yield Folders(
            input=(args.input or work / "input").resolve(),
            output=args.output.resolve(),
            work=work,
            checkpoint_root=checkpoint.parent if checkpoint and is_folder else None,
        )
    finally:
        if is_temporary:
            shutil.rmtree(work, ignore_errors=True)


@dataclass(frozen=True)
class _Batch:
    """The files of one call, read and given their values."""

    jobs: list[Job]
    definitions: dict[str, NodeDefinition]


def _run_files(args: argparse.Namespace, folders: Folders, console: Console) -> int:
    contents = {path: read_workflow(path) for path in args.files}
    started = time.monotonic()
    host = open_host(args, folders)
    report: list[dict[str, object]] = []
    failures = 0
    try:
        console.say(f"Running {host.label}, ready after {time.monotonic() - started:.0f} s.")
        batch = _prepare(args, contents, host, console)
        for job in batch.jobs:
            error = _run_job(job, host, folders, console, report)
            failures += error is not None
    finally:
        host.close()
        if args.report is not None:
            _write_report(args.report, report)
    return 1 if failures else 0


def open_host(args: argparse.Namespace, folders: Folders) -> Host:
    """Start the place to run, or connect to it."""
    from ming_run.comfyui_host import ComfyHost

    if args.server:
        if folders.checkpoint_root is not None:
            raise HostError(
                "--checkpoint with a folder cannot be used with --server: the server reads its "
                "own models folders. Put the folder there and give its name."
            )
        return ComfyHost(args.server, folders)
    root = None
    if not args.headless:
        root = checked_comfyui(args.comfyui) if args.comfyui else find_comfyui(folders.pack)
    if root is not None:
        return ComfyHost.start(root, folders, args.comfyui_argument)
    from ming_run.headless import HeadlessHost

    return HeadlessHost(folders)


def _prepare(
    args: argparse.Namespace, contents: dict[Path, dict], host: Host, console: Console
) -> _Batch:
    """Convert every file and set the given values, before the first one runs."""
    definitions = host.definitions()
    converted = {
        path: as_prompt(content, definitions, path.name, args.seed_choices, console.say)
        for path, content in contents.items()
    }
    prompts = {path: entry.prompt for path, entry in converted.items()}
    settings = [parse_setting(text) for text in args.settings]
    by_name = {str(path): prompt for path, prompt in prompts.items()}
    places = {str(path): entry.places for path, entry in converted.items()}
    apply_settings(settings, by_name, definitions, places)
    jobs = []
    for path, prompt in prompts.items():
        if args.checkpoint:
            set_checkpoint(prompt, args.checkpoint, definitions)
        workflow = contents[path] if is_ui_format(contents[path]) else None
        jobs.append(Job(path.stem, prompt, workflow))
        for name, picture in shipped_pictures(path, prompt).items():
            host.offer_input(picture, name)
    return _Batch(jobs, definitions)


def as_prompt(
    content: dict,
    definitions: dict[str, NodeDefinition],
    name: str,
    seed: int | None,
    say: Callable[[str], None],
) -> Converted:
    """The prompt of a file of either format; what was drawn for its texts is said."""
    if not is_ui_format(content):
        return Converted(content)
    seed = secrets.randbelow(2**32) if seed is None else seed
    converted = convert(content, definitions, name, Random(seed))
    if converted.choices:
        say(f"{name}: texts drawn with --seed-choices {seed}:")
    for line in converted.choices:
        say(f"  {line}")
    return converted


def set_checkpoint(prompt: dict, checkpoint: str, definitions: dict[str, NodeDefinition]) -> None:
    """Put a checkpoint, given by name or folder, on every Load node.

    Of two families in one workflow the loader of the other one is left as it is.
    """
    entry = definitions[LOADER_TYPE].input_named("checkpoint")
    choices = entry.choices if entry is not None and entry.choices else ()
    is_folder = Path(checkpoint).is_dir()
    name = Path(checkpoint).resolve().name if is_folder else checkpoint
    fitting = [choice for choice in choices if choice == name or choice.startswith(f"{name}/")]
    if not fitting:
        seen = "no checkpoint (no config.json and safetensors files)" if is_folder else "unknown"
        raise WorkflowError(
            f"--checkpoint {checkpoint}: {seen}. The nodes find: {several(choices) or 'none'}. "
            "`ming inspect FOLDER` says what a folder holds."
        )
    loaders = [n["inputs"] for n in prompt.values() if n["class_type"] == LOADER_TYPE]
    if is_folder:  # what a loader takes by itself tells the family it is for
        from ming_core.families import family_of

        family = family_of(Path(checkpoint)).NAME
        loaders = [x for x in loaders if family_asked(x["checkpoint"]) in (None, family)] or loaders
    for inputs in loaders:
        inputs["checkpoint"] = fitting[0]


def family_asked(choice: object) -> str | None:
    """Return the family whose largest checkpoint a loader takes by itself; None for a named one."""
    if not isinstance(choice, str) or not choice.startswith(AUTO):
        return None
    return choice.partition(": ")[2] or FIRST_FAMILY


def shipped_pictures(path: Path, prompt: dict) -> dict[str, Path]:
    """The pictures that a file loads and that lie in `input` beside it or in the pack."""
    pack_pictures = Path(__file__).resolve().parents[1] / "workflows" / "input"
    found: dict[str, Path] = {}
    for node in prompt.values():
        name = node["inputs"].get("image") if node["class_type"] == "LoadImage" else None
        for folder in (path.parent / "input", pack_pictures):
            if isinstance(name, str) and (folder / name).is_file():
                found.setdefault(name, folder / name)
    return found


def _run_job(
    job: Job, host: Host, folders: Folders, console: Console, report: list[dict[str, object]]
) -> RunError | None:
    """Run one file and print what it gave; an error is printed and returned, not raised."""
    console.begin_job(job)
    entry: dict[str, object] = {"file": job.name, "products": []}
    report.append(entry)
    try:
        check_prompt(job.prompt, host.definitions(), job.name, console.noted)
        products = host.run(job, console)
        products = keep_previews(job, products, folders.work / "temp", folders.output)
    except (Interrupted, HostError) as error:
        entry["error"] = str(error)
        raise
    except RunError as error:
        entry["error"] = str(error)
        console.end_job(failed=True)
        print(f"ming run: {error}", file=sys.stderr)
        return error
    console.end_job(failed=False)
    _print_products(products)
    entry["products"] = [_as_json(product, folders.output) for product in products]
    return None


def _print_products(products: list[Product]) -> None:
    for product in products:
        print(f"{product.title}: {product.path or product.text}", flush=True)


def _as_json(product: Product, output: Path) -> dict[str, str]:
    if product.path is None:
        return {"node": product.node_id, "title": product.title, "text": product.text or ""}
    is_inside = product.path.is_relative_to(output)
    shown = product.path.relative_to(output) if is_inside else product.path
    return {"node": product.node_id, "title": product.title, "file": shown.as_posix()}


def _write_report(path: Path, report: list[dict[str, object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    partial.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(path)
