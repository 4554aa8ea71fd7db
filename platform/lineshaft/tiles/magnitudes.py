"""Sums of |x| and of sqrt|x|, which the shape, impulse and clearance factors divide by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lineshaft.tiles.algebra import Floats, Samples
from lineshaft.tiles.moments import SLAB
from lineshaft.tiles.sums import add


@dataclass(frozen=True, slots=True, kw_only=True)
class Magnitudes:
    """Count, sum of |x| and sum of sqrt|x| of the measured samples."""

    key: ClassVar[str] = "magnitudes"
    version: ClassVar[int] = 1
    fields: ClassVar[tuple[str, ...]] = ("count", "sum_abs", "sum_root_abs")

    def prepare(self, samples: Samples) -> Floats:
        """Summarise each block: (n_blocks, 3)."""
        out = np.zeros((len(samples.values), 3))
        for part in samples.dense:
            out[part.rows] = _sums(part.values)
        return out

    def merge(self, left: Floats, right: Floats) -> Floats:
        """Add."""
        return add(left, right)

    def empty(self) -> Floats:
        """Return no samples."""
        return np.zeros(3)


def _sums(values: Floats) -> Floats:
    """Return count, sum|x|, sum sqrt|x| of each full row: (m, 3)."""
    rows, n = values.shape
    step = max(1, SLAB // n)
    out = np.empty((rows, 3))
    out[:, 0] = n
    buffer = np.empty((min(step, rows), n))
    with np.errstate(over="ignore"):
        for first in range(0, rows, step):
            x, o = values[first : first + step], out[first : first + step]
            a = np.abs(x, out=buffer[: len(x)])
            o[:, 1] = np.add.reduce(a, axis=1)
            np.sqrt(a, out=a)
            o[:, 2] = np.add.reduce(a, axis=1)
    return out
