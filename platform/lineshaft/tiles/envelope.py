"""Envelope analysis: the lines that bearing defects leave in the amplitude of a high-frequency band.

A defect strikes once per pass; each stroke rings a resonance. Band-pass around it, take the envelope, and the rate of
strokes stands in its spectrum (Randall & Antoni 2011, MSSP 25(2), 485-520; MATLAB `envspectrum`). Definition:
Butterworth band-pass of order 4 run forwards and backwards (gain |H|^2, no phase), envelope |x + i hilbert(x)|, its
mean removed, amplitude spectrum 2/N |rfft|, no window; amplitudes of the envelope, not of its square. The filter works
on the block's transform, so a block is taken as periodic; scipy's sosfiltfilt extends it by odd reflection instead,
which differs in the first and last milliseconds only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from lineshaft.tiles.algebra import Floats, Samples
from lineshaft.tiles.measures import band_text
from lineshaft.tiles.moments import SLAB
from lineshaft.tiles.spectrum import transform
from lineshaft.tiles.sums import aligned, weighted

LINES = ("bpfo", "bpfi", "bsf", "2bsf", "ftf", "1x")
"""The lines looked at: the bearing's defect frequencies, twice the spin (both races are struck), the shaft itself."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EnvelopeSpectra:
    """Amplitudes (blocks x bins, bin k at k x step_hz) and where the LINES of each block lie, NaN where unknown."""

    amplitudes: Floats
    step_hz: float
    lines_hz: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """Amplitudes of the envelope spectrum at bearing lines, its background and its strongest peak.

    low = high = 0 means the full band. Amplitudes are sums of block value x samples, with the samples of the blocks
    that define them: a line needs shaft speed and bearing. A line is the largest bin within +- `tolerance` of its
    frequency (elements slip by 1-2 %), at least the nearest bin. The background is the median of the bins between
    `around_low` and `around_high`, the peak the largest of them in the block where it is strongest. A band that reaches
    Nyquist is undefined.
    """

    version: ClassVar[int] = 1
    fields: ClassVar[tuple[str, ...]] = (
        *("peak", "peak_hz", "background", "background_weight"),
        *(text for line in LINES for text in (line, f"{line}_weight")),
    )

    low: float = 2000.0
    high: float = 5000.0
    tolerance: float = 0.02
    around_low: float = 5.0
    around_high: float = 500.0

    @property
    def key(self) -> str:
        """Return the aggregator's name with its parameters."""
        return f"envelope[{self.band}~{self.tolerance * 100:.12g}%/{self.around}]"

    @property
    def around(self) -> str:
        """Return where background and peak are taken, as definitions write it."""
        return band_text(self.around_low, self.around_high)

    @property
    def band(self) -> str:
        """Return the band as definitions write it."""
        return band_text(self.low, self.high) if self.high else "full"

    def prepare(self, samples: Samples) -> Floats:
        """Summarise each block: (n_blocks, 16)."""
        out = np.zeros((len(samples.values), len(self.fields)))
        found = self.spectra(samples)
        if found is not None:
            with np.errstate(over="ignore", invalid="ignore"):
                length = samples.values.shape[1]
                out[samples.whole_rows] = self._summary(found.amplitudes, found.lines_hz, found.step_hz, length)
        return out

    def spectra(self, samples: Samples) -> EnvelopeSpectra | None:
        """Return the envelope spectra of the whole blocks; None where the band reaches Nyquist or no block is whole."""
        spectra = transform(samples)
        if spectra is None or self.high >= samples.rate_hz / 2:
            return None
        rows, length = samples.whole_rows, samples.values.shape[1]
        shaft, orders = samples.shaft_hz[rows], samples.orders[rows]
        lines_hz = np.column_stack([orders[:, 0], orders[:, 1], orders[:, 2], 2 * orders[:, 2], orders[:, 3]])
        lines_hz = np.column_stack([lines_hz * shaft[:, None], shaft])
        gain = _gain(length, samples.rate_hz, self.low, self.high)
        step_hz = samples.rate_hz / length
        looked_at = max(self.around_high, float(np.nanmax(lines_hz, initial=0.0)) * (1 + self.tolerance))
        stop = min(length // 2, math.ceil(looked_at / step_hz) + 1) + 1
        with np.errstate(over="ignore", invalid="ignore"):
            amplitudes = _envelope_spectra(spectra, gain, length=length, stop=stop)
        return EnvelopeSpectra(amplitudes=amplitudes, step_hz=step_hz, lines_hz=lines_hz)

    def _summary(self, amplitudes: Floats, lines_hz: Floats, step_hz: float, length: int) -> Floats:
        """Return the numbers of blocks from the bins looked at of their envelope spectra: (m, 16)."""
        first = math.ceil(self.around_low / step_hz)
        window = amplitudes[:, first : math.floor(self.around_high / step_hz) + 1]
        values = np.full((len(amplitudes), 1 + len(LINES)), np.nan)
        out = np.zeros((len(amplitudes), len(self.fields)))
        if window.shape[1]:
            values[:, 0] = np.median(window, axis=1)
            strongest = window.argmax(axis=1)
            out[:, 0] = window[np.arange(len(window)), strongest]
            out[:, 1] = np.where(out[:, 0] > 0, (first + strongest) * step_hz, 0.0)
        for i in range(len(LINES)):
            bins = lines_hz[:, i] / step_hz
            bins[bins * (1 + self.tolerance) > length // 2] = np.nan
            values[:, 1 + i] = _largest_near(amplitudes, bins, self.tolerance)
        out[:, 2:] = weighted(values, np.full((len(values), 1), float(length)))
        return out

    def merge(self, left: Floats, right: Floats) -> Floats:
        """Add the weighted amplitudes; keep the stronger peak, between equals the earlier."""
        left, right = aligned(left, right)
        peak = np.where(right[..., :1] > left[..., :1], right[..., :2], left[..., :2])
        with np.errstate(over="ignore", invalid="ignore"):
            return np.concatenate([peak, left[..., 2:] + right[..., 2:]], axis=-1)

    def empty(self) -> Floats:
        """Return no blocks."""
        return np.zeros(len(self.fields))


@lru_cache(maxsize=64)
def _gain(length: int, rate_hz: float, low: float, high: float) -> Floats:
    """Return 2 |H|^2 per bin: the band-pass run both ways, doubled for the analytic signal; bin 0 is not used.

    |H|^2 = 1/(1 + ((w^2 - w1 w2)/(w (w2 - w1)))^(2 x order)), w = tan(pi f/rate): the digital Butterworth of the
    bilinear transform (scipy.signal.butter).
    """
    k = np.arange(length // 2 + 1)
    gain = np.full(len(k), 2.0)
    gain[0] = 0.0
    if length % 2 == 0:
        gain[-1] = 1.0
    if high:
        w1, w2 = (math.tan(math.pi * f / rate_hz) for f in (low, high))
        inner = slice(1, (length + 1) // 2)
        w = np.tan(np.pi * k[inner] / length)
        ratio = (w * w - w1 * w2) / (w * (w2 - w1))
        square = ratio * ratio
        fourth = square * square
        gain[inner] /= 1.0 + fourth * fourth
        if length % 2 == 0:
            gain[-1] = 0.0
    gain.setflags(write=False)
    return gain


def _envelope_spectra(spectra: NDArray[np.complex128], gain: Floats, *, length: int, stop: int) -> Floats:
    """Return 2/N |rfft(envelope - mean)| of each block, up to the last bin anyone looks at: (m, stop)."""
    rows, step = len(spectra), max(1, SLAB // length)
    out = np.empty((rows, stop))
    pairs = np.repeat(gain, 2)  # real and imaginary parts side by side: no complex product
    buffer = np.zeros((min(step, rows), 2 * length))  # the negative frequencies stay zero
    for first in range(0, rows, step):
        chunk = spectra[first : first + step]
        analytic = buffer[: len(chunk)]
        np.multiply(chunk.view(np.float64), pairs, out=analytic[:, : len(pairs)])
        wave = np.fft.ifft(analytic.view(np.complex128), axis=1).view(np.float64)
        np.multiply(wave, wave, out=wave)
        envelope = np.sqrt(np.add(wave[:, 0::2], wave[:, 1::2]))
        envelope -= (np.add.reduce(envelope, axis=1) / length)[:, None]
        parts = np.fft.rfft(envelope, axis=1)[:, :stop]
        out[first : first + step] = np.sqrt(parts.real * parts.real + parts.imag * parts.imag) * (2.0 / length)
    return out


def _largest_near(amplitudes: Floats, bins: Floats, tolerance: float) -> Floats:
    """Return the largest amplitude within +- tolerance of fractional bin numbers (m,): (m,), NaN where undefined."""
    defined = bins > 0
    bins = np.where(defined, bins, 1.0)
    nearest = np.rint(bins).astype(np.int64)
    first = np.minimum(np.ceil(bins * (1 - tolerance)).astype(np.int64), nearest)
    last = np.maximum(np.floor(bins * (1 + tolerance)).astype(np.int64), nearest)
    largest = np.zeros(len(amplitudes))
    every = np.arange(len(amplitudes))
    for offset in range(int((last - first).max(initial=-1)) + 1):
        largest = np.maximum(largest, amplitudes[every, np.minimum(first + offset, last)])
    return np.where(defined, largest, np.nan)
