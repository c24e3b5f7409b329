"""`ming batch`: one workflow, run once for every row of a list."""

from .command import add_arguments, main

__all__ = ["add_arguments", "main"]
