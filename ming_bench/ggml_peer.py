"""ggml's 4-bit products beside ours: the same matrices, the same rows, one thread, in turn.

A peer in the extra `peer`, needed by nothing else. Its weights are plain Q4_0 (18 bytes per 32,
read row by row), as ggml keeps them by itself; activations are rounded to 8 bits inside.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from ming_core.formats import INT4
from ming_core.processor_formats import lay_out_for_processor
from ming_core.quantisation import QuantisedLinear

ROWS = 3
# The published flow head's, in turn, so that no cache holds them.
SHAPES = ((16384, 3072), (3072, 8192)) * 3
SPARE = 1 << 26  # bytes of working memory, of which every call takes some


def ggml() -> ModuleType | None:
    """Return the peer; None where it is not installed, or cannot be loaded."""
    try:
        return import_module("ggml")
    except (ImportError, OSError, RuntimeError):
        return None


def drawn_weights(shape: tuple[int, int], seed: int) -> Tensor:
    """Draw the fp32 weights of a matrix (out, in)."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator) * shape[1] ** -0.5


class OurProducts:
    """Matrices in int4 as a model loaded for the processor keeps them."""

    def __init__(self, shapes: Sequence[tuple[int, int]]) -> None:
        self._layers: list[QuantisedLinear] = []
        for seed, shape in enumerate(shapes):
            layer = QuantisedLinear(shape[1], shape[0], form=INT4, bias=False)
            layer.store(drawn_weights(shape, seed), ())
            lay_out_for_processor([layer])
            self._layers.append(layer)
        self._rows = [row_like(shape).to(torch.bfloat16) for shape in shapes]

    def __call__(self) -> list[Tensor]:
        """Multiply: (ROWS, out) of every matrix."""
        return [layer(x) for layer, x in zip(self._layers, self._rows, strict=True)]


class GgmlProducts:
    """The same matrices in ggml's Q4_0."""

    def __init__(self, peer: Any, shapes: Sequence[tuple[int, int]]) -> None:  # noqa: ANN401  a module
        self._ggml = peer
        weights = sum(out * size for out, size in shapes)
        room = weights + SPARE  # more than Q4_0 takes
        self._context = peer.ggml_init(peer.ggml_init_params(room, None, False))  # noqa: FBT003  a C struct
        self._graph = peer.ggml_new_graph(self._context)
        self._outputs = [self._product(seed, shape) for seed, shape in enumerate(shapes)]

    def _product(self, seed: int, shape: tuple[int, int]) -> Any:  # noqa: ANN401  a C struct
        """Build the product of one matrix; numbers go into memory that ggml owns."""
        peer, (out, size), kind = self._ggml, shape, self._ggml.GGML_TYPE_Q4_0
        weight = peer.ggml_new_tensor_2d(self._context, kind, size, out)
        drawn = drawn_weights(shape, seed)
        source = ctypes.cast(drawn.data_ptr(), ctypes.POINTER(ctypes.c_float))
        peer.ggml_quantize_chunk(kind, source, peer.ggml_get_data(weight), 0, out, size, None)
        x = peer.ggml_new_tensor_2d(self._context, peer.GGML_TYPE_F32, size, ROWS)
        rows = row_like(shape)
        ctypes.memmove(peer.ggml_get_data(x), rows.data_ptr(), rows.nbytes)
        product = peer.ggml_mul_mat(self._context, weight, x)
        peer.ggml_build_forward_expand(self._graph, product)
        return product

    def __call__(self) -> None:
        """Multiply."""
        self._ggml.ggml_graph_compute_with_ctx(self._context, self._graph, 1)

    def results(self, shapes: Sequence[tuple[int, int]]) -> list[Tensor]:
        """Return what the last call gave: (ROWS, out) of every matrix."""
        found: list[Tensor] = []
        for output, (out, _) in zip(self._outputs, shapes, strict=True):
            result = torch.empty(ROWS, out)
            ctypes.memmove(result.data_ptr(), self._ggml.ggml_get_data(output), result.nbytes)
            found.append(result)
        return found

    def close(self) -> None:
        """Give the memory back."""
        self._ggml.ggml_free(self._context)


def row_like(shape: tuple[int, int]) -> Tensor:
    """Return what is multiplied by a matrix: (ROWS, in), in numbers that bf16 holds."""
    generator = torch.Generator().manual_seed(shape[1])
    return torch.randn(ROWS, shape[1], generator=generator).to(torch.bfloat16).float()
