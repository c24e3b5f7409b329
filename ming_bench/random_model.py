"""Models with random weights of any size, made where they compute: no checkpoint file needed."""

import math
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from ming_core import MingModel, TorchOperations
from ming_core.operations import Operations
from ming_core.places import Place, put
from ming_core.processor_formats import lay_out_for_processor
from ming_core.quantisation import quantised_leaves
from ming_core.univision.config import MingConfig
from ming_core.univision.model import Components
from ming_core.univision.tokenizer import ConversationTokenizer

from .tiny_checkpoint.config import Sizes, ming_config
from .tiny_checkpoint.tokenizer import write_tokenizer

# The head's residual branches are kept small: a random head is chaotic otherwise, and rounding
# would grow to the size of the latents within one token.
CONTRACTION = 0.4
DRAWN_AT_ONCE = 1 << 26  # weights, so that little memory is needed beside the model


def scaled(
    language: tuple[int, ...],
    flow: tuple[int, int],
    vision: tuple[int, int],
    **others: Any,  # noqa: ANN401
) -> Sizes:
    """Return the published figures, but for those given: widths and depths, and by name."""
    names = ("hidden", "layers", "head_size", "experts", "expert_width", "flow_width", "flow_depth")
    names += ("vision_width", "vision_depth")
    figures: dict[str, Any] = dict(zip(names, language + flow + vision, strict=True))
    figures |= {"heads": 16, "kv_heads": 4, "top_k": 6, "shared_experts": 2, "vocabulary": 1024}
    figures |= {"image_size": 512, "patch": 32, "pixel_patch": 16, "rope_theta": 600000}
    small = {"encoder": (64, 1), "pixel_width": 64, "pixel_depth": 1}
    return Sizes(mean=1.46817409, scale=8.09449291, **(figures | small | others))


# quick      to try the bench itself
# mid        a size that one CPU thread can time, with the published shares of head and language
# head       the same with a head of half a GB in fp32, which no cache holds
# deep       the published depths at tiny widths, to count operations and the host's own time
# published  the published figures
WHOLE = {"encoder": (768, 12), "pixel_width": 1024, "pixel_depth": 24, "vocabulary": 126464}
PUBLISHED = scaled((2048, 28, 128, 64, 1408), (3072, 12), (1024, 24), **WHOLE)
SIZES = {
    name: ming_config(sizes, {})
    for name, sizes in {
        "quick": scaled((64, 2, 8, 8, 32), (64, 2), (64, 2), top_k=2),
        "mid": scaled((512, 8, 32, 32, 352), (768, 12), (512, 12)),
        "head": scaled((512, 8, 32, 32, 352), (1152, 12), (512, 12)),
        "deep": scaled((128, 28, 8, 64, 32), (64, 12), (64, 24)),
        "published": PUBLISHED,
    }.items()
}


def random_model(
    figures: MingConfig,
    dtype: torch.dtype,
    device: torch.device,
    operations: Operations = TorchOperations,
    seed: int = 0,
) -> MingModel:
    """Fill a model of these figures with seeded random weights, stretch by stretch on its device.

    The same seed gives the same weights in every precision: they are drawn in bf16, as published
    ones are, and stored as the layers store a checkpoint's.
    """
    parts = Components.build(figures, operations, dtype)
    if device.type == "cpu" and quantised_leaves(parts.named().values()):
        parts.pixel_decoder.to(torch.bfloat16)  # as a checkpoint's would stay
    for module in parts.named().values():
        module.to_empty(device=device).requires_grad_(requires_grad=False)
    generator = torch.Generator(device).manual_seed(seed)
    for place in stretches(figures):
        path = f"{place.component}.{place.parameter}"
        put(parts.named(), place, weights_of(path, place.shape, generator))
    if device.type == "cpu":
        lay_out_for_processor(parts.named().values())
    return MingModel("random", figures, small_tokenizer(), parts, dtype, device)


def small_tokenizer() -> ConversationTokenizer:
    """Return a tokenizer of few words."""
    with TemporaryDirectory() as folder:
        write_tokenizer(Path(folder))
        return ConversationTokenizer.load(Path(folder))


def stretches(figures: MingConfig) -> Iterator[Place]:
    """Yield every parameter of the plain model, stacked experts one by one, large ones in parts."""
    plain = Components.build(figures, TorchOperations, torch.float32)
    for component, module in plain.named().items():
        for path, parameter in module.named_parameters():
            if parameter.dim() == 3 and ".mlp." in path:
                for expert in range(len(parameter)):
                    yield Place(component, path, (expert,), tuple(parameter.shape[1:]))
            elif parameter.dim() == 2 and parameter.numel() > DRAWN_AT_ONCE:
                rows, columns = parameter.shape
                each = max(1, DRAWN_AT_ONCE // columns)
                for start in range(0, rows, each):
                    count = min(each, rows - start)
                    yield Place(component, path, (slice(start, start + count),), (count, columns))
            else:
                yield Place(component, path, (), tuple(parameter.shape))


def weights_of(path: str, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Draw weights that keep the size of what passes through them, in bf16."""
    device = generator.device
    if len(shape) < 2:
        return torch.full(shape, 1.0 if path.endswith("weight") else 0.0, device=device)
    scale = math.prod(shape[1:]) ** -0.5
    if ".velocity." in path:
        scale *= CONTRACTION
    if path.endswith("word_embeddings.weight"):
        scale = 1.0
    width = 3**0.5 * scale  # of a uniform distribution with this standard deviation
    weights = torch.empty(shape, dtype=torch.bfloat16, device=device)
    return weights.uniform_(-width, width, generator=generator)
