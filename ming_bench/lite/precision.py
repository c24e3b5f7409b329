"""What few bits cost Ming-Lite-Uni, part by part: condition, velocity and picture against fp32.

One part at a time has its weights rounded to a format; the others stay as they are. Velocities are
compared along the exact run's latents, so that every step's error is its own; pictures are drawn
freely.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ming_core.formats import FORMATS
from ming_core.lite_uni.generation import encode
from ming_core.lite_uni.model import LiteUniModel
from ming_core.lite_uni.sampler import DiffusionSampling, LatentSampler, seeded_noise

from ..precision import rounded
from .picture import PROMPT

# Part of the model -> its component, and the modules whose matrices belong to it.
PARTS: Mapping[str, tuple[str, str]] = {
    "vision": ("vision", r".+"),
    "language model: attention": ("language_model", r"decoder\.layers\.\d+\.self_attn\.\w+"),
    "language model: MLP": ("language_model", r"decoder\.layers\.\d+\.mlp\.\w+"),
    "connector": ("connector", r"decoder\.layers\..+"),
    "transformer: self-attention": ("diffusion_transformer", r"transformer_blocks.+\.attn1\..+"),
    "transformer: cross-attention": ("diffusion_transformer", r"transformer_blocks.+\.attn2\..+"),
    "transformer: MLP": ("diffusion_transformer", r".+\.ff\.conv_(inverted|point)"),
    "transformer: the rest": (
        "diffusion_transformer",
        r"(patch_embed|time_embed|caption_projection|proj_out).*|.+\.conv_depth",
    ),
    "decoder of latents": ("autoencoder", r".+"),
}
ATTENTION, MLP = "language model: attention", "language model: MLP"
LANGUAGE = (ATTENTION, MLP)
TRANSFORMER = (
    "transformer: self-attention",
    "transformer: cross-attention",
    "transformer: MLP",
)
# What the precisions round; and with one part rounded otherwise, to compare.
TOGETHER: Mapping[str, tuple[Sequence[str], Sequence[str]]] = {  # parts in int8, and in int4
    "int8": ((*LANGUAGE, "connector", *TRANSFORMER), ()),
    "int8, transformer left alone": ((*LANGUAGE, "connector"), ()),
    "int4": ((ATTENTION, "connector", *TRANSFORMER), (MLP,)),
    "int4, attention in 4 bits as well": (("connector", *TRANSFORMER), LANGUAGE),
    "int4, transformer in 4 bits as well": ((ATTENTION, "connector"), (MLP, *TRANSFORMER)),
}
PHOTO = (1, 224, 224, 3)
PIXELS = 224 * 224  # of the photograph as it is read
COLOURS = 255


@dataclass(frozen=True, slots=True)
class Run:
    """An edit: condition (T, C), velocities (steps, C, h, w) along given latents, pixels."""

    condition: Tensor
    velocities: Tensor
    latents: tuple[Tensor, ...]
    picture: Tensor


@dataclass(frozen=True, slots=True)
class Cost:
    """What rounding some parts costs: relative errors, and colours that a picture is off by."""

    name: str
    form: str
    condition: float
    velocity: float
    picture: float


def matrices(model: LiteUniModel, part: str) -> list[nn.Parameter]:
    """Return the weights that belong to a part."""
    component, pattern = PARTS[part]
    return [
        parameter
        for path, parameter in model.components[component].named_parameters()
        if parameter.dim() > 1
        and path.endswith(".weight")
        and re.fullmatch(pattern, path.removesuffix(".weight"))
    ]


@contextmanager
def rounding(model: LiteUniModel, formats: Mapping[str, str]) -> Iterator[None]:
    """Round the weights of parts to formats, for as long as this lasts."""
    kept: list[tuple[nn.Parameter, Tensor]] = []
    try:
        for part, form in formats.items():
            for weight in matrices(model, part):
                kept.append((weight, weight.data))
                # Kernels of convolutions as the matrices they amount to.
                weight.data = rounded(weight.data.flatten(1), form).view_as(weight)
        yield
    finally:
        for weight, exact in kept:
            weight.data = exact


@torch.inference_mode()
def run(model: LiteUniModel, steps: int, along: Sequence[Tensor] | None = None) -> Run:
    """Edit a photograph of noise; velocities are those at `along`, or at the run's own latents."""
    photo = torch.rand(PHOTO, generator=torch.Generator().manual_seed(1))
    condition = encode(model, PROMPT, photo, pixels=PIXELS)
    tokens = condition.of_scale(None)
    sampling = DiffusionSampling(steps=steps)
    network = model.parts.diffusion_transformer
    sampler = LatentSampler(
        network, model.config.schedule, sampling, tokens, condition.unconditional
    )
    side = model.config.diffusion.sample_size
    latents = [seeded_noise(0, (model.config.diffusion.channels, side, side))]
    own: list[Tensor] = []
    for step, (sigma, following) in enumerate(
        zip(sampler.sigmas, sampler.sigmas[1:], strict=False)
    ):
        own.append(sampler.velocity(latents[-1], step))
        latents.append(latents[-1] + own[-1] * (following - sigma))
    if along is not None:
        own = [sampler.velocity(along[step], step) for step in range(steps)]
    pixels = model.parts.autoencoder(latents[-1][None])
    return Run(tokens, torch.stack(own), tuple(latents), (pixels / 2 + 0.5).clamp(0, 1))


def costs(model: LiteUniModel, steps: int) -> Iterator[Cost]:
    """Yield the cost of every part in every format, and of every precision as a whole."""
    exact = run(model, steps)

    def cost(name: str, form: str, formats: Mapping[str, str]) -> Cost:
        with rounding(model, formats):
            ours = run(model, steps, exact.latents)
        colours = COLOURS * (ours.picture - exact.picture).abs().mean()
        return Cost(
            name,
            form,
            _relative(ours.condition, exact.condition),
            _relative(ours.velocities.flatten(1), exact.velocities.flatten(1)),
            float(colours),
        )

    for part in PARTS:
        for form in FORMATS:
            yield cost(part, form, {part: form})
    for name, (in_int8, in_int4) in TOGETHER.items():
        formats = dict.fromkeys(in_int8, "int8") | dict.fromkeys(in_int4, "int4")
        yield cost("together", name, formats)


def _relative(ours: Tensor, exact: Tensor) -> float:
    """Mean over rows of the distance over the length of the exact row."""
    return float(((ours - exact).norm(dim=-1) / exact.norm(dim=-1)).mean())


def report(found: Sequence[Cost]) -> Iterator[str]:
    """Yield a Markdown table: a line per part, three errors per format."""
    heads = [f"{form}: condition | velocity | picture" for form in FORMATS]
    yield f"| part | {' | '.join(heads)} |"
    yield "|---" * (1 + 3 * len(FORMATS)) + "|"
    for part in PARTS:
        own = {cost.form: cost for cost in found if cost.name == part}
        yield f"| {part} | {' | '.join(_cells(own[form]) for form in FORMATS)} |"
    yield ""
    yield "| together | condition | velocity | picture |"
    yield "|---|---|---|---|"
    for cost in found:
        if cost.name not in PARTS:
            yield f"| {cost.form} | {_cells(cost)} |"


def _cells(cost: Cost) -> str:
    return f"{cost.condition:.2%} | {cost.velocity:.2%} | {cost.picture:.2f}"
