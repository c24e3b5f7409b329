"""Few-bit weights laid out for a processor's own products, once they are loaded.

What lies on disk and what a device reads stays as `formats.py` says: layouts differ between
processors, so they are made where they are used, and only there.
"""

import sys
from collections.abc import Iterable
from contextlib import suppress
from ctypes import CDLL

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .formats import INT4, INT8, Format, Int8, Shape, group_size
from .kernels import processor
from .kernels.processor import INT4_GROUPS, INT8_STEP, padding
from .quantisation import QuantisedLeaf, quantised_leaves


class ProcessorInt8(Int8):
    """8-bit levels, filled up with zeros to inputs that the processor's product takes.

    4-bit levels whose groups no product takes are widened to these, which rounds them once more by
    a tenth of what 4 bits had cost.
    """

    is_for_processors = True

    def stored_shapes(self, shape: Shape) -> tuple[Shape, Shape]:
        """Return the shapes of levels and scales."""
        return (*shape[:-1], shape[-1] + padding(shape[-1], INT8_STEP)), shape[:-1]

    def laid_out(self, levels: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        """Fill levels up; those that need nothing stay where they lie."""
        if levels.dtype == INT4.weight_dtype:
            levels, scale = self._widened(levels, scale)
        short = padding(levels.shape[-1], INT8_STEP)
        return processor.aligned(F.pad(levels, (0, short)) if short else levels.contiguous()), scale

    def _widened(self, levels: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        if levels.dim() == 2:
            return self.quantised(INT4.dequantised(levels, scale, torch.float32))
        each = [self._widened(*pair) for pair in zip(levels, scale, strict=True)]
        wide, scales = zip(*each, strict=True)
        return torch.stack(wide), torch.stack(scales)

    def product(self, x: Tensor, levels: Tensor, scale: Tensor) -> Tensor:
        """Multiply by the levels in bf16, and scale each channel in fp32."""
        short = levels.shape[-1] - x.shape[-1]
        filled = F.pad(x, (0, short)) if short else x
        if levels.dim() > 2:
            return super().product(filled, levels, scale)
        out = processor.int8_product(filled.reshape(-1, filled.shape[-1]), levels)
        return (out.float() * scale).to(x.dtype).view(*x.shape[:-1], -1)


class ProcessorInt4(Format):
    """4-bit levels in blocks of output channels, of which the last are filled up; bf16 scales.

    levels (..., filled, in / 2), scale (..., groups, filled, 2), whose second figures are 0
    """

    name = "int4"
    weight_dtype = torch.uint8
    scale_dtype = torch.bfloat16
    is_for_processors = True

    def __init__(self, block: int, out_features: int) -> None:
        self.block, self.out_features = block, out_features
        self.short = padding(out_features, block)

    def stored_shapes(self, shape: Shape) -> tuple[Shape, Shape]:
        """Return the shapes of packed levels and scales."""
        levels, scale = INT4.stored_shapes((*shape[:-2], shape[-2] + self.short, shape[-1]))
        return levels, (*shape[:-2], scale[-1], scale[-2], 2)

    def quantised(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Return packed levels and scales."""
        return self.laid_out(*INT4.quantised(weight))

    def laid_out(self, levels: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        """Pack what `INT4` stores, matrix by matrix, so that little memory is needed beside it."""
        if levels.dim() == 2:
            packed = processor.int4_packed(F.pad(levels, (0, 0, 0, self.short)), self.block)
            turned = F.pad(scale.to(torch.bfloat16), (0, 0, 0, self.short)).mT
            return packed, torch.stack((turned, torch.zeros_like(turned)), dim=-1)
        shapes = self.stored_shapes((*levels.shape[:-1], 2 * levels.shape[-1]))
        packed, turned = (
            levels.new_empty(shapes[0]),
            scale.new_empty(shapes[1], dtype=torch.bfloat16),
        )
        for index in range(len(levels)):
            packed[index], turned[index] = self.laid_out(levels[index], scale[index])
        return packed, turned

    def dequantised(self, levels: Tensor, scale: Tensor, dtype: torch.dtype) -> Tensor:
        """Return the weights as floats, exact to bf16."""
        if levels.dim() > 2:
            pairs = zip(levels, scale, strict=True)
            return torch.stack([self.dequantised(*pair, dtype) for pair in pairs])
        weight = processor.int4_unpacked(levels, scale[..., 0], self.block)
        return weight[: self.out_features].to(dtype)

    def product(self, x: Tensor, levels: Tensor, scale: Tensor) -> Tensor:
        """Multiply by the packed weights in bf16."""
        if levels.dim() > 2:
            return x @ self.dequantised(levels, scale, x.dtype).mT
        out = processor.int4_product(x.reshape(-1, x.shape[-1]), levels, scale, self.block)
        return out[:, : self.out_features].to(x.dtype).reshape(*x.shape[:-1], -1)


PROCESSOR_INT8 = ProcessorInt8()


def processor_format(leaf: QuantisedLeaf) -> ProcessorInt8 | ProcessorInt4 | None:
    """Return the layout this processor has a product for; None where it has none."""
    block = processor.int4_block()
    if leaf.form is INT4 and block is None:
        return None  # in 8 bits all of them would take twice the memory
    if leaf.form is INT4 and block is not None and group_size(leaf.shape[-1]) in INT4_GROUPS:
        return ProcessorInt4(block, leaf.shape[-2])
    is_known = leaf.form in (INT4, INT8)  # and not laid out yet
    return PROCESSOR_INT8 if is_known and processor.has_int8() else None


def is_laid_out_anew(layer: nn.Module) -> bool:
    """Whether laying a layer out takes other memory than its weights lie in now."""
    if not isinstance(layer, QuantisedLeaf) or processor_format(layer) is None:
        return False
    return layer.form is not INT8 or padding(layer.shape[-1], INT8_STEP) > 0


def lay_out_for_processor(modules: Iterable[nn.Module]) -> int:
    """Lay the few-bit matrices of some components out for this processor; returns how many.

    One layer is replaced after another, so that there is never a second copy of more than that.
    They must stay in main memory from now on. Matrices no product takes stay as they are.
    """
    count = 0
    for leaf in quantised_leaves(modules):
        form = processor_format(leaf)
        if form is not None:
            weight, leaf.scale = form.laid_out(leaf.weight.data, leaf.scale)
            leaf.weight = nn.Parameter(weight, requires_grad=False)
            leaf.form = form
            count += 1
            _give_back()
    return count


def _give_back() -> None:
    """Give freed memory back: glibc keeps pieces of up to 32 MB, which every layout leaves some."""
    if sys.platform == "linux":
        with suppress(AttributeError, OSError):  # of another C library
            CDLL(None).malloc_trim(0)
