"""Distances of two samples, and how probable they are by chance."""

from __future__ import annotations

import numpy as np
from scipy import stats

from lineshaft.drift.worth import Floats


def ks_distance(reference: Floats, current: Floats) -> float:
    """Return the two-sample Kolmogorov-Smirnov distance; `reference` is sorted already, once for many checks.

    Between two current values only the reference rises, so the widest gap stands at one of them, or just before it.

    >>> ks_distance(np.array([1.0, 2.0, 3.0, 4.0]), np.array([3.5, 9.0]))
    0.75
    """
    ordered = np.sort(current)
    count, places = len(ordered), np.arange(1, len(ordered) + 1)
    upto = np.searchsorted(reference, ordered, side="right") / len(reference)
    before = np.searchsorted(reference, ordered, side="left") / len(reference)
    last = np.append(ordered[1:] != ordered[:-1], True)  # of equal values the last has all of them at or below it
    first = np.append(True, last[:-1])
    above = np.abs(upto[last] - places[last] / count)
    below = np.abs(before[first] - (places[first] - 1) / count)
    return float(max(above.max(), below.max()))


def ks_p(distance: float, reference_size: float, current_size: float) -> float:
    """Return the asymptotic p-value of a KS distance, as `scipy.stats.ks_2samp(method="asymp")` does.

    The sizes may be effective ones, and then are no whole numbers.
    """
    together = reference_size * current_size / (reference_size + current_size)
    return float(np.clip(stats.kstwo.sf(distance, max(1, np.round(together))), 0.0, 1.0))


def ks_p_of_rows(reference: Floats, current: Floats) -> float:
    """Return the p-value of a KS test in which each row counts: exact up to 10,000 rows a side, asymptotic from there.

    That is SciPy's own choice, and Evidently's by it.
    """
    return float(stats.ks_2samp(reference, current).pvalue)


def psi(reference: Floats, current: Floats, *, bins: int) -> float:
    """Return the population stability index over quantile bins of the sorted reference.

    Half a row stands in for an empty bin, so that the index stays finite. Ties may leave fewer bins.
    """
    edges = np.unique(np.quantile(reference, np.linspace(0, 1, bins + 1)[1:-1]))
    shares = []
    for values in (reference, current):
        counts = np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1)
        filled = np.maximum(counts, 0.5)
        shares.append(filled / filled.sum())
    return float(np.sum((shares[1] - shares[0]) * np.log(shares[1] / shares[0])))


def psi_limit(reference_size: float, current_size: float, *, bins: int, rate: float) -> float:
    """Return what PSI exceeds by chance at a rate: (1/n + 1/m) times the chi-squared quantile with bins - 1 degrees."""
    return float((1 / reference_size + 1 / current_size) * stats.chi2.ppf(1 - rate, bins - 1))


def psi_p(index: float, reference_size: float, current_size: float, *, bins: int) -> float:
    """Return how probable an index as large is by chance: the other way round of `psi_limit`."""
    return float(stats.chi2.sf(index / (1 / reference_size + 1 / current_size), bins - 1))
