"""The power spectrum of each block, computed once for all functions that read it.

Definition (Welch 1967, scaling as scipy.signal.welch "density" times the bin width): a block of n samples is cut into
segments of `nfft` samples; a block shorter than `nfft` is one segment of its own length. Where n is no multiple of
`nfft` the segments overlap evenly, so that the first starts with the block and the last ends with it. From each segment
its mean is removed, a periodic Hann window applied, and

P[k] = c |rfft(w (x - mean))[k]|^2 / (nfft sum(w^2)),  c = 2, but 1 at 0 Hz and at Nyquist,

averaged over the segments. Hence sum(P) = sum((w (x - mean))^2) / sum(w^2): the variance, in expectation. Only whole
blocks of at least 8 samples have a spectrum. float64 throughout: a float32 transform is good to 1e-7 only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from lineshaft.tiles.algebra import Floats, Samples
from lineshaft.tiles.moments import SLAB

NFFT = 4096
SHORTEST = 8


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Spectrum:
    """Mean-square power per bin: powers (m, bins) of the blocks `rows`, bin k at k x step_hz.

    `length` is what each block weighs in a mean over blocks: its samples.
    """

    rows: slice | NDArray[np.intp]
    powers: Floats
    rate_hz: float
    nfft: int
    length: int

    @property
    def step_hz(self) -> float:
        """Return the distance of two bins."""
        return self.rate_hz / self.nfft

    def bins(self, low: float, high: float) -> slice | None:
        """Return the bins with low <= f < high, so that adjoining bands share none; at Nyquist, f <= high.

        None where the band reaches above Nyquist, or is too narrow to hold a bin.
        """
        nyquist = self.rate_hz / 2
        if high > nyquist * (1 + 1e-12):
            return None
        first = math.ceil(low * self.nfft / self.rate_hz)
        stop = self.powers.shape[1] if high >= nyquist else math.ceil(high * self.nfft / self.rate_hz)
        return slice(first, stop) if first < stop else None


def power_spectrum(samples: Samples, *, nfft: int = NFFT) -> Spectrum | None:
    """Return the power spectrum of the whole blocks of a batch; None where no block has one."""
    return samples.shared(("spectrum", nfft), lambda: _power_spectrum(samples, nfft))


def _power_spectrum(samples: Samples, nfft: int) -> Spectrum | None:
    length = samples.values.shape[1]
    values = samples.values[samples.whole_rows]
    if length < SHORTEST or not len(values):
        return None
    size = min(nfft, length)
    powers = _powers(values, size)
    return Spectrum(rows=samples.whole_rows, powers=powers, rate_hz=samples.rate_hz, nfft=size, length=length)


def segment_starts(length: int, size: int) -> tuple[int, ...]:
    """Return where the segments of a block start.

    >>> segment_starts(4096, 4096), segment_starts(8192, 4096), segment_starts(10000, 4096)
    ((0,), (0, 4096), (0, 2952, 5904))
    """
    count = -(-length // size)
    return tuple(i * (length - size) // (count - 1) for i in range(count)) if count > 1 else (0,)


@lru_cache(maxsize=64)
def _window(size: int) -> tuple[Floats, Floats]:
    """Return the periodic Hann window and the scale of each bin."""
    window = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(size) / size)
    scale = np.full(size // 2 + 1, 2.0 / (size * np.add.reduce(window * window)))
    scale[0] /= 2
    if size % 2 == 0:
        scale[-1] /= 2
    window.setflags(write=False)
    scale.setflags(write=False)
    return window, scale


def _powers(values: Floats, size: int) -> Floats:
    """Return the power per bin of each block: (m, size // 2 + 1), slab by slab to stay in the cache."""
    window, scale = _window(size)
    starts = segment_starts(values.shape[1], size)
    scale = scale / len(starts)
    rows, step = len(values), max(1, 2 * SLAB // size)
    powers = np.zeros((rows, size // 2 + 1))
    buffer = np.empty((min(step, rows), size))
    with np.errstate(over="ignore", invalid="ignore"):
        for first in range(0, rows, step):
            block, out = values[first : first + step], powers[first : first + step]
            work = buffer[: len(block)]
            for start in starts:
                out += squares(_centred(block[:, start : start + size], out=work, window=window))
            out *= scale
    return powers


def _centred(x: Floats, *, out: Floats, window: Floats | None = None) -> Floats:
    """Write rows without their mean, windowed, into `out`; a constant row becomes exact zeros."""
    np.subtract(x, x[:, :1], out=out)
    mean = np.add.reduce(out, axis=1) / x.shape[1]
    np.subtract(out, mean[:, None], out=out)
    return out if window is None else np.multiply(out, window, out=out)


def squares(x: Floats) -> Floats:
    """Return |rfft(x)|^2 of each row, without BLAS: its results depend on how rows are batched."""
    parts = np.fft.rfft(x, axis=1).view(np.float64)
    np.multiply(parts, parts, out=parts)
    return np.add(parts[:, 0::2], parts[:, 1::2])


def transform(samples: Samples) -> NDArray[np.complex128] | None:
    """Return rfft(x - mean) of each whole block, unwindowed and uncut: (m, n // 2 + 1); None where there is none.

    The velocity and the envelope start from it.
    """
    return samples.shared("transform", lambda: _transform(samples))


def _transform(samples: Samples) -> NDArray[np.complex128] | None:
    values = samples.values[samples.whole_rows]
    rows, length = values.shape
    if length < SHORTEST or not rows:
        return None
    out = np.empty((rows, length // 2 + 1), dtype=np.complex128)
    step = max(1, 2 * SLAB // length)
    buffer = np.empty((min(step, rows), length))
    with np.errstate(over="ignore", invalid="ignore"):
        for first in range(0, rows, step):
            x = values[first : first + step]
            out[first : first + step] = np.fft.rfft(_centred(x, out=buffer[: len(x)]), axis=1)
    return out
