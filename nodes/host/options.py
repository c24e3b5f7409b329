"""Options of the host that the engine has a switch of its own for."""

import os
from argparse import Namespace

import comfy.cli_args

from ...ming_core import GRAPH_SWITCH


def heed(options: Namespace) -> None:
    """Record no graphs where the host, of a newer kind, was told to record none."""
    if getattr(options, "disable_cuda_graphs", False):
        os.environ[GRAPH_SWITCH] = "0"


def heed_host() -> None:
    """Heed what the host was started with."""
    heed(comfy.cli_args.args)
