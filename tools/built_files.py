"""What the build tools share: ask the nodes, then write files or tell which are out of date."""

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ming_run.headless import HeadlessHost  # noqa: E402
from ming_run.host import Folders  # noqa: E402


def main(
    description: str | None,
    build: Callable[[HeadlessHost], Mapping[Path, str]],
    existing: Iterable[Path],
) -> int:
    """Write the files that differ, or with --check only name them: 1 if there are any.

    existing  the files that are there; one that is not built is named as stray, never deleted
    """
    parser = argparse.ArgumentParser(description=(description or "").split("\n")[0])
    told = "write nothing; exit 1 on a difference"
    parser.add_argument("--check", action="store_true", help=told)
    is_check = parser.parse_args().check
    with tempfile.TemporaryDirectory() as folder:
        empty = Path(folder)
        files = build(HeadlessHost(Folders(empty / "input", empty / "output", empty / "work")))
    known = set(existing)
    stale = [p for p, text in files.items() if p not in known or p.read_text("utf-8") != text]
    stray = sorted(known - set(files))
    for path in [*stale, *stray]:
        verdict = "out of date" if is_check else "written" if path in files else "stray"
        sys.stdout.write(f"{verdict}: {path.name}\n")
    if not is_check:
        for path in stale:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(files[path], encoding="utf-8", newline="\n")
    return int(is_check and bool(stale or stray))
