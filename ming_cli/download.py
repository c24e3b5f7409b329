"""`ming download`: says what the published weights are; fetches them when told to."""

import argparse
import sys
from pathlib import Path

from ming_download import (
    FAMILIES,
    SOURCES,
    DownloadError,
    Repository,
    describe,
    download,
    make_plan,
)
from ming_run.comfyui_process import find_comfyui
from ming_run.terminal import StatusLine

_SOURCES = {name.lower().replace(" ", "-"): source for name, source in SOURCES.items()}
_INTERRUPTED = 130


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line of `ming download`."""
    parser.add_argument(
        "repositories",
        nargs="*",
        metavar="OWNER/NAME",
        help="other repositories than those that are published",
    )
    parser.add_argument(
        "--family",
        choices=list(FAMILIES),
        default=next(iter(FAMILIES)),
        help="whose published weights, where no repository is named (default: %(default)s)",
    )
    parser.add_argument("--source", choices=list(_SOURCES), default=next(iter(_SOURCES)))
    parser.add_argument(
        "--to",
        type=Path,
        metavar="DIR",
        help="default: models/ming_univision of the ComfyUI that is found, else of this folder",
    )
    parser.add_argument(
        "--accept-licence",
        action="store_true",
        help="I have read the licences that are named: download. Without it nothing is fetched.",
    )


def main(args: argparse.Namespace) -> int:
    """Report, and download if told to; 1 on an error, 130 when interrupted."""
    try:
        chosen = [Repository(name) for name in args.repositories]
        chosen = chosen or FAMILIES[args.family]
        root = (args.to or _default_root()).expanduser().resolve()
        with StatusLine(sys.stderr) as line:
            watch = _FileProgress(line)
            plan = make_plan(_SOURCES[args.source](), chosen, root, watch)
            print(describe(plan), flush=True)
            if not args.accept_licence:
                print(
                    "Nothing was downloaded: add --accept-licence when you have read the licences."
                )
                return 0
            download(plan, watch)
    except KeyboardInterrupt:
        print("ming download: stopped. The same command goes on where it was.", file=sys.stderr)
        return _INTERRUPTED
    except DownloadError as error:
        print(f"ming download: {error}", file=sys.stderr)
        return 1
    print("All of it is here, and its checksums are right.")
    return 0


def _default_root() -> Path:
    comfyui = find_comfyui(Path(__file__).resolve().parent.parent)
    return (comfyui or Path()) / "models" / "ming_univision"


class _FileProgress:
    """Progress on one line of a terminal, one line per file elsewhere."""

    def __init__(self, line: StatusLine) -> None:
        self._line, self._percent = line, 0
        self._named: set[str] = set()

    def check_cancelled(self) -> None:
        """Ctrl-C interrupts by itself."""

    def advance(self, done: int, total: int) -> None:
        self._percent = done * 100 // (total or 1)

    def advance_file(self, name: str, done: int, total: int) -> None:
        if name not in self._named and not self._line.is_terminal:
            self._line.say(f"  {name}")
            self._named.add(name)
        text = f"{self._percent:3d} %  {name}  {done / 1e6:,.1f} of {total / 1e6:,.1f} MB"
        self._line.show(f"  {text}", is_due=done == total)
