"""Writes the English texts of the nodes for ComfyUI's translations, from the nodes themselves.

    python tools/build_locales.py            write locales/en/nodeDefs.json
    python tools/build_locales.py --check    only tell whether the file is up to date

The Chinese file beside it is written by hand; a test holds it to the same keys.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from ming_run.headless import HeadlessHost  # noqa: E402
from ming_run.host import Folders  # noqa: E402

FILE = ROOT / "locales" / "en" / "nodeDefs.json"
PREFIX = "MingUniVision_"

Texts = dict[str, Any]


def english_texts(object_info: Mapping[str, Mapping[str, Any]]) -> dict[str, Texts]:
    """Return what the host's translations hold of each of our nodes."""
    ours = sorted(name for name in object_info if name.startswith(PREFIX))
    return {name: _node_texts(object_info[name]) for name in ours}


def _node_texts(info: Mapping[str, Any]) -> Texts:
    inputs = {
        name: {"name": name, "tooltip": spec[1]["tooltip"]}
        for section in ("required", "optional")
        for name, spec in info["input"].get(section, {}).items()
    }
    outputs = {
        str(slot): {"name": name, "tooltip": tooltip}
        for slot, (name, tooltip) in enumerate(
            zip(info["output_name"], info.get("output_tooltips") or (), strict=True)
        )
    }
    texts = {"display_name": info["display_name"], "description": info["description"]}
    return (
        texts | ({"inputs": inputs} if inputs else {}) | ({"outputs": outputs} if outputs else {})
    )


def main() -> int:
    """Write the file, or with --check compare it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 on a difference"
    )
    is_check = parser.parse_args().check
    with tempfile.TemporaryDirectory() as folder:
        empty = Path(folder)
        host = HeadlessHost(Folders(empty / "input", empty / "output", empty / "work"))
        texts = english_texts(host.object_info())
    written = json.dumps(texts, indent=2, ensure_ascii=False) + "\n"
    is_current = FILE.exists() and FILE.read_text(encoding="utf-8") == written
    if not is_current:
        sys.stdout.write(f"{'out of date' if is_check else 'written'}: {FILE.relative_to(ROOT)}\n")
    if not is_check:
        FILE.write_text(written, encoding="utf-8", newline="\n")
    return int(is_check and not is_current)


if __name__ == "__main__":
    sys.exit(main())
