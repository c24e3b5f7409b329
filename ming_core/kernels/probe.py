"""A kernel's first use: the kernel and its plain twin on the same few random numbers."""

from dataclasses import dataclass
from types import ModuleType

import torch
from torch import Tensor

from . import plain
from .packed import SMALL_TILE, Format, Norm, Packed

# Relative, as norms: kernels round less often than layers do, and sum in another order.
TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 2e-2, torch.float16: 4e-3}
ROWS, EXPERTS, TOP_K = 3, 4, 2


@dataclass(frozen=True, slots=True)
class Case:
    """A kernel on a device, its inputs' dtype, how its two matrices are stored, and its rows.

    It is compiled for a tile of rows; other tiles are other cases.
    """

    kernel: str
    device: torch.device
    dtype: torch.dtype
    formats: tuple[Format, Format]
    tile: int = SMALL_TILE

    @property
    def rows(self) -> int:
        """Return how many rows to try: some, which no smaller tile takes."""
        return ROWS if self.tile == SMALL_TILE else SMALL_TILE + ROWS


def error_of(kernels: ModuleType, case: Case) -> float:
    """Return the relative difference between a kernel and its twin; NaN counts as NaN."""
    ours, expected = (_result(module, case).double() for module in (kernels, plain))
    return float((ours - expected).norm() / expected.norm())


def _result(module: ModuleType, case: Case) -> Tensor:
    """Run one implementation on numbers that depend on the case alone."""
    generator = torch.Generator("cpu").manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    def here(tensor: Tensor) -> Tensor:
        return tensor.to(case.device, case.dtype)

    rows = case.rows
    size = max(64, *(group for _, group in case.formats))
    width = 2 * size
    many = (EXPERTS,) if case.kernel == "add_experts" else ()
    shapes = ((*many, 2 * size, width), (*many, width, size))
    drawn = zip(shapes, case.formats, strict=True)
    packed = [pack(draw(*shape), stored, case) for shape, stored in drawn]
    if case.kernel == "add_experts":
        weights, chosen = draw(rows, EXPERTS).softmax(-1).to(case.device).topk(TOP_K)
        total = draw(rows, width).to(case.device)
        return module.add_experts(total, here(draw(rows, width)), weights, chosen, *packed)
    norm = Norm(here(draw(width)), here(draw(width)), 1e-6)
    return module.block(here(draw(1, width)), here(draw(rows, 3 * width)), norm, *packed)


def pack(weight: Tensor, stored: Format, case: Case) -> Packed:
    """Store random weights of deviation 1 in a format, scaled to keep sums at about 1."""
    kind, group = stored
    weight = weight / weight.shape[-1] ** 0.5
    if kind.is_floating_point:
        return Packed(weight.to(case.device, kind))
    if kind == torch.int8:
        scale = weight.abs().amax(dim=-1) / 127
        levels = (weight / scale[..., None]).round()
        return Packed(levels.to(case.device, kind), scale.to(case.device))
    groups = weight.unflatten(-1, (-1, group))
    scale = groups.abs().amax(dim=-1) / 7
    levels = ((groups / scale[..., None]).round() + 8).flatten(-2).to(torch.uint8)
    halves = levels[..., 0::2] | levels[..., 1::2] << 4
    return Packed(halves.to(case.device), scale.to(case.device, torch.float16))
