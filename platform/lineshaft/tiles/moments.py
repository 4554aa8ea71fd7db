"""Central moments: count, mean, M2, M3, M4, mergeable without cancellation.

Sums of powers lose every digit on a small vibration over a large offset (101325 Pa +- 1 Pa); central sums do not.
Merge: Chan, Golub, LeVeque 1979 for M2; Pebay, "Formulas for robust, one-pass parallel computation of covariances and
arbitrary-order statistical moments", Sandia SAND2008-6212, for M3 and M4.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, TypeVar

import numpy as np

from lineshaft.tiles.algebra import Floats, Samples
from lineshaft.tiles.sums import aligned, keep_identity

SLAB = 16_384
"""Samples worked on at once: two float64 buffers of this size stay in a core's own cache (70x, measured)."""

FEW = 5 * 30
"""Numbers up to which parts are merged one by one, as Python's floats: NumPy's cost of a call is that of thirty."""

_Real = TypeVar("_Real", float, Floats)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """Count, mean and central sums M2, M3, M4 = sum((x - mean)^k) of the measured samples.

    A constant block has M2 = M3 = M4 = 0 exactly, and so has a merge of blocks with one constant.
    """

    key: ClassVar[str] = "moments"
    version: ClassVar[int] = 1
    fields: ClassVar[tuple[str, ...]] = ("count", "mean", "m2", "m3", "m4")

    def prepare(self, samples: Samples) -> Floats:
        """Summarise each block: (n_blocks, 5)."""
        out = np.zeros((len(samples.values), 5))
        for part in samples.dense:
            out[part.rows] = _central(part.values)
        return out

    def merge(self, left: Floats, right: Floats) -> Floats:
        """Merge by Pebay's formulas, elementwise over leading axes."""
        left, right = aligned(left, right)
        if left.size <= FEW:
            pairs = zip(left.reshape(-1, 5).tolist(), right.reshape(-1, 5).tolist(), strict=True)
            merged = [b if not a[0] else a if not b[0] else _merged(a, b) for a, b in pairs]
            return np.array(merged, dtype=np.float64).reshape(left.shape)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            columns = _merged((left[..., i] for i in range(5)), (right[..., i] for i in range(5)))
        return keep_identity(np.stack(columns, axis=-1), left, right)

    def empty(self) -> Floats:
        """Return no samples."""
        return np.zeros(5)


def _merged(left: Iterable[_Real], right: Iterable[_Real]) -> tuple[_Real, ...]:
    """Merge two parts of five numbers by Pebay's formulas: floats, or arrays of them, to the same bits."""
    na, ma, a2, a3, a4 = left
    nb, mb, b2, b3, b4 = right
    n = na + nb
    delta = mb - ma
    step = delta / n
    spread = delta * step * na * nb
    m2 = a2 + b2 + spread
    m3 = a3 + b3 + spread * step * (na - nb) + 3.0 * step * (na * b2 - nb * a2)
    m4 = (
        (a4 + b4)
        + spread * step * step * (na * na - na * nb + nb * nb)
        + 6.0 * step * step * (na * na * b2 + nb * nb * a2)
        + 4.0 * step * (na * b3 - nb * a3)
    )
    return n, ma + step * nb, m2, m3, m4


def _central(values: Floats) -> Floats:
    """Return count, mean, M2, M3, M4 of each full row: (m, 5), in two passes over cache-sized slabs.

    Subtracting the first sample first makes constants exact and takes the offset out before anything is added up.
    """
    rows, n = values.shape
    step = max(1, SLAB // n)
    out = np.empty((rows, 5))
    out[:, 0] = n
    deviations, squares = np.empty((2, min(step, rows), n))
    with np.errstate(over="ignore", invalid="ignore"):
        for first in range(0, rows, step):
            x, o = values[first : first + step], out[first : first + step]
            d, q = deviations[: len(x)], squares[: len(x)]
            np.subtract(x, x[:, :1], out=d)
            shift = np.add.reduce(d, axis=1) / n
            np.subtract(d, shift[:, None], out=d)
            np.multiply(d, d, out=q)
            o[:, 1] = x[:, 0] + shift
            o[:, 2] = np.add.reduce(q, axis=1)
            np.multiply(d, q, out=d)
            o[:, 3] = np.add.reduce(d, axis=1)
            np.multiply(q, q, out=q)
            o[:, 4] = np.add.reduce(q, axis=1)
    return out
