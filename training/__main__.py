"""One command from scratch to checkpoint: `python -m training FOLDER`. Run it again to go on.

Tokenizer stage (or, of a model that goes on, refine stage), joint stage, head stage if asked for,
decoder stage; FOLDER holds `state.pt` (everything needed to go on, on any machine),
`journal.jsonl`, `curves.png`, sample sheets, and at the end the checkpoint.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ming_core import CheckpointError
from ming_core.univision.folders import find_checkpoint

from .curriculum import CURRICULA
from .publish import copy_tokenizer
from .run import train
from .sizes import PRESETS
from .together import launch
from .tokenizer import bring_people, write_tokenizer

LEAST_ROWS = 8  # of the head stage: some that show a thing, and some that do not
PEOPLES = ("people", "carried")  # curricula with words of people's


def command_line() -> argparse.ArgumentParser:
    """Return what the command understands."""
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    parser.add_argument("folder", type=Path, help="where the run lives; run again to go on")
    parser.add_argument("--size", choices=sorted(PRESETS), default="full")
    parser.add_argument("--curriculum", choices=sorted(CURRICULA), default="full")
    parser.add_argument("--tokenizer-steps", type=int, default=6000)
    parser.add_argument("--tokenizer-batch", type=int, default=64, help="pictures per step")
    parser.add_argument(
        "--refine-steps",
        type=int,
        default=0,
        help="of the whole tokenizer, near what it was, when --begin-with goes on from a model",
    )
    parser.add_argument("--joint-steps", type=int, default=20000)
    parser.add_argument(
        "--head-steps", type=int, default=0, help="of the flow head alone, after the joint stage"
    )
    parser.add_argument("--head-batch", type=int, default=2048, help="patches per head step")
    parser.add_argument("--decoder-steps", type=int, default=3000)
    parser.add_argument("--batch", type=int, default=96, help="short sequences per joint step")
    parser.add_argument("--minutes", type=float, help="stop after so long; run again to go on")
    parser.add_argument("--measure-every", type=int, default=1000, help="steps")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", help="cpu, cuda; default: cuda where there is one")
    parser.add_argument("--workers", type=int, default=0, help="processes that make batches")
    parser.add_argument("--threads", type=int, help="CPU threads of a process")
    parser.add_argument(
        "--processes",
        type=int,
        default=1,
        help="processes that share every step: as many as there are CPU cores, with --threads 1",
    )
    parser.add_argument(
        "--compile",
        action="store_true",
        help="torch.compile the blocks: faster, needs a C++ compiler",
    )
    parser.add_argument(
        "--begin-with",
        type=Path,
        help="a checkpoint that the joint stage goes on from, such as `bundled`; "
        "a larger --size adds layers to it",
    )
    parser.add_argument("--known", type=Path, help="who knows plain words; default: --begin-with")
    parser.add_argument(
        "--rate", type=float, default=1.0, help="share of the full learning rates; 0.3 to go on"
    )
    parser.add_argument("--publish", action="store_true", help="only write the checkpoint")
    return parser


def main() -> None:
    """Read the command line and train."""
    parser = command_line()
    args = parser.parse_args()
    _refuse_what_does_not_go(parser, args)
    try:
        if args.known is not None:
            find_checkpoint(args.known)
        _bring_words(args)
        launch(train, args)
    except CheckpointError as error:
        parser.error(str(error))


def _refuse_what_does_not_go(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Say what of the arguments cannot be trained with, and what to do."""
    least = min(args.batch, args.tokenizer_batch)
    if not 1 <= args.processes <= least:
        parser.error(f"--processes must be 1 to {least}, the smaller batch; it is {args.processes}")
    if not 0 < args.rate <= 1:
        parser.error(f"--rate must be above 0 and at most 1; it is {args.rate:g}")
    if args.refine_steps and args.begin_with is None:
        parser.error("--refine-steps goes on from a model; name it with --begin-with")
    if args.known is not None and (args.begin_with is None or args.curriculum not in PEOPLES):
        parser.error("--known is asked in a run that goes on: --curriculum people --begin-with ...")
    if args.head_steps and args.head_batch < LEAST_ROWS * args.processes:
        parser.error(f"--head-batch must be {LEAST_ROWS} for each process; it is {args.head_batch}")
    if args.size == "wide" and (args.begin_with is None or args.refine_steps):
        parser.error(
            "--size wide grows from a trained model whose tokenizer stays as it is: name it with "
            "--begin-with, and leave --refine-steps out"
        )


def _bring_words(args: argparse.Namespace) -> None:
    """Make the tokenizer once: a run keeps its words even if the world's language grows."""
    words = args.folder / "tokenizer"
    if words.is_dir():
        return
    if args.begin_with is None:
        write_tokenizer(words)
    else:
        copy_tokenizer(find_checkpoint(args.begin_with).univision, words)
        if args.curriculum in PEOPLES:
            bring_people(words)


if __name__ == "__main__":
    main()
