"""Second stage: language model, connector and flow head learn to read, draw and edit together.

The tokenizer is frozen. What is practised when stands in `curriculum.py`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from ming_core.config import MingConfig
from ming_core.model import Components, MingModel
from ming_core.text_tokenizer import TextTokenizer

from .curriculum import BatchMaker, Phase
from .experts import balance_loss
from .muon import Optimiser, Rates
from .probation import probation
from .probes import DRAWING_HEADS, MEANT_HEADS, Probes, probe_loss, thing_truth
from .sequences import Batch, SequenceMaker
from .stage import Measures, Settings, autocast
from .teacher import FlowDraws, Read, conditions, flow_loss, read, word_losses

# Words at full weight have several times the gradients of pictures, and are learnt first anyway.
WORDS, COURSE, BALANCE = 0.4, 0.007, 0.003
PLAN = 0.04  # of what the probes say is about to be drawn: gradients as long as those of pictures
MEANT = 0.15  # of what the token before a picture must tell of the thing that was meant
LEARNING = "language_model"
FEEDBACK = 0.3  # most noise on latents that are fed back
FED_CLEAN = 0.3  # share of pictures fed back without noise


class Steps(Dataset[Batch]):
    """The batches of all steps, for worker processes that make them ahead."""

    def __init__(self, maker: BatchMaker, start: int) -> None:
        self.maker, self.start = maker, start

    def __len__(self) -> int:
        return self.maker.steps - self.start

    def __getitem__(self, index: int) -> Batch:
        return self.maker.batch(self.start + index)


class JointStage:
    """Trains everything but the tokenizer on conversations."""

    name = "joint"
    # At a rate that does not fall, drawing stops getting better after some 1,000 steps.
    hold = 0.0

    def __init__(
        self,
        components: Components,
        config: MingConfig,
        tokenizer: TextTokenizer,
        settings: Settings,
        phases: tuple[Phase, ...],
        size: tuple[int, int],
    ) -> None:
        """`size` is the number of steps and of short sequences per step."""
        self.components, self.config, self.tokenizer = components, config, tokenizer
        self.settings, self.steps = settings, size[0]
        self.num_tokens = config.language.num_image_tokens
        small = SequenceMaker(tokenizer, self.num_tokens)
        large = SequenceMaker(tokenizer, self.num_tokens, 4 * self.num_tokens)
        self.maker = BatchMaker(phases, size[0], size[1], settings, small, large)
        for name, module in components.named().items():
            module.requires_grad_(name == LEARNING)
        self.probes = Probes(config.flow.width, DRAWING_HEADS).to(settings.device)
        told = config.language.num_kv_heads * config.language.head_size
        asked = range(config.language.num_layers // 2, config.language.num_layers)
        self.meant = nn.ModuleList(Probes(told, MEANT_HEADS) for _ in asked).to(settings.device)
        # Silent at first: what a random probe asks for is noise to a model that can draw.
        for silent in (*self.probes.parameters(), *self.meant.parameters()):
            nn.init.zeros_(silent)
        parts = (components.language_model, self.probes, self.meant)
        named = [named for part in parts for named in part.named_parameters()]
        self.optimiser = Optimiser(named, replace(Rates(), adam=1.5e-3))
        self._ahead: tuple[int, object] | None = None

    def modules(self) -> dict[str, nn.Module]:
        """Return all components: the tokenizer is needed to go on, too."""
        return {**self.components.named(), "probes": self.probes, "meant": self.meant}

    def losses(self, step: int) -> dict[str, Tensor]:
        """Return the loss of a step and its parts."""
        batch = self._batch(step)
        device = self.settings.device
        generator = torch.Generator().manual_seed(
            self.settings.seed * 999_983 + self.settings.draw_of(step)
        )
        language = self.components.language_model
        with autocast(device):
            result = read(self.components, batch, self._feedback(len(batch.drawn), generator))
            answers, course = word_losses(self.components, result.hidden, batch)
            balance = balance_loss(language.transformer)
            flow = plan = meant = torch.zeros((), device=device)
            if result.drawn is not None:
                z = conditions(self.components, result.hidden, batch, self.num_tokens)
                learnt = batch.is_learnt.to(device)
                flow = flow_loss(language.velocity, z, result.drawn, learnt, FlowDraws(), generator)
                truth = {name: known[learnt] for name, known in result.drawn.truth.items()}
                plan = probe_loss(self.probes(z[learnt]), truth)
                meant = self._meant_loss(result, batch)
        loss = flow + PLAN * plan + MEANT * meant
        loss = loss + WORDS * answers + COURSE * course + BALANCE * balance
        parts = {"loss": loss, "flow": flow, "plan": plan, "meant": meant, "words": answers}
        return {**parts, "course": course, "balance": balance}

    @torch.no_grad()
    def measure(self, folder: Path) -> Measures:
        """Let the engine read, copy, draw and edit a few pictures; save a sheet of them."""
        model = MingModel(
            "in training", self.config, self.tokenizer, self.components, torch.float32
        )
        model.device = self.settings.device
        return probation(model, folder)

    def _meant_loss(self, result: Read, batch: Batch) -> Tensor:
        """Ask the token before every picture which thing its instruction pointed at."""
        things = [shown.meant for shown in batch.drawn]
        asked = [at for at, thing in enumerate(things) if thing is not None]
        told = result.told.flatten(1, 2)[:, batch.drawn_slots[asked] - 1]
        truth = thing_truth([t for t in things if t is not None], told.device)
        # All processes of a run must have gradients of the same weights.
        total = sum(weight.sum() for weight in self.meant.parameters()) * 0
        for probes, layer in zip(self.meant, told, strict=True):
            total = total + probe_loss(probes(layer), truth) / len(told)
        return total

    def _feedback(self, count: int, generator: torch.Generator) -> Tensor | None:
        """Noise on the latents that are fed back, which at generation are never quite right."""
        if not count:
            return None
        channels = self.config.mingtok.latent_size
        strength = torch.rand(count, 1, 1, generator=generator) * FEEDBACK
        strength *= torch.rand(count, 1, 1, generator=generator) > FED_CLEAN
        noise = torch.randn(count, self.num_tokens, channels, generator=generator)
        return (noise * strength).to(self.settings.device)

    def _batch(self, step: int) -> Batch:
        """Return a step's batch, made here or, with workers, ahead of time."""
        if not self.settings.workers:
            return on(self.maker.batch(step), self.settings.device)
        if self._ahead is None or self._ahead[0] != step:
            loader = DataLoader(
                Steps(self.maker, step), batch_size=None, num_workers=self.settings.workers
            )
            self._ahead = (step, iter(loader))
        batch = next(self._ahead[1])  # type: ignore[call-overload]
        self._ahead = (step + 1, self._ahead[1])
        return on(batch, self.settings.device)


def on(batch: Batch, device: torch.device) -> Batch:
    """Move a batch's tensors to a device."""
    moved = {n: v.to(device) for n, v in vars(batch).items() if isinstance(v, Tensor)}
    return replace(batch, **moved)
