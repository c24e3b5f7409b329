"""What is said of a node type that the host does not know."""

import difflib
from collections.abc import Iterable

from ming_core.foreign_text import plain, shown

EXPORT_HINT = "Open it in ComfyUI and export it with File > Export (API), then run that file."
_LIKENESS = 0.75  # below it a suggestion is no help


def unknown_type(
    source: str, name: str, class_type: str, known: Iterable[str], pack: str | None = None
) -> str:
    """Says which node type is missing, what looks like it, and how to get it."""
    types = list(known)
    close = difflib.get_close_matches(class_type, types, n=1, cutoff=_LIKENESS)
    origin = f" It comes from the pack {shown(pack)}." if pack and pack != "comfy-core" else ""
    hint = f" Did you mean {shown(close[0])}?" if close else ""
    return (
        f"{source}: node {plain(name)} has the type {shown(class_type)}, which is not among "
        f"the {len(types)} known here.{hint}{origin} Run it in a ComfyUI that has it "
        f"(`ming run --server URL`), or remove the node. If only the page has it: {EXPORT_HINT}"
    )
