"""Reads which tool is wanted and hands over. Imports a tool only when its name is given."""

import argparse
import importlib
import sys
from collections.abc import Sequence

# name -> (module, one line for the help page)
TOOLS = {
    "run": ("ming_cli.run", "execute workflow files, in a real ComfyUI or without one"),
    "download": ("ming_cli.download", "say what the published weights are, or fetch them"),
    "batch": ("ming_cli.batch", "run one workflow for every row of a list"),
    "verify": ("ming_cli.verify", "compare the engine with a folder of stored numbers"),
    "bench": ("ming_cli.bench", "time a visual token against the published algorithm"),
    "convert": ("ming_cli.convert", "write one file per component, optionally in 8 or 4 bits"),
    "calibrate": ("ming_cli.calibrate", "find fewer flow steps that draw nearly as published"),
    "eval": ("ming_cli.eval", "judge how well a small model of drawn shapes draws, sees and edits"),
    "inspect": ("ming_cli.inspect", "say what a checkpoint folder holds and what it needs"),
    "demo": ("ming_cli.demo", "run the shipped workflows and show what comes out"),
}

IN_REPOSITORY = ("ming_bench", "ming_exam", "ming_shapes")  # left out of the published package
ADVICE = "It is in the repository: run the command in a clone of it."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one tool and return its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    chosen = words[0] if words else ""
    if chosen not in TOOLS:
        return _explain(chosen)
    module_name, summary = TOOLS[chosen]
    try:
        tool = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in IN_REPOSITORY:
            raise
        print(f"ming {chosen}: {error.name} is not part of the package. {ADVICE}", file=sys.stderr)
        return 1
    parser = argparse.ArgumentParser(prog=f"ming {chosen}", description=summary)
    tool.add_arguments(parser)
    given = parser.parse_args(words[1:])
    try:
        return tool.main(given)
    except _explained_errors() as error:
        print(f"ming {chosen}: {error}", file=sys.stderr)
        return 1


def _explained_errors() -> tuple[type[Exception], ...]:
    """Return the errors whose text is for people; looked up only once something went wrong."""
    return OSError, importlib.import_module("ming_core.errors").MingError


def _explain(chosen: str) -> int:
    lines = ["usage: ming TOOL ...   (ming TOOL --help tells more)", ""]
    lines += [f"  {name:<10} {summary}" for name, (_, summary) in TOOLS.items()]
    is_help = chosen in ("", "-h", "--help")
    if not is_help:
        lines.insert(0, f"ming: there is no tool {chosen!r}\n")
    print("\n".join(lines), file=sys.stdout if is_help else sys.stderr)
    return 0 if chosen in ("-h", "--help") else 2


if __name__ == "__main__":
    sys.exit(main())
