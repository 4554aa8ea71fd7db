"""The strongest lines of the spectrum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lineshaft.tiles.algebra import Floats, Samples
from lineshaft.tiles.spectrum import Spectrum, power_spectrum
from lineshaft.tiles.sums import aligned

_CELL = 4
"""Bins per cell: as wide as the main lobe of a Hann window, so that one line is found once."""

_NOTHING = (0.0, 0.0, -1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Peaks:
    """The `count` strongest spectral lines, strongest first: amplitude, frequency, cell (lower edge in Hz).

    A line is a local maximum of a block's power spectrum. Its amplitude is sqrt(2 (P[k-1] + P[k] + P[k+1])), exact for
    a sine in the middle of a bin and within 2 % elsewhere; its frequency is the centre of gravity of these three bins.
    Of each cell of 4 bins only the strongest line counts, in a block and over all blocks of a window. So the strongest
    lines of a window are those of its parts, whatever the parts.
    """

    version: ClassVar[int] = 1

    count: int = 3

    @property
    def key(self) -> str:
        """Return the aggregator's name with its parameters."""
        return f"peaks[{self.count}]"

    @property
    def fields(self) -> tuple[str, ...]:
        """Return amplitude, frequency and cell of each line."""
        return tuple(f"{what}_{i + 1}" for i in range(self.count) for what in ("amplitude", "hz", "cell_hz"))

    def prepare(self, samples: Samples) -> Floats:
        """Summarise each block: (n_blocks, 3 x count)."""
        out = np.tile(self.empty(), (len(samples.values), 1))
        spectrum = power_spectrum(samples)
        if spectrum is not None:
            out[spectrum.rows] = _strongest(spectrum, self.count)
        return out

    def merge(self, left: Floats, right: Floats) -> Floats:
        """Keep the strongest line of each cell, then the strongest cells; between equals the earlier part's."""
        left, right = aligned(left, right)
        shape = left.shape[:-1]
        a = left.reshape(*shape, self.count, 3)
        b = right.reshape(*shape, self.count, 3)
        same = (a[..., :, None, 2] == b[..., None, :, 2]) & (a[..., :, None, 2] >= 0)
        stronger = b[..., None, :, 0] > a[..., :, None, 0]
        a = np.where((same & stronger).any(axis=-1)[..., None], _NOTHING, a)
        b = np.where((same & ~stronger).any(axis=-2)[..., None], _NOTHING, b)
        both = np.concatenate([a, b], axis=-2)
        order = np.argsort(-both[..., 0], axis=-1, kind="stable")[..., : self.count, None]
        return np.take_along_axis(both, order, axis=-2).reshape(*shape, 3 * self.count)

    def empty(self) -> Floats:
        """Return no lines."""
        return np.tile(_NOTHING, self.count)


def _strongest(spectrum: Spectrum, count: int) -> Floats:
    """Return the strongest lines of each block: (m, 3 x count)."""
    powers = spectrum.powers
    rows, bins = powers.shape
    below, centre, above = powers[:, :-2], powers[:, 1:-1], powers[:, 2:]
    cells = -(-bins // _CELL)
    energy = np.zeros((rows, cells * _CELL))
    line = (centre > below) & (centre >= above)
    with np.errstate(over="ignore", invalid="ignore"):
        np.multiply((below + centre) + above, line, out=energy[:, 1 : bins - 1])
    best = np.maximum(np.maximum(energy[:, 0::4], energy[:, 1::4]), np.maximum(energy[:, 2::4], energy[:, 3::4]))
    every = np.arange(rows)
    out = np.tile(_NOTHING, (rows, count)).reshape(rows, count, 3)
    for i in range(count):
        cell = best.argmax(axis=1)
        strength = best[every, cell]
        k = cell * _CELL + energy.reshape(rows, cells, _CELL)[every, cell].argmax(axis=1)
        best[every, cell] = 0.0
        found = (strength > 0) & np.isfinite(strength)
        k = np.clip(k, 1, bins - 2)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            centre_of_gravity = k + (powers[every, k + 1] - powers[every, k - 1]) / strength
        columns = (np.sqrt(2.0 * strength), centre_of_gravity * spectrum.step_hz, cell * (_CELL * spectrum.step_hz))
        out[:, i] = np.where(found[:, None], np.stack(columns, axis=-1), _NOTHING)
    return out.reshape(rows, 3 * count)
