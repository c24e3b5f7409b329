"""`ming convert`: a published checkpoint -> one safetensors file per component."""

import argparse
import sys
from pathlib import Path

import torch

from ming_bench.clock import peak_memory
from ming_core import Progress
from ming_core.families import convert
from ming_core.quantisation import QUANTISATIONS
from ming_run.terminal import StatusLine


class ConversionProgress(Progress):
    """Progress on one line of a terminal; silent when nobody watches."""

    def __init__(self, line: StatusLine) -> None:
        self._line = line

    def advance(self, done: int, total: int) -> None:
        """Say how much is done."""
        self._line.show(f"converted and compared: {done * 100 // total:3d} %")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line of `ming convert`."""
    parser.add_argument("source", type=Path, help="the published checkpoint's folder")
    parser.add_argument("target", type=Path, help="the folder to write; started again, it goes on")
    parser.add_argument(
        "--precision",
        choices=("same", *QUANTISATIONS),
        default="same",
        help="same: as published; int8: the large matrices in 8 bits; int4-experts: routed "
        "experts in 4 bits, the others in 8; int4: the flow head in 4 bits as well",
    )


def main(args: argparse.Namespace) -> int:
    """Convert, showing progress; 130 when stopped by the user."""
    quantise = None if args.precision == "same" else args.precision
    try:
        with StatusLine(sys.stderr) as line:
            progress = ConversionProgress(line)
            folder = convert(args.source, args.target, quantise=quantise, progress=progress)
    except KeyboardInterrupt:
        print("Stopped. The same command goes on where it was.", file=sys.stderr)
        return 130
    size = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    print(f"{folder}: {size / 1e6:,.1f} MB in one file per component, equal to the source.")
    for most in peak_memory(torch.device("cpu")).values():
        print(f"At most {most:.1f} GB of main memory were used.")
    return 0
