"""Experiments: arms by hash, and a test that does not lie however often it is looked at.

`TRIALS=1000 pytest -s` runs the figures of docs/measurements.md; 200 unless said.
"""

from __future__ import annotations

import math
import os
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineshaft.errors import InputError
from lineshaft.outcomes.arms import challenged, place
from lineshaft.outcomes.trials import TrialRule, compare, likelihood_ratio

TRIALS = int(os.environ.get("TRIALS", "200"))  # noqa: TID251  the length of a run is no setting of the product
ASSETS, LOOKS, ROWS = 100, 40, 5
RULE = TrialRule(effect=0.3)
NAMES = [f"machine-{n:03d}" for n in range(ASSETS)]
ALMOST = 3.0 * math.sqrt(0.05 * 0.95 / TRIALS)  # what chance may add to 5 % in this many trials


def losses(dice: np.random.Generator, *, skewed: bool = False, alike: bool = False) -> np.ndarray:
    """Return what each asset lost, asset by look by row: some assets are harder than others, unless all are alike."""
    own = (dice.gamma(1.0, 0.5, ASSETS) if skewed else dice.normal(0.0, 0.5, ASSETS)) * (not alike)
    noise = dice.exponential(1.0, (ASSETS, LOOKS, ROWS)) if skewed else dice.normal(0, 1, (ASSETS, LOOKS, ROWS))
    return own[:, None, None] + noise


def looks(made: np.ndarray, theirs: np.ndarray, rule: TrialRule) -> list[str]:
    """Return what the test says at each of forty looks at what has come in so far."""
    means = np.cumsum(made.mean(axis=2), axis=1) / np.arange(1, LOOKS + 1)
    return [compare(means[~theirs, look], means[theirs, look], rule=rule, draws=2).outcome for look in range(LOOKS)]


def rows_differ(made: np.ndarray, theirs: np.ndarray, *, peeking: bool) -> bool:
    """Tell whether a t-test that takes rows for independent finds a difference, at the end or at any look."""
    for look in range(LOOKS) if peeking else (LOOKS - 1,):
        ours, other = made[~theirs, : look + 1].ravel(), made[theirs, : look + 1].ravel()
        error = math.sqrt(ours.var(ddof=1) / len(ours) + other.var(ddof=1) / len(other))
        if abs(ours.mean() - other.mean()) > 1.96 * error:
            return True
    return False


def share_told(
    *, skewed: bool = False, weight_bp: int = 5_000, gain: float = 0.0, alike: bool = False
) -> dict[str, float]:
    """Return how often each test tells the arms apart, over many fleets; the challenger's assets lose `gain` less."""
    counts = dict.fromkeys(("asset", "rows, one look", "rows, forty looks", "right"), 0)
    for trial in range(TRIALS):
        theirs = challenged(NAMES, salt=f"trial {trial}", weight_bp=weight_bp)
        made = losses(np.random.default_rng([trial, 1]), skewed=skewed, alike=alike) - gain * theirs[:, None, None]
        said = [one for one in looks(made, theirs, RULE) if one in ("champion", "challenger")]
        counts["asset"] += bool(said)
        counts["right"] += said[:1] == ["challenger"]
        counts["rows, one look"] += rows_differ(made, theirs, peeking=False)
        counts["rows, forty looks"] += rows_differ(made, theirs, peeking=True)
    shares = {name: count / TRIALS for name, count in counts.items()}
    print(f"\nskewed {skewed}, share {weight_bp / 10_000:.0%}, gain {gain}, alike {alike}: told apart {shares}")  # noqa: T201
    return shares


@pytest.mark.parametrize(("skewed", "weight_bp"), [(False, 5_000), (True, 5_000), (False, 2_500)])
def test_two_arms_of_one_model_are_seldom_told_apart(skewed: bool, weight_bp: int) -> None:
    """A/A: 5 % at most over forty looks by asset, where rows taken for independent tell one in three apart."""
    found = share_told(skewed=skewed, weight_bp=weight_bp)

    assert found["asset"] <= 0.05 + ALMOST
    assert found["rows, one look"] >= 0.2
    assert found["rows, forty looks"] >= found["rows, one look"]


