"""Two samples side by side, feature by feature: what a report of two tables says.

Sensor features change slowly, so a thousand rows of them are worth a few dozen: with the plain row count a
Kolmogorov-Smirnov test calls every healthy hour a drift. Here rows are counted by their autocorrelation time, many
features are tested under one false discovery rate, and an effect has to be large enough to matter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from lineshaft.drift.distances import ks_distance, ks_p, psi, psi_limit
from lineshaft.drift.policy import DriftPolicy
from lineshaft.drift.worth import Floats, effective_size


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
    drifts = one.outcome != "unknown" and q < policy.fdr and one.ks >= policy.min_effect
    return replace(one, q=q, outcome="drift" if drifts else one.outcome)


def _known(sample: Sample, feature: str) -> tuple[Floats, NDArray[np.int64]]:
    """Return a feature's values that are known, with their series."""
    values = sample.values[feature]
    known = np.isfinite(values)
    return values[known], sample.groups[known]
