"""The centre of gravity of the power spectrum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lineshaft.tiles.algebra import Floats, Samples
from lineshaft.tiles.spectrum import power_spectrum
from lineshaft.tiles.sums import add


@dataclass(frozen=True, slots=True, kw_only=True)
class Centroid:
    """Sum of f P and sum of P over all bins above 0 Hz, each block weighed by its samples."""

    key: ClassVar[str] = "centroid"
    version: ClassVar[int] = 1
    fields: ClassVar[tuple[str, ...]] = ("frequency_power", "power")

    def prepare(self, samples: Samples) -> Floats:
        """Summarise each block: (n_blocks, 2)."""
        out = np.zeros((len(samples.values), 2))
        spectrum = power_spectrum(samples)
        if spectrum is not None:
            powers = spectrum.powers[:, 1:]
            frequencies = np.arange(1, powers.shape[1] + 1) * spectrum.step_hz
            out[spectrum.rows, 0] = np.add.reduce(powers * frequencies, axis=1) * spectrum.length
            out[spectrum.rows, 1] = np.add.reduce(powers, axis=1) * spectrum.length
        return out

    def merge(self, left: Floats, right: Floats) -> Floats:
        """Add."""
        return add(left, right)

    def empty(self) -> Floats:
        """Return no blocks."""
        return np.zeros(2)
