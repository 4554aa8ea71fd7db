"""Drift figures are scipy's where rows are independent, and stay quiet where they are not."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from scipy import stats

from lineshaft.drift.distances import ks_distance, ks_p, psi, psi_limit
from lineshaft.drift.policy import DriftPolicy
from lineshaft.drift.worth import effective_size
from lineshaft.errors import InputError
from lineshaft_governance.drift.check import DriftCheck, Window, check_drift

PLAIN = DriftPolicy(effective=False)


def series(count: int, *, phi: float, seed: int) -> NDArray[np.float64]:
    """Return a stationary AR(1) series of unit innovations."""
    generator = np.random.default_rng(seed)
    steps = generator.normal(size=count)
    values = np.empty(count)
    values[0] = steps[0] / np.sqrt(1 - phi**2)
    for i in range(1, count):
        values[i] = phi * values[i - 1] + steps[i]
    return values


def one_series(**values: NDArray[np.float64]) -> Window:
    """Return features of a single asset, a row a minute."""
    count = len(next(iter(values.values())))
    times = pa.array(np.arange(count) * 60_000_000).cast(pa.timestamp("us", tz="UTC"))
    return Window(table=pa.table({"asset_id": ["a"] * count, "event_time": times, **values}))


def compared(reference: Window, current: Window, features: list[str], policy: DriftPolicy) -> DriftCheck:
    """Return a check of these features, in windows of an hour."""
    return check_drift("m", reference, current, features=features, policy=policy, at_us=0)


@pytest.mark.parametrize("seed", range(10))
def test_without_the_correction_figures_are_scipys(seed: int) -> None:
    """Distance and p-value equal `scipy.stats.ks_2samp` to 1e-12, ties included, few rows or many."""
    generator = np.random.default_rng(seed)
    reference = np.round(generator.normal(size=int(generator.integers(200, 3000))), 1)
    current = np.round(generator.normal(0.02 * seed, size=int(generator.integers(50, 900))), 1)

    (found,) = compared(one_series(a=reference), one_series(a=current), ["a"], PLAIN).features

    expected = stats.ks_2samp(current, reference)
    assert found["ks"] == pytest.approx(expected.statistic, abs=1e-12)
    assert found["ks_p"] == pytest.approx(expected.pvalue, abs=1e-12)
    assert found["ks_p"] != pytest.approx(stats.ks_2samp(current, reference, method="asymp").pvalue, rel=1e-9)


def test_autocorrelated_rows_without_change_do_not_alarm() -> None:
    """At rho = 0.95 the plain test calls nearly every window a drift; counted by what it is worth, nearly none is."""
    features, hour = [f"f{i}" for i in range(10)], DriftPolicy(window_us=500 * 60_000_000)
    reference = one_series(**{name: series(4000, phi=0.95, seed=i) for i, name in enumerate(features)})
    alarms = {"plain": 0, "effective": 0}
    for check in range(10):
        current = one_series(**{n: series(1000, phi=0.95, seed=1000 + 50 * check + i) for i, n in enumerate(features)})
        for name, policy in (("plain", PLAIN), ("effective", hour)):
            alarms[name] += compared(reference, current, features, policy).outcome == "drift"

    assert alarms["plain"] >= 9
    assert alarms["effective"] <= 1


def test_a_shift_is_found_and_named() -> None:
    """One feature of ten moved by two standard deviations: it comes first, and alone."""
    features = [f"f{i}" for i in range(10)]
    reference = one_series(**{name: series(4000, phi=0.5, seed=i) for i, name in enumerate(features)})
    moved = {name: series(600, phi=0.5, seed=100 + i) for i, name in enumerate(features)}
    moved["f7"] += 2 * series(4000, phi=0.5, seed=7).std()

    found = compared(reference, one_series(**moved), features, DriftPolicy(window_us=500 * 60_000_000))

    first = found.features[0]
    assert found.drifted == ("f7",)
    assert first["shift_sd"] == pytest.approx(2, abs=0.3)
    assert first["psi"] > first["psi_limit"]


@pytest.mark.parametrize("phi", [0.0, 0.5, 0.9])
def test_effective_size_is_that_of_the_theory(phi: float) -> None:
    """A count n of AR(1) values is worth n (1 - phi) / (1 + phi)."""
    sizes = [effective_size(series(20_000, phi=phi, seed=seed), np.zeros(20_000, np.int64)) for seed in range(3)]

    assert np.mean(sizes) == pytest.approx(20_000 * (1 - phi) / (1 + phi), rel=0.2)


def test_a_fleet_is_worth_its_assets() -> None:
    """A hundred readings of each of ten assets at levels of their own are worth about ten values."""
    levels = np.random.default_rng(4).normal(size=10)
    values = np.repeat(levels, 100) + 0.01 * np.random.default_rng(5).normal(size=1000)

    assert 8 < effective_size(values, np.repeat(np.arange(10), 100)) < 25


def test_stability_index_stays_under_its_limit_by_chance() -> None:
    """Without change PSI passes its limit about as rarely as the policy says, at every sample size."""
    generator = np.random.default_rng(6)
    reference = np.sort(generator.normal(size=20_000))
    for size in (100, 1000):
        limit = psi_limit(20_000, size, bins=10, rate=0.05)
        over = sum(psi(reference, generator.normal(size=size), bins=10) > limit for _ in range(200))
        assert over <= 25


def test_what_says_nothing_any_more_is_missing() -> None:
    """A feature that is null in all rows drifts, as no distance could tell."""
    reference = one_series(a=np.arange(100.0), b=np.arange(100.0))
    current = one_series(a=np.full(100, np.nan), b=np.arange(100.0))

    found = {one["feature"]: one for one in compared(reference, current, ["a", "b"], PLAIN).features}

    assert (found["a"]["outcome"], found["b"]["outcome"]) == ("drift", "none")
    assert [one["method"] for one in found["a"]["findings"]] == ["missing"]
    assert (found["a"]["current_rows"], found["b"]["ks"]) == (0, 0.0)


def test_p_values_are_probabilities() -> None:
    """Whatever the sizes, p lies within [0, 1]."""
    for size in (1.0, 2.5, 1e6):
        assert 0 <= ks_p(0.3, size, 10) <= 1
    assert ks_distance(np.array([1.0, 2.0]), np.array([1.0, 2.0])) == 0


def table(shift: float) -> pa.Table:
    """Return rows of five assets, in no order."""
    generator = np.random.default_rng(8)
    rows = generator.permutation(500)
    times = pa.array(rows * 60_000_000).cast(pa.timestamp("us", tz="UTC"))
    assets = [f"pump-{row % 5}" for row in rows]
    return pa.table({"asset_id": assets, "event_time": times, "v__rms": generator.normal(shift, size=500)})


def test_a_check_says_which_features_moved_and_by_which_policy() -> None:
    """The outcome of all of them together, the drifted by name, and the policy that judged."""
    check = check_drift(
        "bearing_failure", Window(table=table(0)), Window(table=table(1)), features=["v__rms"], policy=PLAIN, at_us=5
    )

    assert (check.outcome, check.drifted, check.policy.effective) == ("drift", ("v__rms",), False)


def test_a_window_without_rows_is_refused() -> None:
    """Comparing with nothing is an error, not "no drift"."""
    window = Window(table=table(0))
    with pytest.raises(InputError, match="has no rows"):
        check_drift("m", window, Window(table=table(0).slice(0, 0)), features=["v__rms"], policy=PLAIN, at_us=0)
    with pytest.raises(InputError, match="no column 'v__std'"):
        check_drift("m", window, window, features=["v__std"], policy=PLAIN, at_us=0)
