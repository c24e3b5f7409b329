"""Connected parts of masks, holes filled, rims taken off: plain numpy, no other library."""

from __future__ import annotations

import numpy as np

Array = np.ndarray


def labelled(mask: Array, least_area: int) -> list[Array]:
    """Return the 8-connected parts of a mask that have at least so many pixels, largest first."""
    labels = np.where(mask, np.arange(1, mask.size + 1).reshape(mask.shape), 0)
    while True:
        spread = _spread(labels) * mask
        if np.array_equal(spread, labels):
            break
        labels = spread
    numbers, counts = np.unique(labels[labels > 0], return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return [labels == numbers[i] for i in order if counts[i] >= least_area]


def _spread(labels: Array) -> Array:
    """Give every pixel the largest label of its row run and neighbourhood."""
    padded = np.pad(labels, 1)
    height, width = labels.shape
    result = labels
    for down in range(3):
        for across in range(3):
            result = np.maximum(result, padded[down : down + height, across : across + width])
    return result


def filled(mask: Array) -> Array:
    """Return a mask with its holes filled: what the outside cannot reach."""
    outside = np.pad(~mask, 1, constant_values=True)
    reached = np.zeros_like(outside)
    reached[0, :] = reached[-1, :] = reached[:, 0] = reached[:, -1] = True
    while True:
        grown = reached.copy()
        grown[1:] |= reached[:-1]
        grown[:-1] |= reached[1:]
        grown[:, 1:] |= reached[:, :-1]
        grown[:, :-1] |= reached[:, 1:]
        grown &= outside
        if np.array_equal(grown, reached):
            return ~reached[1:-1, 1:-1]
        reached = grown


def shrunk(mask: Array) -> Array:
    """Return a mask without its outermost pixels."""
    padded = np.pad(mask, 1)
    return mask & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]


def grown(mask: Array, pixels: int) -> Array:
    """Return a mask widened by so many pixels up, down, left and right."""
    for _ in range(pixels):
        padded = np.pad(mask, 1)
        mask = mask | padded[:-2, 1:-1] | padded[2:, 1:-1] | padded[1:-1, :-2] | padded[1:-1, 2:]
    return mask
