"""Ming-UniVision for ComfyUI: nodes whose conversation with the model is a value on the graph.

Only the entry point lives here, so that importing the folder (a test collector, a packager)
needs nothing of the host.
"""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from comfy_api.latest import ComfyExtension

_WEB_FOLDER = Path(__file__).parent / "web"
if _WEB_FOLDER.is_dir() and any(_WEB_FOLDER.iterdir()):
    WEB_DIRECTORY = "./web"


async def comfy_entrypoint() -> "ComfyExtension":
    """Return the extension with all nodes; called once by the host."""
    try:
        from .nodes import MingUniVisionExtension
    except Exception:  # the host logs one line only; the traceback is what a report needs
        logging.getLogger("ming").exception("The Ming-UniVision nodes could not be loaded.")
        raise
    return MingUniVisionExtension()
