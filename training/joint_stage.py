"""Second stage: language model, connector and flow head learn to read, draw and edit together.

The tokenizer is frozen. What is practised when stands in `curriculum.py`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from ming_core.univision.config import MingConfig
from ming_core.univision.model import Components, MingModel
from ming_core.univision.tokenizer import ConversationTokenizer

from .curriculum import BatchMaker, Phase
from .experts import balance_loss
from .muon import Optimiser, Rates
from .probation import probation
from .probes import ABOUT_HEADS, DRAWING_HEADS, Probes, about_loss, probe_loss
from .sequences import Batch, SequenceMaker
from .stage import Measures, Settings, autocast
from .teacher import FlowDraws, Read, conditions, flow_loss, read, word_losses
from .wider import keep_clear

# Words at full weight have several times the gradients of pictures, and are learnt first anyway.
WORDS, COURSE, BALANCE = 0.4, 0.007, 0.003
PLAN = 0.04  # of what the probes say is about to be drawn: gradients as long as those of pictures
ABOUT = 0.15  # of what the token before an answer must tell of the things it is about
SAID_ALIKE = 10.0  # of how far conditions are from plain words': 0.08 at first, of pictures' 1
LEARNING = "language_model"
# The way by which latents come in a model that carries them stays as it is (decision 0032).
CARRYING = (
    "connector",
    "transformer.layers.0.input_layernorm",
    "transformer.layers.0.attention",
)
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
        tokenizer: ConversationTokenizer,
        settings: Settings,
        phases: tuple[Phase, ...],
        size: tuple[int, int],
    ) -> None:
        """`size` is the number of steps and of short sequences per step."""
        self.components, self.config, self.tokenizer = components, config, tokenizer
        self.known = components  # who knows plain words: itself, where a run begins with nobody
        self.settings, self.steps = settings, size[0]
        self.num_tokens = config.language.num_image_tokens
        small = SequenceMaker(tokenizer, self.num_tokens)
        large = SequenceMaker(tokenizer, self.num_tokens, 4 * self.num_tokens)
        self.maker = BatchMaker(phases, size[0], size[1], settings, small, large)
        for name, module in components.named().items():
            module.requires_grad_(name == LEARNING)
        if settings.is_carrying:
            for part in CARRYING:
                components.language_model.get_submodule(part).requires_grad_(requires_grad=False)
            keep_clear(components.language_model)
        # Of a picture that lies before the model, what is to be drawn is known to the last number:
        # asked for it at no noise at all, it learns to copy what no word could name.
        heads = DRAWING_HEADS | {"latents": config.mingtok.latent_size}
        self.probes = Probes(config.flow.width, heads).to(settings.device)
        told = config.language.num_kv_heads * config.language.head_size
        asked = range(config.language.num_layers // 2, config.language.num_layers)
        self.about = nn.ModuleList(Probes(told, ABOUT_HEADS) for _ in asked).to(settings.device)
        # Silent at first: what a random probe asks for is noise to a model that can draw.
        for silent in (*self.probes.parameters(), *self.about.parameters()):
            nn.init.zeros_(silent)
        parts = (components.language_model, self.probes, self.about)
        named = [(n, p) for part in parts for n, p in part.named_parameters() if p.requires_grad]
        self.optimiser = Optimiser(named, replace(Rates(), adam=1.5e-3))
        self._ahead: tuple[int, object] | None = None

    def modules(self) -> dict[str, nn.Module]:
        """Return all components: the tokenizer is needed to go on, too."""
        return {**self.components.named(), "probes": self.probes, "about": self.about}

    def losses(self, step: int) -> dict[str, Tensor]:
        """Return the loss of a step and its parts."""
        batch = self._batch(step)
        device = self.settings.device
        generator = torch.Generator().manual_seed(
            self.settings.seed * 999_983 + self.settings.draw_of(step)
        )
        language = self.components.language_model
        with autocast(device):
            result = read(self.components, batch, self.feedback(len(batch.drawn), generator))
            answers, course = word_losses(self.components, result.hidden, batch)
            balance = balance_loss(language.transformer)
            about = self._about_loss(result, batch)
            flow = plan = alike = torch.zeros((), device=device)
            z = None
            if result.drawn is not None:
                z = conditions(self.components, result.hidden, batch, self.num_tokens)
            if batch.plain is not None and z is not None:
                alike = self._alike(z, result, batch.plain)
            if z is not None and result.drawn is not None and batch.is_learnt.any():
                learnt = batch.is_learnt.to(device)
                flow = flow_loss(language.velocity, z, result.drawn, learnt, FlowDraws(), generator)
                truth = result.drawn.truth | {"latents": result.drawn.latents}
                truth = {name: known[learnt] for name, known in truth.items()}
                plan = probe_loss(self.probes(z[learnt]), truth)
        loss = flow + PLAN * plan + ABOUT * about
        loss = loss + SAID_ALIKE * alike + WORDS * answers + COURSE * course + BALANCE * balance
        parts = {"loss": loss, "flow": flow, "plan": plan, "about": about, "words": answers}
        return {**parts, "alike": alike, "course": course, "balance": balance}

    @torch.no_grad()
    def measure(self, folder: Path) -> Measures:
        """Let the engine read, copy, draw and edit a few pictures; save a sheet of them."""
        model = MingModel(
            "in training", self.config, self.tokenizer, self.components, torch.float32
        )
        model.device = self.settings.device
        return probation(model, folder)

    def _alike(self, own: Tensor, result: Read, batch: Batch) -> Tensor:
        """Ask for the conditions that the plainest words for the same pictures give: 0 to 1.

        Said plainly it is known to the model that the run began with, so no picture need be tried:
        a condition tells more than a guess at a noisy time of the flow does.
        """
        with torch.no_grad():
            plain = read(self.known, batch, drawn=result.drawn)
            known = conditions(self.known, plain.hidden, batch, self.num_tokens)
        return (own - known).pow(2).mean() / known.var()

    def _about_loss(self, result: Read, batch: Batch) -> Tensor:
        """Ask the tokens before answers what the question or the instruction is about."""
        told = result.told.flatten(1, 2)[:, batch.about_slots]
        # All processes of a run must have gradients of the same weights.
        total = torch.stack([weight.sum() for weight in self.about.parameters()]).sum() * 0
        if batch.about:
            for probes, layer in zip(self.about, told, strict=True):
                total = total + about_loss(probes(layer), batch.about) / len(told)
        return total

    def feedback(self, count: int, generator: torch.Generator) -> Tensor | None:
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
    plain = None if batch.plain is None else on(batch.plain, device)
    return replace(batch, **moved, plain=plain)
