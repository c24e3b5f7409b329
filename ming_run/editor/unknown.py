"""What is said of a node type that the host does not know."""

import difflib
from collections.abc import Iterable

EXPORT_HINT = "Open it in ComfyUI and export it with File > Export (API), then run that file."
_LIKENESS = 0.75  # below it a suggestion is no help


def unknown_type(
    source: str, name: str, class_type: str, known: Iterable[str], pack: str | None = None
) -> str:
    """Says which node type is missing, what looks like it, and how to get it."""
    types = list(known)
    close = difflib.get_close_matches(class_type, types, n=1, cutoff=_LIKENESS)
    origin = f" It comes from the pack {pack!r}." if pack and pack != "comfy-core" else ""
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return (
        f"{source}: node {name} has the type {class_type!r}, which is not among the {len(types)} "
        f"known here.{hint}{origin} Run it in a ComfyUI that has it (`ming run --server URL`), or "
        f"remove the node. If only the page has it: {EXPORT_HINT}"
    )
