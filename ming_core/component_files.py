"""What a folder that `ming convert` wrote says of itself: one file per component, and a note."""

from dataclasses import dataclass
from pathlib import Path

from .errors import CheckpointError
from .foreign_files import is_plain_file
from .foreign_text import shown
from .quantisation import QUANTISATIONS
from .tensor_files import read_json

COMPONENTS_NAME = "ming_components.json"
COMPONENTS_VERSION = 1
AS_PUBLISHED = "as published"


@dataclass(frozen=True, slots=True)
class Converted:
    """What `ming convert` noted of a folder: one file per component, named by our parameters."""

    identity: str
    quantisation: str | None

    @classmethod
    def find(cls, folder: Path) -> "Converted | None":
        """Read the note of a converted folder; None when the folder is as published."""
        path = folder / COMPONENTS_NAME
        if not is_plain_file(path):
            return None
        note = read_json(path)
        if note.get("version") != COMPONENTS_VERSION:
            raise CheckpointError(
                f"{path} is of version {shown(note.get('version'))}; this pack reads version "
                f"{COMPONENTS_VERSION}. Update the pack, or convert the checkpoint again."
            )
        precision = str(note.get("precision"))
        known = (AS_PUBLISHED, *QUANTISATIONS)
        if precision not in known:
            raise CheckpointError(
                f"{path} says precision {shown(precision)}; this pack reads {', '.join(known)}. "
                "Convert the published checkpoint again (int8 in place of fp8), or update the pack."
            )
        quantisation = None if precision == AS_PUBLISHED else precision
        identity = note.get("identity")
        if not isinstance(identity, str):
            raise CheckpointError(
                f"{path} says identity {shown(identity)}; expected text. Convert the checkpoint "
                "again."
            )
        return cls(identity, quantisation)
