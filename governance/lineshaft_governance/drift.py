"""Drift of inputs: pure numbers. Two-sample tests that know how many independent values they have seen.

Sensor features change slowly, so a thousand rows of them are worth a few dozen: with the plain row count a
Kolmogorov-Smirnov test calls every healthy hour a drift (docs/how-to/watch-drift.md). Here rows are counted by their
autocorrelation time, many features are tested under one false discovery rate, and an effect has to be large enough
to matter before it is reported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from lineshaft.errors import DefinitionError

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftPolicy:
    """When a difference is a drift. `fdr`: share of false alarms among alarms. `min_effect`: least KS distance."""

    fdr: float = 0.01
    min_effect: float = 0.1
    bins: int = 10
    effective: bool = True  # count independent values, not rows
    min_effective: float = 8.0  # fewer independent values than this: unknown

    def __post_init__(self) -> None:
        """Refuse a policy under which nothing, or everything, would be a drift.

        Raises
        ------
        DefinitionError
            If a rate or an effect is no share, or there are fewer than two bins.
        """
        if not (0 < self.fdr < 1 and 0 <= self.min_effect <= 1 and self.bins >= 2 and self.min_effective > 0):
            fix = "write 0 < fdr < 1, 0 <= min_effect <= 1, bins of 2 or more and min_effective above 0"
            raise DefinitionError(f"nothing can be judged by {self}", fix=fix)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureDrift:
    """One feature's two samples compared. `outcome`: "drift", "none" or "unknown" (too few independent values)."""

    feature: str
    outcome: str
    ks: float  # largest distance of the two distribution functions, 0 to 1
    p: float
    q: float  # p after Benjamini-Hochberg over all features
    psi: float
    psi_limit: float  # what PSI stays under by chance, at the policy's rate, for this many independent values
    shift_sd: float  # difference of means in standard deviations of the reference
    reference_rows: int
    current_rows: int
    reference_effective: float
    current_effective: float


def ks_distance(reference: Floats, current: Floats) -> float:
    """Return the two-sample Kolmogorov-Smirnov distance; `reference` is sorted already, once for many checks.

    >>> ks_distance(np.array([1.0, 2.0, 3.0, 4.0]), np.array([3.5, 9.0]))
    0.75
    """
    values = np.concatenate([reference, np.sort(current)])
    below_reference = np.searchsorted(reference, values, side="right") / len(reference)
    below_current = np.searchsorted(np.sort(current), values, side="right") / len(current)
    return float(np.max(np.abs(below_reference - below_current)))


def ks_p(distance: float, reference_size: float, current_size: float) -> float:
    """Return the asymptotic p-value of a KS distance, as `scipy.stats.ks_2samp(method="asymp")` does.

    The sizes may be effective ones, and then are no whole numbers.
    """
    together = reference_size * current_size / (reference_size + current_size)
    return float(np.clip(stats.kstwo.sf(distance, max(1, np.round(together))), 0.0, 1.0))


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


def effective_size(values: Floats, groups: NDArray[np.int64]) -> float:
    """Return how many independent values a set of series is worth: rows over the autocorrelation time.

    values: the series one after another, each in time order; groups: which series each value is of, the same for
    neighbours. Deviations are taken from the mean of all, so a constant offset of one asset counts as correlation: ten
    assets with a level of their own are worth about ten values, however often they are read. The sum of correlations
    stops at the first pair that is not positive (Geyer, "Practical Markov Chain Monte Carlo", 1992, section 3.3).

    >>> independent = np.random.default_rng(1).normal(size=1000)
    >>> 700 < effective_size(independent, np.zeros(1000, np.int64)) <= 1000
    True
    >>> levels = np.repeat([1.0, 2.0, 4.0, 8.0], 50) + 1e-9 * independent[:200]
    >>> 3 < effective_size(levels, np.repeat(np.arange(4), 50)) < 8
    True
    """
    count = len(values)
    deviation = values - values.mean()
    variance = float(deviation @ deviation) / max(count, 1)
    if count < 3 or variance == 0:
        return float(count)
    products, pairs = _lagged(deviation, groups)
    correlation = np.divide(products, pairs, out=np.zeros_like(products), where=pairs > 0) / variance
    time = -1.0
    for lag in range(0, len(correlation) - 1, 2):
        pair = correlation[lag] + correlation[lag + 1]
        if pair <= 0:
            break
        time += 2 * pair
    # Within a series of length L the correlations of all L lags are summed at most, so never less than one a series.
    return float(np.clip(count / max(time, 1.0), min(len(np.unique(groups)), count), count))


