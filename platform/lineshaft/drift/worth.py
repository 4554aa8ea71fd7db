"""What rows are worth: how many independent values a set of series holds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def effective_size(values: Floats, groups: Ints) -> float:
    """Return how many independent values a set of series is worth: rows over the autocorrelation time.

    values: the series one after another, each in time order; groups: which series each value is of, the same for
    neighbours. Deviations are taken from the mean of all, so a constant offset of one asset counts as correlation: ten
    assets with a level of their own are worth about ten values, however often they are read.

    >>> independent = np.random.default_rng(1).normal(size=1000)
    >>> 700 < effective_size(independent, np.zeros(1000, np.int64)) <= 1000
    True
    >>> levels = np.repeat([1.0, 2.0, 4.0, 8.0], 50) + 1e-9 * independent[:200]
    >>> 3 < effective_size(levels, np.repeat(np.arange(4), 50)) < 8
    True
    """
    return float(effective_sizes(values[:, None], groups)[0])


def effective_sizes(values: Floats, groups: Ints) -> Floats:
    """Return the same for each column of a matrix; what is not known (NaN) is worth nothing."""
    count = np.isfinite(values).sum(axis=0).astype(np.float64)
    # Within a series of length L the correlations of all L lags are summed at most, so never less than one a series.
    least = np.minimum(len(np.unique(groups)), count)
    sizes: Floats = np.clip(count / autocorrelation_times(values, groups), least, count)
    return sizes


def autocorrelation_times(values: Floats, groups: Ints) -> Floats:
    """Return for each column how many rows are worth one independent value, at least 1.

    The sum of correlations stops at the first pair that is not positive (Geyer, "Practical Markov Chain Monte Carlo",
    1992, section 3.3).
    """
    known = np.isfinite(values)
    count = known.sum(axis=0)
    mean = np.where(known, values, 0.0).sum(axis=0) / np.maximum(count, 1)
    deviation = np.where(known, values - mean, 0.0)
    variance = (deviation**2).sum(axis=0) / np.maximum(count, 1)
    moving = (count >= 3) & (variance > (1e-12 * mean) ** 2)
    if not moving.any():
        return np.ones(values.shape[1])
    # Over all rows, not over the pairs of a lag: the variance of a mean weighs a lag by how many pairs it has.
    correlation = _lagged(deviation, groups) / (np.maximum(count, 1) * np.where(moving, variance, 1.0))
    even = len(correlation) // 2 * 2
    sums = correlation[0:even:2] + correlation[1:even:2]
    going = np.logical_and.accumulate(sums > 0, axis=0)
    times: Floats = 2 * np.where(going, sums, 0.0).sum(axis=0) - 1
    return np.where(moving, np.maximum(times, 1.0), 1.0)


def _lagged(deviation: Floats, groups: Ints) -> Floats:
    """Return, per lag, the sums of products within series (by FFT, padded against wrapping)."""
    starts = np.flatnonzero(np.diff(groups, prepend=groups[0] - 1))[1:]
    series = np.split(deviation, starts)
    products = np.zeros((max(map(len, series)), deviation.shape[1]))
    for one in series:
        products[: len(one)] += _correlated(one)
    return products


def _correlated(one: Floats) -> Floats:
    """Return the sums of products of a series with itself, by lag."""
    size = 1 << (2 * len(one) - 1).bit_length()
    spectrum = np.fft.rfft(one, size, axis=0)
    found: Floats = np.fft.irfft(spectrum * spectrum.conj(), size, axis=0)[: len(one)]
    return found
