"""Third stage: the flow head alone learns to draw what the language model has come to know.

While both learn, what the head is told changes under it; with the language model at rest it learns
from many more times of the flow per patch.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ming_core.config import MingConfig
from ming_core.model import Components
from ming_core.text_tokenizer import TextTokenizer

from .curriculum import GROUPS, Phase
from .joint_stage import JointStage
from .muon import Optimiser, Rates
from .stage import Settings, autocast
from .teacher import FlowDraws, conditions, flow_loss, read

DRAWS = FlowDraws(plain=2, busy=16)


class FlowStage(JointStage):
    """Trains the velocity network on the pictures of the conversations that have any."""

    name = "flow"

    def __init__(
        self,
        components: Components,
        config: MingConfig,
        tokenizer: TextTokenizer,
        settings: Settings,
        phases: tuple[Phase, ...],
        size: tuple[int, int],
    ) -> None:
        """The arguments are the joint stage's; what it comes to last is practised all the time."""
        last = replace(phases[-1], shares=_drawn(phases[-1].shares))
        super().__init__(components, config, tokenizer, settings, (last,), size)
        network = components.language_model.velocity
        components.language_model.requires_grad_(requires_grad=False)
        network.requires_grad_(requires_grad=True)
        self.optimiser = Optimiser(network.named_parameters(), replace(Rates(), adam=1.5e-3))

    def losses(self, step: int) -> dict[str, Tensor]:
        """Return the loss of a step."""
        batch, generator = self._batch(step), self._generator(step)
        with autocast(self.settings.device):
            with torch.no_grad():
                result = read(self.components, batch, self._feedback(len(batch.drawn), generator))
                z = conditions(self.components, result.hidden, batch, self.num_tokens)
            assert result.drawn is not None  # noqa: S101 - every lesson draws
            learnt = batch.is_learnt.to(self.settings.device)
            network = self.components.language_model.velocity
            loss = flow_loss(network, z, result.drawn, learnt, DRAWS, generator)
        return {"loss": loss}


def _drawn(shares: dict[str, float]) -> dict[str, float]:
    """Leave out the lessons that are about words alone."""
    return {task: share for task, share in shares.items() if task not in GROUPS["read"]}