def _lagged(deviation: Floats, groups: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Return, per lag, the sum of products within series and how many there are (by FFT, padded against wrapping)."""
    starts = np.flatnonzero(np.diff(groups, prepend=groups[0] - 1))
    series = np.split(deviation, starts[1:])
    longest = max(map(len, series))
    products, pairs = np.zeros(longest), np.zeros(longest)
    for one in series:
        size = 1 << (2 * len(one) - 1).bit_length()
        spectrum = np.fft.rfft(one, size)
        products[: len(one)] += np.fft.irfft(spectrum * spectrum.conj(), size)[: len(one)]
        pairs[: len(one)] += np.arange(len(one), 0, -1)
    return products, pairs


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Values of some features in one order of rows: by series, then by time. NaN where unknown."""

    values: Mapping[str, Floats]
    groups: NDArray[np.int64]


def compare(reference: Sample, current: Sample, features: Sequence[str], policy: DriftPolicy) -> list[FeatureDrift]:
    """Compare features one by one and judge them together, the largest distance first."""
    raw = [_compare_one(name, reference, current, policy) for name in features]
    known = [one for one in raw if one.outcome != "unknown"]
    adjusted = stats.false_discovery_control([one.p for one in known]) if known else np.array([])
    q_of = {one.feature: float(q) for one, q in zip(known, adjusted, strict=True)}
    judged = [_judge(one, q_of.get(one.feature, float("nan")), policy) for one in raw]
    return sorted(judged, key=lambda one: (one.outcome != "drift", -np.nan_to_num(one.ks)))


def _compare_one(feature: str, reference: Sample, current: Sample, policy: DriftPolicy) -> FeatureDrift:
    """Return a feature's figures; the outcome is settled when all p-values are known."""
    (before, before_groups), (now, now_groups) = _known(reference, feature), _known(current, feature)
    sizes = [float(len(before)), float(len(now))]
    if policy.effective:
        sizes = [effective_size(x, g) if len(x) else 0.0 for x, g in ((before, before_groups), (now, now_groups))]
    nan = float("nan")
    figures = {"ks": nan, "p": nan, "psi": nan, "psi_limit": nan, "shift_sd": nan}
    enough = min(sizes) >= policy.min_effective
    if len(before) and len(now):
        ordered = np.sort(before)
        distance, spread = ks_distance(ordered, now), float(before.std())
        figures = {
            "ks": distance,
            "p": ks_p(distance, *sizes),
            "psi": psi(ordered, now, bins=policy.bins),
            "psi_limit": psi_limit(*sizes, bins=policy.bins, rate=policy.fdr),
            "shift_sd": float(now.mean() - before.mean()) / spread if spread else nan,
        }
    return FeatureDrift(
        feature=feature,
        outcome="none" if enough else "unknown",
        q=nan,
        reference_rows=len(before),
        current_rows=len(now),
        reference_effective=sizes[0],
        current_effective=sizes[1],
        **figures,
    )


def _judge(one: FeatureDrift, q: float, policy: DriftPolicy) -> FeatureDrift:
    """Call it a drift when it is both improbable and large enough to matter."""
    fields = {name: getattr(one, name) for name in one.__slots__}
    if one.outcome != "unknown":
        fields["outcome"] = "drift" if q < policy.fdr and one.ks >= policy.min_effect else "none"
    return FeatureDrift(**{**fields, "q": q})


def _known(sample: Sample, feature: str) -> tuple[Floats, NDArray[np.int64]]:
    """Return a feature's values that are known, with their series."""
    values = sample.values[feature]
    known = np.isfinite(values)
    return values[known], sample.groups[known]
