"""Energies of a wavelet packet decomposition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pywt

from lineshaft.tiles.algebra import Floats, Samples
from lineshaft.tiles.sums import add

_WAVELET = "db4"
_LEVEL = 3
_FREQUENCY_ORDER = (0, 1, 3, 2, 6, 7, 5, 4)
"""Gray code: the high-pass branch turns the spectrum round, so natural order is not order of frequency."""

NODES = ("aaa", "aad", "add", "ada", "dda", "ddd", "dad", "daa")
"""The eight packets from low to high frequency, as paths of approximation and detail."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveletPackets:
    """Sum of squared coefficients of each packet: db4, level 3, periodization, in order of frequency.

    Energy is conserved, sum of packets = sum(x^2), for blocks whose length is a multiple of 8; PyWavelets extends
    others by a sample per level. Defined for whole blocks of at least 8 samples. PyWavelets' default mode, `symmetric`,
    would not conserve it.
    """

    key: ClassVar[str] = "wavelet_packets"
    version: ClassVar[int] = 1
    fields: ClassVar[tuple[str, ...]] = ("samples", *NODES)

    def prepare(self, samples: Samples) -> Floats:
        """Summarise each block: (n_blocks, 9)."""
        out = np.zeros((len(samples.values), 9))
        values = samples.values[samples.whole_rows]
        if not len(values) or values.shape[1] < 2**_LEVEL:
            return out
        nodes = [np.ascontiguousarray(values)]
        for _ in range(_LEVEL):
            nodes = [part for node in nodes for part in pywt.dwt(node, _WAVELET, mode="periodization", axis=1)]
        out[samples.whole_rows, 0] = values.shape[1]
        with np.errstate(over="ignore"):
            for column, natural in enumerate(_FREQUENCY_ORDER, start=1):
                node = nodes[natural]
                out[samples.whole_rows, column] = np.add.reduce(node * node, axis=1)
        return out

    def merge(self, left: Floats, right: Floats) -> Floats:
        """Add."""
        return add(left, right)

    def empty(self) -> Floats:
        """Return no blocks."""
        return np.zeros(9)
