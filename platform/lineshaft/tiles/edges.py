"""The first and the last measured sample, with their times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from lineshaft.tiles.algebra import Floats, Samples
from lineshaft.tiles.sums import aligned


@dataclass(frozen=True, slots=True, kw_only=True)
class Edges:
    """Time and value of the first and the last measured sample.

    Times are int64 microseconds held in float64: exact up to 2^53, which is the year 2255. Blocks may overlap, so times
    decide, not the order of parts; between equal times the earlier part gives the first, the later part the last.
    """

    key: ClassVar[str] = "edges"
    version: ClassVar[int] = 1
    fields: ClassVar[tuple[str, ...]] = ("first_us", "first", "last_us", "last")

    def prepare(self, samples: Samples) -> Floats:
        """Summarise each block: (n_blocks, 4)."""
        out = np.tile(self.empty(), (len(samples.values), 1))
        for part in samples.dense:
            start = samples.start_us[part.rows]
            out[part.rows, 0] = start + _offset_us(part.index[:, 0], samples.rate_hz)
            out[part.rows, 1] = part.values[:, 0]
            out[part.rows, 2] = start + _offset_us(part.index[:, -1], samples.rate_hz)
            out[part.rows, 3] = part.values[:, -1]
        return out

    def merge(self, left: Floats, right: Floats) -> Floats:
        """Keep the earliest and the latest."""
        left, right = aligned(left, right)
        first = np.where(left[..., :1] <= right[..., :1], left[..., :2], right[..., :2])
        last = np.where(right[..., 2:3] >= left[..., 2:3], right[..., 2:], left[..., 2:])
        return np.concatenate([first, last], axis=-1)

    def empty(self) -> Floats:
        """Return no samples: first after everything, last before everything."""
        return np.array([np.inf, 0.0, -np.inf, 0.0])


def _offset_us(index: NDArray[np.int64], rate_hz: float) -> NDArray[np.int64]:
    """Return when a sample of a block was taken, in whole microseconds after the first."""
    return np.asarray(np.rint(index * (1_000_000 / rate_hz)), dtype=np.int64)
