"""A training run in a folder: its stages one after another, kept so that it can go on any time."""

from __future__ import annotations

import argparse
import logging
import time
from pathlib import Path

import torch

from ming_bench.tiny_checkpoint.config import ming_config
from ming_core.univision.model import Components
from ming_core.univision.tokenizer import ConversationTokenizer

from .build import begin_with, compile_blocks, fresh_components
from .curriculum import CURRICULA
from .decoder_stage import DecoderStage, RefineStage
from .head_stage import HeadStage
from .joint_stage import JointStage
from .publish import publish
from .sizes import PRESETS
from .stage import Journal, Settings, Stage, StopWatch, load_state, save_state, train_step
from .together import from_first
from .tokenizer import vocabulary_of
from .tokenizer_stage import TokenizerStage
from .wider import carry_latents

log = logging.getLogger("ming.training")

# What a stage must reach before what follows is worth training; only said aloud, never enforced.
GATES = {
    "tokenizer": {"psnr_at_0.0": 34.0, "index": 0.95},
    "joint": {"copy_psnr": 30.0},
    "refine": {"small": 0.95},
    "decoder": {"small": 0.95},
    "head": {"copy_psnr": 30.0},
}


class Run:
    """One training run in a folder: its components, and the stage it is in."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        device = torch.device(args.device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.settings = Settings(
            args.folder,
            args.seed,
            device,
            args.workers,
            measure_every=args.measure_every,
            rank=args.rank,
            rate=args.rate,
            is_carrying=args.size == "wide",
        )
        self.folder: Path = args.folder
        self.sizes = PRESETS[args.size]
        words = self.folder / "tokenizer"
        self.vocabulary = vocabulary_of(words)
        self.tokenizer = ConversationTokenizer.load(words)
        self.config = ming_config(self.sizes, self.vocabulary)
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
            size = (args.tokenizer_steps, args.tokenizer_batch // args.processes)
            return TokenizerStage(self.components, self.settings, *size)
        if name == RefineStage.name:
            size = (args.refine_steps, args.tokenizer_batch // args.processes)
            return RefineStage(self.components, self.settings, *size)
        if name == DecoderStage.name:
            size = (args.decoder_steps, args.tokenizer_batch // args.processes)
            return DecoderStage(self.components, self.settings, *size)
        phases, size = CURRICULA[args.curriculum], (args.joint_steps, args.batch // args.processes)
        about = (self.components, self.config, self.tokenizer, self.settings)
        stage = JointStage(*about, phases, size)
        if name == HeadStage.name:
            return HeadStage(stage, args.head_steps, args.head_batch // args.processes)
        if args.begin_with is not None:
            stage.known = self._known()
        return stage

    def _known(self) -> Components:
        """Return the model that knows plain words, which stays as it was."""
        known = fresh_components(self.config, self.args.seed)
        if begin_with(known, self.args.known or self.args.begin_with, self.vocabulary):
            # Told by one that carries nothing, it would learn to carry nothing.
            carry_latents(known, self.tokenizer.image, self.args.seed)
        for module in known.named().values():
            module.to(self.settings.device).requires_grad_(requires_grad=False)
        return known

    def go(self) -> bool:
        """Train what is left; returns whether everything is done."""
        kinds = (TokenizerStage, RefineStage, JointStage, HeadStage, DecoderStage)
        names = [kind.name for kind in kinds]
        stage, start = self.adopt()
        for name in names[names.index(stage.name) :]:
            if name != stage.name:
                stage, start = self.stage(name), 0
            if not self._train(stage, start):
                return False
            stage.optimiser.settle()
            self._share_normalisation()
        return True

    def adopt(self) -> tuple[Stage, int]:
        """Take up the folder's state, if there is one; returns the stage and step to go on from."""
        path = self.folder / "state.pt"
        if not path.is_file():
            if self.args.begin_with is None:
                return self.stage(TokenizerStage.name), 0
            if begin_with(self.components, self.args.begin_with, self.vocabulary):
                carry_latents(self.components, self.tokenizer.image, self.args.seed)
            first = RefineStage if self.args.refine_steps else JointStage
            return self.stage(first.name), 0
        state = torch.load(path, map_location="cpu", weights_only=True)
        stage = self.stage(state["stage"])
        load_state(state, stage)
        self.journal = Journal(state["journal"])
        self._normalise(state["extra"]["mean"], state["extra"]["scale"])
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
            is_late = self._is_late()
            if time.monotonic() - saved > self.settings.save_every or is_last or is_late:
                self._save(stage, step + 1)
                saved = time.monotonic()
            if is_late and not is_last:
                log.info("The time is up; run the same command to go on.")
                return False
        return True

    def _is_late(self) -> bool:
        if self.deadline is None:
            return False
        return bool(from_first([time.monotonic() > self.deadline])[0])

    def _share_normalisation(self) -> None:
        """Take the first process's normalisation of latents: it alone has measured them."""
        semantic = self.components.semantic_decoder
        self._normalise(*from_first([semantic.mean, semantic.scale]))

    def _normalise(self, mean: float, scale: float) -> None:
        for module in (self.components.low_level_encoder, self.components.semantic_decoder):
            module.mean, module.scale = mean, scale

    def _measure(self, stage: Stage, step: int) -> None:
        if self.settings.rank:
            return
        # What was compiled for whole sequences would be compiled again for token after token.
        with stage.optimiser.averaged(), torch.compiler.set_stance("force_eager"):
            measures = stage.measure(self.folder)
        self.journal.add(stage.name, step, "measure", measures)
        log.info("measured: %s", ", ".join(f"{n} {v:.3f}" for n, v in measures.items()))
        for name, floor in GATES[stage.name].items():
            if measures[name] < floor:
                log.info("%s is still below its gate of %g.", name, floor)

    def _save(self, stage: Stage, step: int) -> None:
        if self.settings.rank:
            return
        semantic = self.components.semantic_decoder
        extra = {"mean": semantic.mean, "scale": semantic.scale}
        save_state(self.folder / "state.pt", stage, step, self.journal, extra)
        self.journal.save(self.folder)


def train(args: argparse.Namespace) -> None:
    """Train in this process, which may be one of several."""
    level = logging.WARNING if args.rank else logging.INFO
    logging.basicConfig(level=level, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    torch.set_flush_denormal(True)  # numbers next to nothing cost a CPU many times what others do
    if args.threads:
        torch.set_num_threads(args.threads)
    run = Run(args)
    if args.publish:
        run.adopt()[0].optimiser.settle()
    elif not run.go():
        return
    if args.rank:
        return
    size = publish(run.components, run.sizes, run.folder / "tokenizer", run.folder / "checkpoint")
    log.info("Wrote %s (%.1f MB).", run.folder / "checkpoint", size / 1e6)
