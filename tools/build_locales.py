"""Writes the English texts of the nodes for ComfyUI's translations, from the nodes themselves.

    python tools/build_locales.py            write locales/en/nodeDefs.json
    python tools/build_locales.py --check    only tell whether the file is up to date

The Chinese file beside it is written by hand; a test holds it to the same keys.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(Path(__file__).resolve().parent)]

from built_files import main  # noqa: E402

from ming_run.headless import HeadlessHost  # noqa: E402

FILE = ROOT / "locales" / "en" / "nodeDefs.json"
PREFIXES = ("MingUniVision_", "MingLiteUni_")

Texts = dict[str, Any]


def english_texts(object_info: Mapping[str, Mapping[str, Any]]) -> dict[str, Texts]:
    """Return what the host's translations hold of each of our nodes."""
    ours = sorted(name for name in object_info if name.startswith(PREFIXES))
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


def build(host: HeadlessHost) -> dict[Path, str]:
    """Return the file's text."""
    texts = english_texts(host.object_info())
    return {FILE: json.dumps(texts, indent=2, ensure_ascii=False) + "\n"}


if __name__ == "__main__":
    sys.exit(main(__doc__, build, FILE.parent.glob(FILE.name)))
