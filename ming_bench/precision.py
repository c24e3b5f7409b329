"""What few bits cost, part by part: latents and routing against the fp32 engine, teacher-forced.

One part at a time has its weights rounded to a format; the others stay as they are. The latents
of the exact run are fed back, so that every token's error is its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ming_core import QUANTISATIONS, MingModel
from ming_core.formats import FORMATS, possible

from .case import Case
from .clock import unmarked
from .counters import watched_routers

CONTEXT, ROWS = 64, 3
AS_RUN = "as run here, in bf16"  # by the kernels of the device, beside which all else is bf16
# Part of the model -> the modules whose matrices belong to it. The dense and the routed ones are
# what a quantisation rounds, the rest is what it leaves alone.
PARTS: Mapping[str, str] = {
    "attention": r"transformer\.layers\.\d+\.attention\.\w+",
    "shared experts": r"transformer\.layers\.\d+\.mlp\.shared_experts\.\w+",
    "routed experts": r"transformer\.layers\.\d+\.mlp\.(gate_up|down)",
    "head SwiGLU": r"velocity\.res_blocks\.\d+\.mlp\.\w+",
    "head modulation": r"velocity\.modulation",
    "head projections": r"velocity\.(input_proj|cond_embed|final_linear|time_embed\.\w+)",
    "condition head": r"condition_head\.linear",
    "connector": r"connector\.[\w.]+",
    "routers": r"transformer\.layers\.\d+\.mlp\.(text|image)_router",
    "semantic decoder": r"semantic_decoder\.[\w.]+",
}
ROLES = {  # of a quantisation's formats: which parts each is for
    "dense": ("attention", "shared experts", "head modulation"),
    "head": ("head SwiGLU",),
    "experts": ("routed experts",),
}


@dataclass(frozen=True)
class Run:
    """One teacher-forced drawing: latents (tokens, C) and what every router chose."""

    latents: Tensor
    chosen: list[Tensor]

    def latent_error(self, exact: Run) -> float:
        """Mean over tokens of the distance over the length of the exact latent."""
        off = (self.latents - exact.latents).norm(dim=-1) / exact.latents.norm(dim=-1)
        return float(off.mean())

    def agreement(self, exact: Run) -> float:
        """Share of the experts chosen in the exact run that are chosen here as well."""
        pairs = zip(self.chosen, exact.chosen, strict=True)
        same = [(ours[..., None] == theirs[..., None, :]).any(-1) for ours, theirs in pairs]
        return float(torch.cat([one.flatten() for one in same]).float().mean())


@dataclass(frozen=True)
class Cost:
    """What rounding some parts costs."""

    name: str
    form: str
    latent_error: float
    agreement: float

    def cells(self) -> str:
        """Write both for a table."""
        return f"{self.latent_error:.2%} | {self.agreement:.1%}"


def matrices(model: MingModel, part: str) -> list[nn.Parameter]:
    """Return the weights that belong to a part."""
    roots = {"": model.parts.language_model, "semantic_decoder": model.parts.semantic_decoder}
    named = (pair for prefix, root in roots.items() for pair in root.named_parameters(prefix))
    pattern = re.compile(rf"{PARTS[part]}\.weight")
    return [weight for name, weight in named if weight.dim() > 1 and pattern.fullmatch(name)]


def rounded(weight: Tensor, form: str) -> Tensor:
    """Return fp32 weights (..., out, in) as a format keeps them; too odd for int4 means int8."""
    kept = possible(form, weight.shape[-1])
    return kept.dequantised(*kept.quantised(weight), torch.float32)


@contextmanager
def rounding(model: MingModel, formats: Mapping[str, str]) -> Iterator[None]:
    """Round the weights of parts to formats, for as long as this lasts."""
    kept: list[tuple[nn.Parameter, Tensor]] = []
    try:
        for part, form in formats.items():
            for weight in matrices(model, part):
                kept.append((weight, weight.data))
                weight.data = rounded(weight.data, form)
        yield
    finally:
        for weight, exact in kept:
            weight.data = exact


@torch.inference_mode()
def run(model: MingModel, tokens: int, replay: Tensor | None = None) -> Run:
    """Read a prefix and draw some tokens; the prefix and every token are rounded alike."""
    with watched_routers(model) as chosen:
        latents = Case.read(model, ROWS, CONTEXT).draw(tokens, unmarked, replay=replay)[0]
    return Run(latents, chosen)


def costs(
    model: MingModel, tokens: int, make: Callable[[str], MingModel] | None = None
) -> Iterator[Cost]:
    """Yield the cost of every part in every format, and of every quantisation as a whole.

    make  gives the same weights in a precision as this device runs them: kernels round as well
    """
    exact = run(model, tokens)
    wanted = [(part, form, {part: form}) for part in PARTS for form in FORMATS]
    for name, formats in QUANTISATIONS.items():
        parts = {part: getattr(formats, role) for role, owned in ROLES.items() for part in owned}
        wanted.append(("together", name, parts))
    for name, form, parts in wanted:
        with rounding(model, parts):
            ours = run(model, tokens, exact.latents)
        yield Cost(name, form, ours.latent_error(exact), ours.agreement(exact))
    if make is None:
        return
    for name in ("bf16", *QUANTISATIONS):
        ours = run(make(name), tokens, exact.latents)
        yield Cost(AS_RUN, name, ours.latent_error(exact), ours.agreement(exact))


def report(found: Sequence[Cost]) -> Iterator[str]:
    """Yield a Markdown table: a line per part, error and agreement per format."""
    yield "| part | " + " | ".join(f"{form}: error | same experts" for form in FORMATS) + " |"
    yield "|---" * (1 + 2 * len(FORMATS)) + "|"
    for part in PARTS:
        own = {cost.form: cost.cells() for cost in found if cost.name == part}
        yield f"| {part} | " + " | ".join(own[form] for form in FORMATS) + " |"
    for name in ("together", AS_RUN):
        own = [f"| {cost.form} | {cost.cells()} |" for cost in found if cost.name == name]
        yield from ("", f"| {name} | error | same experts |", "|---|---|---|", *own)
