"""Power in a frequency band."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lineshaft.tiles.algebra import Floats, Samples
from lineshaft.tiles.measures import band_text
from lineshaft.tiles.spectrum import NFFT, power_spectrum
from lineshaft.tiles.sums import add


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """Power of [low, high) Hz: sum of block power x samples, and samples, over the blocks that define it.

    A band above a block's Nyquist frequency, or narrower than its bins, is undefined for that block.
    """

    version: ClassVar[int] = 1
    fields: ClassVar[tuple[str, ...]] = ("power", "weight")

    low: float
    high: float
    nfft: int = NFFT

    @property
    def key(self) -> str:
        """Return the aggregator's name with its parameters."""
        return f"band[{self.text}]"

    @property
    def text(self) -> str:
        """Return the parameters as definitions write them."""
        return band_text(self.low, self.high) + ("" if self.nfft == NFFT else f"@{self.nfft}")

    def prepare(self, samples: Samples) -> Floats:
        """Summarise each block: (n_blocks, 2)."""
        out = np.zeros((len(samples.values), 2))
        spectrum = power_spectrum(samples, nfft=self.nfft)
        bins = None if spectrum is None else spectrum.bins(self.low, self.high)
        if spectrum is not None and bins is not None:
            out[spectrum.rows, 0] = np.add.reduce(spectrum.powers[:, bins], axis=1) * spectrum.length
            out[spectrum.rows, 1] = spectrum.length
        return out

    def merge(self, left: Floats, right: Floats) -> Floats:
        """Add."""
        return add(left, right)

    def empty(self) -> Floats:
        """Return no blocks."""
        return np.zeros(2)
