"""The smallest and the largest sample, exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lineshaft.tiles.algebra import Floats, Samples
from lineshaft.tiles.sums import aligned


@dataclass(frozen=True, slots=True, kw_only=True)
class Extremes:
    """Minimum and maximum of the measured samples; (+inf, -inf) where there are none."""

    key: ClassVar[str] = "extremes"
    version: ClassVar[int] = 1
    fields: ClassVar[tuple[str, ...]] = ("min", "max")

    def prepare(self, samples: Samples) -> Floats:
        """Summarise each block: (n_blocks, 2)."""
        return samples.shared(self.key, lambda: self._prepare(samples)).copy()

    def _prepare(self, samples: Samples) -> Floats:
        out = np.tile(self.empty(), (len(samples.values), 1))
        for part in samples.dense:
            out[part.rows, 0] = part.values.min(axis=1)
            out[part.rows, 1] = part.values.max(axis=1)
        return out + 0.0  # -0.0 and 0.0 are equal but not the same bits: keep one

    def merge(self, left: Floats, right: Floats) -> Floats:
        """Keep the outer ones."""
        left, right = aligned(left, right)
        out = np.empty(left.shape)
        np.minimum(left[..., 0], right[..., 0], out=out[..., 0])
        np.maximum(left[..., 1], right[..., 1], out=out[..., 1])
        return out

    def empty(self) -> Floats:
        """Return no samples."""
        return np.array([np.inf, -np.inf])


def largest_magnitude(extremes: Floats) -> Floats:
    """Return max|x| of (..., 2) extremes: (...,), -inf where there are no samples."""
    return np.maximum(-extremes[..., 0], extremes[..., 1])
