"""Vibration velocity by integrating acceleration in the frequency domain."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lineshaft.tiles.algebra import Floats, Samples
from lineshaft.tiles.measures import band_text
from lineshaft.tiles.spectrum import transform
from lineshaft.tiles.sums import add


@dataclass(frozen=True, slots=True, kw_only=True)
class SquaredVelocity:
    """Mean square of V = A/(i 2 pi f) over low <= f <= high: sum of block value x samples, and samples.

    The whole block is transformed, mean removed, no window; outside the band V is zero (a brick wall, where the filter
    of ISO 2954 has slopes). Undefined for a block shorter than one period of `low`, or with `high` above Nyquist. Below
    one second the ends of a block that do not meet add to the low frequencies: use blocks of a second or more.
    """

    version: ClassVar[int] = 1
    fields: ClassVar[tuple[str, ...]] = ("mean_square", "weight")

    low: float = 10.0
    high: float = 1000.0

    @property
    def key(self) -> str:
        """Return the aggregator's name with its parameters."""
        return f"squared_velocity[{band_text(self.low, self.high)}]"

    def prepare(self, samples: Samples) -> Floats:
        """Summarise each block: (n_blocks, 2), in (channel unit x s)^2."""
        out = np.zeros((len(samples.values), 2))
        spectrum, length, rate = transform(samples), samples.values.shape[1], samples.rate_hz
        if spectrum is None or self.high > rate / 2 * (1 + 1e-12) or rate / length > self.low * (1 + 1e-12):
            return out
        first = max(1, math.ceil(self.low * length / rate))
        last = math.floor(self.high * length / rate)
        band = spectrum[:, first : last + 1]
        weights = _weights(first=first, last=last, length=length, rate_hz=rate)
        with np.errstate(over="ignore"):
            squares = band.real * band.real + band.imag * band.imag
            out[samples.whole_rows, 0] = np.add.reduce(squares * weights, axis=1) * length
        out[samples.whole_rows, 1] = length
        return out

    def merge(self, left: Floats, right: Floats) -> Floats:
        """Add."""
        return add(left, right)

    def empty(self) -> Floats:
        """Return no blocks."""
        return np.zeros(2)


def _weights(*, first: int, last: int, length: int, rate_hz: float) -> Floats:
    """Return, per bin, what turns |rfft|^2 of an acceleration into the mean square of its velocity."""
    k = np.arange(first, last + 1)
    omega = 2.0 * np.pi * k * (rate_hz / length)
    return np.where(2 * k == length, 1.0, 2.0) / (float(length) * length * omega * omega)
