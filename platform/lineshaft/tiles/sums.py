"""What all summaries made of plain sums share: merge is addition, nothing is zero."""

from __future__ import annotations

import numpy as np

from lineshaft.tiles.algebra import Floats


def add(left: Floats, right: Floats) -> Floats:
    """Add two parts, elementwise over leading axes; zeros are the identity, bit for bit (sums here are never -0.0)."""
    with np.errstate(over="ignore", invalid="ignore"):
        total: Floats = left + right
    return total


def weighted(values: Floats, weight: Floats) -> Floats:
    """Return (m, 2 x k) columns value x weight, weight; both zero where a value is undefined.

    `values` (m, k), `weight` (m, 1). A mean over the blocks where each value is defined is then a ratio of two sums.
    """
    defined = np.isfinite(values)
    out = np.zeros((len(values), 2 * values.shape[1]))
    out[:, 0::2] = np.where(defined, values, 0.0) * weight
    out[:, 1::2] = np.where(defined, weight, 0.0)
    return out
