"""Trains a tiny model for a few steps: `python run_in_processes.py FOLDER PROCESSES`.

Each process leaves a digest of its weights in FOLDER.
"""

import argparse
import hashlib
import sys
from pathlib import Path

import torch

from ming_bench.tiny_checkpoint.config import Sizes
from training import decoder_stage, probation, rich_pictures, run, tokenizer_stage
from training.__main__ import command_line
from training.together import launch
from training.tokenizer import write_tokenizer


def train_tiny(args: argparse.Namespace) -> None:
    """Train as the command does, with everything small."""
    torch.set_num_threads(1)
    tokenizer_stage.POOL = tokenizer_stage.LARGE_POOL = 16
    tokenizer_stage.MEASURED = decoder_stage.MEASURED = 12
    rich_pictures.CHUNK = 16
    probation.PICTURES = probation.QUESTIONS = 1
    run.PRESETS["test"] = Sizes(32, 2, 4, 2, 8, 4, 2, 16, 32, 1, 64, 1)
    kept = {}
    real = run.Run.go

    def go(self: run.Run) -> bool:
        is_done = real(self)
        kept.update(self.components.named())
        return is_done

    run.Run.go = go
    run.train(args)
    digest = hashlib.sha256()
    for module in kept.values():
        for tensor in module.state_dict().values():
            digest.update(tensor.numpy().tobytes())
    semantic = kept["semantic_decoder"]
    told = f"{digest.hexdigest()} {semantic.mean} {semantic.scale}"
    (args.folder / f"weights_{args.rank}.txt").write_text(told)


if __name__ == "__main__":
    where = Path(sys.argv[1])
    write_tokenizer(where / "tokenizer")
    settings = command_line().parse_args([str(where), "--processes", sys.argv[2]])
    vars(settings).update(
        size="test",
        curriculum="short",
        tokenizer_steps=3,
        tokenizer_batch=4,
        joint_steps=4,
        refine_steps=2,
        decoder_steps=2,
        batch=4,
        minutes=20.0,
        seed=1,
        device="cpu",
        threads=1,
        measure_every=2,
    )
    launch(train_tiny, settings)
