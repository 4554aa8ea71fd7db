"""Which of two models is better: a test that may be looked at as often as one likes, with the asset as its unit."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtr

from lineshaft.errors import InputError

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRule:
    """When two arms are told apart."""

    effect: float  # a difference worth finding, in the metric's unit: the spread of the mixture (tau)
    alpha: float = 0.05
    min_assets: int = 20  # in each arm, with outcomes

    def __post_init__(self) -> None:
        """Refuse a test that would say anything, or nothing.

        Raises
        ------
        InputError
            If the effect is not positive, alpha not between 0 and 1, or an arm may have fewer than two assets.
        """
        if not (0 < self.effect < math.inf and 0 < self.alpha < 1 and self.min_assets >= 2):
            what = f"effect {self.effect}, alpha {self.alpha}, {self.min_assets} assets decide nothing"
            raise InputError(what, fix="give an effect above 0, alpha between 0 and 1, and two assets or more an arm")


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The challenger's mean over assets less the champion's (lower is better), and what may be said of it now.

    `evidence` is the mixture's likelihood ratio against no difference: from 1/alpha on the arms are told apart,
    whenever that is. `low` and `high` bound the difference by resampling assets: for one look, not for many.
    """

    outcome: str  # "challenger", "champion" (the better one), "undecided", "too_few_assets"
    difference: float
    low: float
    high: float
    evidence: float
    champion_assets: int
    challenger_assets: int


def likelihood_ratio(difference: float, variance: float, freedom: float, *, effect: float) -> float:
    """Return the ratio of a mixture of differences (normal, spread `effect`) to none, as an mSPRT has it.

    The variance is estimated from few assets, so the statistic is first made normal by Student's distribution.

    >>> round(likelihood_ratio(0.0, 1.0, 99.0, effect=1.0), 4)
    0.7071
    """
    if not 0 < variance < math.inf:
        return math.nan
    tail = max(float(stdtr(freedom, -abs(difference) / math.sqrt(variance))), 1e-300)
    normal, mixed = float(ndtri(tail)), effect**2 / (variance + effect**2)
    return math.sqrt(1 - mixed) * math.exp(min(normal**2 * mixed / 2, 700.0))


def compare(champion: Floats, challenger: Floats, *, rule: TrialRule, draws: int = 2000, seed: int = 7) -> Comparison:
    """Compare arms by one value an asset, lower being better."""
    counts = (len(champion), len(challenger))
    if min(counts) < rule.min_assets:
        nothing = math.nan
        return Comparison(
            outcome="too_few_assets",
            difference=nothing,
            low=nothing,
            high=nothing,
            evidence=nothing,
            champion_assets=counts[0],
            challenger_assets=counts[1],
        )
    difference = float(challenger.mean() - champion.mean())
    of_arm = [float(arm.var(ddof=1)) / len(arm) for arm in (champion, challenger)]
    variance = sum(of_arm)
    spread = sum(one**2 / (count - 1) for one, count in zip(of_arm, counts, strict=True))
    evidence = likelihood_ratio(difference, variance, variance**2 / spread if spread else 1.0, effect=rule.effect)
    told = evidence >= 1 / rule.alpha
    dice = np.random.default_rng(seed)
    means = [arm[dice.integers(0, len(arm), (draws, len(arm)))].mean(axis=1) for arm in (challenger, champion)]
    low, high = np.quantile(means[0] - means[1], [0.025, 0.975])
    return Comparison(
        outcome=("challenger" if difference < 0 else "champion") if told else "undecided",
        difference=difference,
        low=float(low),
        high=float(high),
        evidence=evidence,
        champion_assets=counts[0],
        challenger_assets=counts[1],
    )
