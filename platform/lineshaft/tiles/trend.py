"""The slope of a least-squares line through the samples of a window, over their own times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lineshaft.tiles.algebra import Dense, Floats, Samples
from lineshaft.tiles.sums import aligned, keep_identity


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """Co-moments of time and value: count, origin, mean time, mean value, sum(dt dt), sum(dt dx).

    Times are seconds after `origin_us`, the start of the first part: seconds since 1970 would leave only a quarter of
    a microsecond of resolution, and the slope of a fast block its last seven digits.
    """

    key: ClassVar[str] = "trend"
    version: ClassVar[int] = 1
    fields: ClassVar[tuple[str, ...]] = ("count", "origin_us", "mean_s", "mean", "stt", "stx")

    def prepare(self, samples: Samples) -> Floats:
        """Summarise each block: (n_blocks, 6)."""
        out = np.zeros((len(samples.values), 6))
        for part in samples.dense:
            out[part.rows, 0] = part.values.shape[1]
            out[part.rows, 1] = samples.start_us[part.rows]
            out[part.rows, 2:] = _co_moments(part, rate_hz=samples.rate_hz)
        return out

    def merge(self, left: Floats, right: Floats) -> Floats:
        """Merge by Chan's formula for co-moments, elementwise over leading axes."""
        left, right = aligned(left, right)
        na, nb = left[..., 0], right[..., 0]
        out = np.empty(left.shape)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            n = na + nb
            moved_s = (right[..., 1] - left[..., 1]) / 1e6
            dt = (right[..., 2] - left[..., 2]) + moved_s
            dx = right[..., 3] - left[..., 3]
            share = na * (nb / n)
            out[..., 0] = n
            out[..., 1] = left[..., 1]
            out[..., 2] = left[..., 2] + dt * (nb / n)
            out[..., 3] = left[..., 3] + dx * (nb / n)
            out[..., 4] = left[..., 4] + right[..., 4] + dt * dt * share
            out[..., 5] = left[..., 5] + right[..., 5] + dt * dx * share
        return keep_identity(out, left, right)

    def empty(self) -> Floats:
        """Return no samples."""
        return np.zeros(6)


def _co_moments(part: Dense, *, rate_hz: float) -> Floats:
    """Return mean time (s after the block's start), mean, sum(dt dt), sum(dt dx) of each full row: (m, 4)."""
    n = part.values.shape[1]
    out = np.empty((len(part.values), 4))
    with np.errstate(over="ignore", invalid="ignore"):
        mean_index = np.add.reduce(part.index, axis=1) / n
        dt = (part.index - mean_index[:, None]) / rate_hz
        dx = part.values - part.values[:, :1]  # constants become exact zeros
        mean = np.add.reduce(dx, axis=1) / n
        dx -= mean[:, None]
        out[:, 0] = mean_index / rate_hz
        out[:, 1] = part.values[:, 0] + mean
        out[:, 2] = np.add.reduce(dt * dt, axis=1)
        dx *= dt
        out[:, 3] = np.add.reduce(dx, axis=1)
    return out
