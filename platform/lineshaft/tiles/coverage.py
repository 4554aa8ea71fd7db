"""How much of the time was measured, how many samples are missing or clipped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lineshaft.tiles.algebra import Floats, Samples
from lineshaft.tiles.extremes import Extremes, largest_magnitude
from lineshaft.tiles.sums import add

_ROUNDING = 1.0 - 1e-6
"""A float32 sample of a clipped sensor may lie half a unit in the last place below the full scale it stands for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """Seconds measured, samples sent, samples missing (NaN) and samples clipped (|x| at full scale).

    Where the full scale is unknown no sample counts as clipped. A block of nothing but NaN still counts as sent.
    """

    key: ClassVar[str] = "coverage"
    version: ClassVar[int] = 1
    fields: ClassVar[tuple[str, ...]] = ("measured_s", "samples", "missing", "clipped")

    def prepare(self, samples: Samples) -> Floats:
        """Summarise each block: (n_blocks, 4)."""
        blocks, n = samples.values.shape
        measured = np.zeros(blocks)
        for part in samples.dense:
            measured[part.rows] = part.values.shape[1]
        columns = [measured / samples.rate_hz, np.full(blocks, float(n)), n - measured, _clipped(samples)]
        return np.stack(columns, axis=-1)

    def merge(self, left: Floats, right: Floats) -> Floats:
        """Add."""
        return add(left, right)

    def empty(self) -> Floats:
        """Return no samples."""
        return np.zeros(4)


def _clipped(samples: Samples) -> Floats:
    """Count the samples at full scale of each block; looks only into blocks whose extremes reach it."""
    limit = samples.full_scale * _ROUNDING
    out = np.zeros(len(samples.values))
    rows = np.flatnonzero(largest_magnitude(Extremes().prepare(samples)) >= limit)  # NaN, the unknown, compares false
    reached = np.isfinite(samples.values[rows]) & (np.abs(samples.values[rows]) >= limit[rows, None])
    out[rows] = reached.sum(axis=1)
    return out