def test_alike_assets_are_not_told_apart_by_looking_often() -> None:
    """Where assets do not differ rows are independent, and still forty looks betray a test that is meant for one."""
    found = share_told(alike=True)

    assert found["asset"] <= 0.05 + ALMOST
    assert found["rows, one look"] <= 0.05 + ALMOST
    assert found["rows, forty looks"] >= 0.15


def test_a_difference_worth_finding_is_found() -> None:
    """A gain of 0.4, 0.8 of the spread between assets, in most of the fleets; never the wrong way."""
    found = share_told(gain=0.4)

    assert found["asset"] >= 0.8
    assert found["asset"] - found["right"] <= 0.02


@given(st.text(max_size=8), st.text(max_size=8))
def test_a_place_is_always_the_same(salt: str, asset: str) -> None:
    """Within the whole, and in the arm of a larger share once it was in that of a smaller one."""
    at = place(salt, asset)

    assert 0 <= at < 10_000
    assert challenged([asset], salt=salt, weight_bp=at + 1).all()
    assert not challenged([asset], salt=salt, weight_bp=at).any()


def test_arms_have_their_share_and_salts_are_independent() -> None:
    """Of 20,000 assets a quarter, and of those a quarter again by another salt."""
    names = [f"asset-{n}" for n in range(20_000)]
    spring, autumn = (challenged(names, salt=salt, weight_bp=2_500) for salt in ("spring", "autumn"))

    assert abs(spring.mean() - 0.25) < 0.01
    assert abs(autumn[spring].mean() - 0.25) < 0.02


def test_the_ratio_is_the_mixtures() -> None:
    """With variance known, the closed form is the average of likelihood ratios over the mixture."""
    grid = np.linspace(-8, 8, 20_001)
    weight = np.exp(-(grid**2) / (2 * 0.3**2)) / (0.3 * math.sqrt(2 * math.pi))
    ratios = np.exp((0.5 * grid - grid**2 / 2) / 0.04)

    closed = likelihood_ratio(0.5, 0.04, 1e9, effect=0.3)

    assert closed == pytest.approx(float(np.sum(weight * ratios) * (grid[1] - grid[0])), rel=1e-4)


def test_few_assets_decide_nothing() -> None:
    """Fewer than the rule wants in either arm: no verdict and no figures."""
    few, many = np.zeros(19), np.arange(40.0)

    assert compare(few, many, rule=RULE).outcome == "too_few_assets"
    assert math.isnan(compare(many, few, rule=RULE).difference)


def test_a_clear_difference_is_told_with_its_interval() -> None:
    """The better arm, a difference within its interval, and evidence above 1/alpha; alike arms are undecided."""
    dice = np.random.default_rng(1)
    champion, challenger = dice.normal(1, 0.1, 50), dice.normal(0.5, 0.1, 50)

    better, worse = compare(champion, challenger, rule=RULE), compare(challenger, champion, rule=RULE)
    alike = compare(champion, champion, rule=RULE)

    assert (better.outcome, worse.outcome, alike.outcome) == ("challenger", "champion", "undecided")
    assert better.low < better.difference < better.high < 0
    assert better.evidence > 20
    assert alike.evidence < 1


def test_assets_that_are_all_the_same_prove_nothing() -> None:
    """Without any spread there is no scale to hold a difference against."""
    found = compare(np.zeros(30), np.ones(30), rule=RULE)

    assert found.outcome == "undecided"
    assert math.isnan(found.evidence)


@pytest.mark.parametrize("change", [{"effect": 0.0}, {"alpha": 1.0}, {"min_assets": 1}])
def test_a_rule_that_decides_nothing_is_refused(change: dict[str, float]) -> None:
    """No effect, no error, no assets."""
    with pytest.raises(InputError, match="decide nothing"):
        replace(RULE, **change)  # type: ignore[arg-type]
