"""The pack's templates in the order of their names; the host lists files as the disk happens to."""

import json
import sys
from pathlib import Path
from typing import Any

PACK_FOLDER = Path(__file__).parents[2].name
ROUTES = ("/workflow_templates", "/api/workflow_templates")


async def order(request: Any, response: Any) -> None:  # noqa: ANN401  aiohttp's
    """Sort the names of our own templates in the host's answer."""
    if request.path not in ROUTES or not isinstance(getattr(response, "text", None), str):
        return
    listed = json.loads(response.text)
    if PACK_FOLDER in listed:
        listed[PACK_FOLDER] = sorted(listed[PACK_FOLDER])
        response.text = json.dumps(listed)


def install() -> None:
    """Have the server call `order` before it answers; hosts without a page have none."""
    page = getattr(getattr(sys.modules.get("server"), "PromptServer", None), "instance", None)
    signal = getattr(getattr(page, "app", None), "on_response_prepare", None)
    if signal is not None and not signal.frozen:
        signal.append(order)
