"""`ming run`: workflow files executed without a browser, in a ComfyUI or in this process."""

from .command import add_arguments, main

__all__ = ["add_arguments", "main"]
