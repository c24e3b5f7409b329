"""What few bits cost, part by part: latents and routing against the fp32 engine, teacher-forced.

One part at a time has its weights rounded to a format; the others stay as they are. The latents
of the exact run are fed back, so that every token's error is its own.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ming_core import QUANTISATIONS, CheckpointError, MingModel
from ming_core.formats import FORMATS, possible

from .case import Case
from .clock import unmarked
from .counters import watched_routers
from .sources import EXACT, Source, refuse_unusable

CONTEXT, ROWS = 64, 3
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
    chosen: tuple[Tensor, ...]

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


def matrices(model: MingModel, part: str) -> list[nn.Parameter]:
    """Return the weights that belong to a part."""
    roots = {"": model.parts.language_model, "semantic_decoder": model.parts.semantic_decoder}
    return [
        module.weight
        for prefix, root in roots.items()
        for name, module in root.named_modules(prefix=prefix)
        if re.fullmatch(PARTS[part], name)
        and isinstance(getattr(module, "weight", None), nn.Parameter)
        and module.weight.dim() > 1
    ]


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
    case = Case.read(model, ROWS, CONTEXT)
    with watched_routers(model) as chosen:
        latents = case.draw(tokens, unmarked, replay=replay)[0]
    return Run(latents, tuple(chosen))


def costs(model: MingModel, tokens: int) -> Iterator[Cost]:
    """Yield the cost of every part in every format, and of every quantisation as a whole."""
    exact = run(model, tokens)

    def cost(name: str, form: str, formats: Mapping[str, str]) -> Cost:
        with rounding(model, formats):
            ours = run(model, tokens, exact.latents)
        return Cost(name, form, ours.latent_error(exact), ours.agreement(exact))

    for part in PARTS:
        for form in FORMATS:
            yield cost(part, form, {part: form})
    for name, formats in QUANTISATIONS.items():
        parts = {part: getattr(formats, role) for role, owned in ROLES.items() for part in owned}
        yield cost("together", name, parts)


def report(found: Sequence[Cost]) -> Iterator[str]:
    """Yield a Markdown table: a line per part, error and agreement per format."""
    parts = [cost for cost in found if cost.name in PARTS]
    yield "| part | " + " | ".join(f"{form}: error | same experts" for form in FORMATS) + " |"
    yield "|---" * (1 + 2 * len(FORMATS)) + "|"
    for part in PARTS:
        own = {cost.form: cost for cost in parts if cost.name == part}
        yield f"| {part} | " + " | ".join(_cells(own[form]) for form in FORMATS) + " |"
    yield ""
    yield "| together | error | same experts |"
    yield "|---|---|---|"
    for cost in found:
        if cost.name not in PARTS:
            yield f"| {cost.form} | {_cells(cost)} |"


def _cells(cost: Cost) -> str:
    return f"{cost.latent_error:.2%} | {cost.agreement:.1%}"


def print_report(source: Source, device: torch.device, tokens: int) -> int:
    """Measure and print; the weights must fit in fp32."""
    if source.stored is not None:
        raise CheckpointError(
            f"{source.name} holds {source.stored}, and the report rounds exact weights; give the "
            "published folder."
        )
    refuse_unusable(source, EXACT, device)
    model = source.make(EXACT, device)
    lines = len(PARTS) * len(FORMATS) + len(QUANTISATIONS)
    found: list[Cost] = []
    for cost in costs(model, tokens):
        found.append(cost)
        done = f"{len(found)} of {lines}: {cost.name}, {cost.form}"
        print(f"\r{done:60}", end="", file=sys.stderr, flush=True)
    print(f"\r{'':60}\r", end="", file=sys.stderr)
    print(f"{source.name}, {tokens} tokens, {ROWS} rows, each after the exact latents\n")
    print("\n".join(report(found)))
    return 0
