"""What merges share: plain sums add, an empty part changes nothing, equal shapes need no broadcasting."""

from __future__ import annotations

import numpy as np

from lineshaft.tiles.algebra import Floats


def add(left: Floats, right: Floats) -> Floats:
    """Add two parts, elementwise over leading axes; zeros are the identity, bit for bit (sums here are never -0.0)."""
    with np.errstate(over="ignore", invalid="ignore"):
        total: Floats = left + right
    return total


def aligned(left: Floats, right: Floats) -> tuple[Floats, Floats]:
    """Broadcast two parts against each other; nothing to do, and no time spent, where their shapes agree."""
    if left.shape == right.shape:
        return left, right
    wide, other = np.broadcast_arrays(left, right)
    return wide, other


def keep_identity(merged: Floats, left: Floats, right: Floats) -> Floats:
    """Put back, bit for bit, the other part where one has no samples: field 0 counts them."""
    for count, other in ((right[..., 0], left), (left[..., 0], right)):
        nothing = count == 0
        if nothing.any():
            merged = np.where(nothing[..., None], other, merged)
    return merged


def weighted(values: Floats, weight: Floats) -> Floats:
    """Return (m, 2 x k) columns value x weight, weight; both zero where a value is undefined.

    `values` (m, k), `weight` (m, 1). A mean over the blocks where each value is defined is then a ratio of two sums.
    """
    defined = np.isfinite(values)
    out = np.zeros((len(values), 2 * values.shape[1]))
    out[:, 0::2] = np.where(defined, values, 0.0) * weight
    out[:, 1::2] = np.where(defined, weight, 0.0)
    return out
