"""One command from scratch to checkpoint: `python -m training FOLDER`. Run it again to go on.

Tokenizer stage, then the joint stage; FOLDER holds `state.pt` (everything needed to go on, on
any machine), `journal.jsonl`, `curves.png`, sample sheets, and at the end the checkpoint.
"""

from __future__ import annotations

import argparse
import logging
import time
from pathlib import Path

import torch

from ming_cli.world.vocabulary import vocabulary_of, write_tokenizer
from ming_core.text_tokenizer import TextTokenizer

from .build import compile_blocks, fresh_components
from .curriculum import CURRICULA
from .joint_stage import JointStage
from .publish import publish
from .sizes import PRESETS, ming_config
from .stage import Journal, Settings, Stage, StopWatch, load_state, save_state, train_step
from .tokenizer_stage import TokenizerStage

log = logging.getLogger("ming.training")

# What a stage must reach before what follows is worth training; only said aloud, never enforced.
GATES = {"tokenizer": {"psnr_at_0.0": 34.0, "index": 0.95}, "joint": {"copy_psnr": 30.0}}


class Run:
    """One training run in a folder: its components, and the stage it is in."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        device = torch.device(args.device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.settings = Settings(
            args.folder, args.seed, device, args.workers, measure_every=args.measure_every
        )
        self.folder: Path = args.folder
        self.sizes = PRESETS[args.size]
        words = self.folder / "tokenizer"
        # Made once: a run keeps its words even if the world's language grows meanwhile.
        vocabulary = vocabulary_of(words) if words.is_dir() else write_tokenizer(words)
        self.tokenizer = TextTokenizer.load(words)
        self.config = ming_config(self.sizes, vocabulary)
        self.components = fresh_components(self.config, args.seed)
        for module in self.components.named().values():
            module.to(device)
        if args.compile:
            compile_blocks(self.components)
        self.journal = Journal()
        self.deadline = time.monotonic() + 60 * args.minutes if args.minutes else None

    def stage(self, name: str) -> Stage:
        """Return a stage at its beginning, with the components as they are now."""
        args = self.args
        if name == TokenizerStage.name:
            size = (args.tokenizer_steps, args.tokenizer_batch)
            return TokenizerStage(self.components, self.settings, *size)
        phases, size = CURRICULA[args.curriculum], (args.joint_steps, args.batch)
        return JointStage(self.components, self.config, self.tokenizer, self.settings, phases, size)

    def go(self) -> bool:
        """Train what is left; returns whether everything is done."""
        names = [TokenizerStage.name, JointStage.name]
        stage, start = self.adopt()
        for name in names[names.index(stage.name) :]:
            if name != stage.name:
                stage, start = self.stage(name), 0
            if not self._train(stage, start):
                return False
        return True

    def adopt(self) -> tuple[Stage, int]:
        """Take up the folder's state, if there is one; returns the stage and step to go on from."""
        path = self.folder / "state.pt"
        if not path.is_file():
            return self.stage(TokenizerStage.name), 0
        state = torch.load(path, map_location="cpu", weights_only=True)
        stage = self.stage(state["stage"])
        load_state(state, stage)
        self.journal = Journal(state["journal"])
        for module in (self.components.low_level_encoder, self.components.semantic_decoder):
            module.mean, module.scale = state["extra"]["mean"], state["extra"]["scale"]
        log.info("Going on with the %s stage at step %d.", stage.name, state["step"])
        return stage, int(state["step"])

    def _train(self, stage: Stage, start: int) -> bool:
        """Train a stage to its end or to the deadline; returns whether it ended."""
        watch, saved = StopWatch(start, stage.steps), time.monotonic()
        for step in range(start, stage.steps):
            losses = train_step(stage, step)
            if step % 20 == 0:
                self.journal.add(stage.name, step, "loss", losses)
                shown = ", ".join(f"{name} {value:.3f}" for name, value in losses.items())
                log.info("%s %d: %s; %s", stage.name, step, shown, watch.line(step + 1))
            is_last = step + 1 == stage.steps
            if (step + 1) % self.settings.measure_every == 0 or is_last:
                self._measure(stage, step + 1)
            is_late = self.deadline is not None and time.monotonic() > self.deadline
            if step + 1 == int(stage.hold * stage.steps):
                self._save(stage, step + 1, "before_the_fall.pt")
            if time.monotonic() - saved > self.settings.save_every or is_last or is_late:
                self._save(stage, step + 1)
                saved = time.monotonic()
            if is_late and not is_last:
                log.info("The time is up; run the same command to go on.")
                return False
        return True

    def _measure(self, stage: Stage, step: int) -> None:
        measures = stage.measure(self.folder)
        self.journal.add(stage.name, step, "measure", measures)
        log.info("measured: %s", ", ".join(f"{n} {v:.3f}" for n, v in measures.items()))
        for name, floor in GATES[stage.name].items():
            if measures[name] < floor:
                log.info("%s is still below its gate of %g.", name, floor)

    def _save(self, stage: Stage, step: int, name: str = "state.pt") -> None:
        semantic = self.components.semantic_decoder
        extra = {"mean": semantic.mean, "scale": semantic.scale}
        save_state(self.folder / name, stage, step, self.journal, extra)
        self.journal.save(self.folder)


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    parser.add_argument("folder", type=Path, help="where the run lives; run again to go on")
    parser.add_argument("--size", choices=sorted(PRESETS), default="full")
    parser.add_argument("--curriculum", choices=sorted(CURRICULA), default="full")
    parser.add_argument("--tokenizer-steps", type=int, default=6000)
    parser.add_argument("--tokenizer-batch", type=int, default=64)
    parser.add_argument("--joint-steps", type=int, default=20000)
    parser.add_argument("--batch", type=int, default=96, help="short sequences per step")
    parser.add_argument("--minutes", type=float, help="stop after so long; run again to go on")
    parser.add_argument("--measure-every", type=int, default=1000, help="steps")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", help="cpu, cuda; default: cuda where there is one")
    parser.add_argument("--workers", type=int, default=0, help="processes that make batches")
    parser.add_argument("--threads", type=int, help="CPU threads")
    parser.add_argument(
        "--compile",
        action="store_true",
        help="torch.compile the blocks: faster, needs a C++ compiler",
    )
    parser.add_argument("--publish", action="store_true", help="only write the checkpoint")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    torch.set_flush_denormal(True)  # numbers next to nothing cost a CPU many times what others do
    if args.threads:
        torch.set_num_threads(args.threads)
    args.folder.mkdir(parents=True, exist_ok=True)
    run = Run(args)
    if args.publish:
        run.adopt()
    elif not run.go():
        return
    size = publish(run.components, run.sizes, run.folder / "tokenizer", run.folder / "checkpoint")
    log.info("Wrote %s (%.1f MB).", run.folder / "checkpoint", size / 1e6)


if __name__ == "__main__":
    main()
