"""The flow head alone, on conditions told once: after the joint stage, where latents are carried.

What a condition tells of a patch to the last number, the head must have seen for very many patches
to paint it (decision 0032). Beside a language model that learns, too, it sees some hundreds at a
step; alone, on conditions that stay as they are, thousands in a fraction of the time.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from .joint_stage import JointStage, on
from .muon import Optimiser, Rates
from .stage import Measures, autocast
from .teacher import conditions, flow_errors, read

log = logging.getLogger("ming.training")

PATCHES = 600_000  # told to each process
BUSY = 0.75  # share of rows that show a thing; they count as much as there are of them
EVERY = 50_000  # patches told between two lines of the log


class HeadStage:
    """Trains the flow head on conditions and latents of drawn patches."""

    name = "head"
    hold = 0.0

    def __init__(self, joint: JointStage, steps: int, rows: int) -> None:
        """`joint` has the lessons and the model; a step sees so many rows of them."""
        self.joint, self.settings = joint, joint.settings
        self.steps, self.rows = steps, rows
        head = joint.components.language_model.velocity
        for module in joint.modules().values():
            module.requires_grad_(requires_grad=False)
        head.requires_grad_(requires_grad=True)
        named = list(head.named_parameters(prefix="velocity"))
        self.optimiser = Optimiser(named, replace(Rates(), adam=1.5e-3))
        self._told: tuple[Tensor, Tensor, Tensor] | None = None

    def modules(self) -> dict[str, nn.Module]:
        """Return all components."""
        return self.joint.modules()

    def losses(self, step: int) -> dict[str, Tensor]:
        """Return the loss of a step; the same step always sees the same rows."""
        if self._told is None:
            self._told = self._read()
        known, latents, busy = self._told
        device = self.settings.device
        seed = self.settings.seed * 999_979 + self.settings.draw_of(step)
        generator = torch.Generator().manual_seed(seed)
        many = round(self.rows * BUSY)
        parts, names = [], ("busy", "others")
        for place, count in zip((busy, ~busy), (many, self.rows - many), strict=True):
            choice = place.nonzero().flatten()
            rows = choice[torch.randint(len(choice), (count,), generator=generator)]
            x0, z = (some[rows].float().to(device) for some in (latents, known))
            with autocast(device):
                network = self.joint.components.language_model.velocity
                errors = flow_errors(network, x0, network.cond_embed(z), generator)
                parts.append(errors.mean())
        # Were things to count more, an open question would be a yes (decision 0021).
        share = busy.float().mean().to(device)
        loss = share * parts[0] + (1 - share) * parts[1]
        return {"loss": loss, **dict(zip(names, parts, strict=True))}

    def measure(self, folder: Path) -> Measures:
        """Measure as the joint stage does."""
        return self.joint.measure(folder)

    @torch.no_grad()
    def _read(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return conditions (n, W), latents (n, C) and which show a thing (n) of drawn patches.

        They are kept in half precision, far below what the flow's noise hides, and in memory alone:
        a run that goes on reads them again.
        """
        joint, found, count = self.joint, list[tuple[Tensor, ...]](), 0
        step = joint.maker.steps  # lessons that the joint stage had not
        while count < PATCHES:
            batch, step = joint.maker.batch(step), step + 1
            learnt = batch.is_learnt
            if not batch.drawn or not learnt.any():
                continue
            batch = on(batch, self.settings.device)
            seed = self.settings.seed * 999_961 + self.settings.draw_of(step)
            generator = torch.Generator().manual_seed(seed)
            with autocast(self.settings.device):
                result = read(joint.components, batch, joint.feedback(len(learnt), generator))
                z = conditions(joint.components, result.hidden, batch, joint.num_tokens)
            if result.drawn is None:
                continue
            drawn = (z, result.drawn.latents, result.drawn.is_busy)
            found.append(tuple(some[learnt.to(some.device)].flatten(0, 1).cpu() for some in drawn))
            found[-1] = (found[-1][0].half(), found[-1][1].half(), found[-1][2])
            if (count + len(found[-1][0])) // EVERY > count // EVERY:
                log.info("%d of %d patches told.", count, PATCHES)
            count += len(found[-1][0])
        z, latents, busy = (torch.cat(parts) for parts in zip(*found, strict=True))
        return z, latents, busy
