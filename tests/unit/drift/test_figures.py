"""Drift figures worked out by hand, and verdicts exactly at the limits of the policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from lineshaft.drift.distances import ks_distance, ks_p, psi, psi_limit
from lineshaft.drift.policy import DriftPolicy
from lineshaft.drift.worth import effective_size
from lineshaft.errors import InputError, UnavailableError
from lineshaft_governance.drift.check import DriftCheck, Window, check_drift, draw_report
from lineshaft_governance.drift.lines import Line

Floats = NDArray[np.float64]
PLAIN = DriftPolicy(effective=False)
GRID = np.tile(np.arange(100.0), 50)  # 5000 rows on 100 values: shifted by k, the KS distance is k %


def sample(**values: Floats) -> Window:
    """Return features of a single asset, a row a minute."""
    count = len(next(iter(values.values())))
    times = pa.array(np.arange(count) * 60_000_000).cast(pa.timestamp("us", tz="UTC"))
    return Window(table=pa.table({"asset_id": ["a"] * count, "event_time": times, **values}))


def only(reference: Floats, current: Floats, policy: DriftPolicy = PLAIN) -> Line:
    """Return the comparison of one feature."""
    (found,) = check_drift("m", sample(a=reference), sample(a=current), features=["a"], policy=policy, at_us=0).features
    return found


@pytest.mark.parametrize(
    ("reference", "current", "distance"),
    [
        ([1, 2, 3, 4], [1, 2, 3, 4], 0.0),
        ([1, 2, 3, 4], [5, 6], 1.0),
        ([1, 2, 3, 4], [0], 1.0),
        ([1, 2, 3, 4], [2.5], 0.5),
        ([1, 1, 1, 2], [1, 2, 2, 2], 0.5),
        ([0, 10], [4, 5, 6], 0.5),
        ([1, 2, 3, 4], [4, 3, 2, 1], 0.0),
    ],
)
def test_the_distance_is_the_widest_gap_of_two_staircases(
    reference: list[float], current: list[float], distance: float
) -> None:
    """Worked out on paper, ties included; the current values may come in any order."""
    assert ks_distance(np.array(reference, float), np.array(current, float)) == distance


@settings(max_examples=60, deadline=None)
@given(
    reference=st.lists(st.integers(0, 9), min_size=3, max_size=30),
    current=st.lists(st.integers(0, 9), min_size=3, max_size=30),
)
def test_the_distance_is_scipys_for_any_ties(reference: list[int], current: list[int]) -> None:
    """And it does not matter which side is called the reference."""
    a, b = np.sort(np.array(reference, float)), np.sort(np.array(current, float))

    assert ks_distance(a, b) == pytest.approx(stats.ks_2samp(a, b, method="asymp").statistic, abs=1e-12)
    assert ks_distance(b, a) == pytest.approx(ks_distance(a, b), abs=1e-12)


def test_the_p_value_falls_with_distance_and_with_size() -> None:
    """A distance of 0 proves nothing; half the effective values make the same distance less certain."""
    assert ks_p(0.0, 100, 100) == 1.0
    assert ks_p(0.3, 100, 100) < ks_p(0.2, 100, 100) < ks_p(0.2, 50, 50) < 1
    assert ks_p(0.2, 80, 40) == ks_p(0.2, 40, 80)
    assert ks_p(1.0, 0.1, 0.1) >= 0


@pytest.mark.parametrize(
    ("current", "shares"),
    [
        ([1, 2, 3, 4], (0.5, 0.5)),
        ([1, 4, 4, 4], (0.25, 0.75)),
        ([1, 1, 1, 1], (4 / 4.5, 0.5 / 4.5)),  # half a row stands in for the empty bin
    ],
)
def test_stability_is_the_sum_over_bins_of_difference_times_log_ratio(
    current: list[float], shares: tuple[float, float]
) -> None:
    """Two bins of a half each; a quarter moved from one to the other gives 0.275 on any calculator."""
    expected = sum((share - 0.5) * np.log(share / 0.5) for share in shares)

    found = psi(np.array([1.0, 2.0, 3.0, 4.0]), np.array(current, float), bins=2)

    assert found == pytest.approx(expected, abs=1e-12)
    assert shares != (0.25, 0.75) or found == pytest.approx(0.2747, abs=5e-5)


def test_stability_of_a_constant_reference_looks_at_one_edge() -> None:
    """Ties leave fewer bins: equal samples stay at 0, a moved one is finite and positive."""
    constant = np.full(50, 3.0)

    assert psi(constant, constant, bins=10) == 0.0
    assert 0 < psi(constant, constant - 1, bins=10) < np.inf


def test_the_limit_of_stability_is_the_chi_squared_quantile() -> None:
    """16.92 is the 95 % quantile with nine degrees of freedom, as every printed table has it."""
    assert psi_limit(100, 50, bins=10, rate=0.05) == pytest.approx((1 / 100 + 1 / 50) * 16.919, rel=1e-4)


@pytest.mark.parametrize("phi", [0.0, 0.5, 0.9])
def test_rows_of_a_correlated_series_are_worth_what_theory_says(phi: float) -> None:
    """An AR(1) series of n rows is worth n (1 - phi)/(1 + phi) values: Priestley 1981, section 5.3.2."""
    n, found = 20_000, []
    for seed in range(3):
        steps = np.random.default_rng(seed).normal(size=n)
        values = np.empty(n)
        values[0] = steps[0]
        for i in range(1, n):
            values[i] = phi * values[i - 1] + steps[i]
        found.append(effective_size(values, np.zeros(n, np.int64)))

    assert np.mean(found) == pytest.approx(n * (1 - phi) / (1 + phi), rel=0.15)


@pytest.mark.parametrize(
    ("values", "groups", "size"),
    [
        ([1.0, 2.0], [0, 0], 2.0),
        ([5.0, 5.0, 5.0], [0, 0, 0], 3.0),
        ([1.0], [0], 1.0),
        ([1.0, -1.0, 1.0, -1.0], [0, 0, 0, 0], 4.0),
        ([0.0] * 50 + [1.0] * 50, [0] * 50 + [1] * 50, 2.0),
    ],
    ids=["two rows", "constant", "one row", "alternating", "two levels"],
)
def test_an_effective_size_lies_between_the_series_and_the_rows(
    values: list[float], groups: list[int], size: float
) -> None:
    """Never more than there are rows, however they alternate; never less than one a series."""
    assert effective_size(np.array(values), np.array(groups)) == pytest.approx(size, abs=1e-9)


def test_neighbours_of_other_series_do_not_count_as_correlated() -> None:
    """Fifty assets of two independent readings: the order of the assets says nothing about correlation."""
    values = np.random.default_rng(3).normal(size=100)

    assert effective_size(values, np.repeat(np.arange(50), 2)) >= 50
    assert effective_size(np.sort(values), np.zeros(100, np.int64)) < 10


@pytest.mark.parametrize(("shift", "outcome"), [(9, "none"), (10, "drift"), (11, "drift")])
def test_a_distance_at_the_least_effect_is_a_drift(shift: int, outcome: str) -> None:
    """Ten per cent matters, nine do not, however improbable: 5000 rows leave no doubt of either."""
    found = only(GRID, GRID + shift, replace(PLAIN, min_effect=0.1, min_stability=9.0))

    assert found["ks"] == pytest.approx(shift / 100)
    assert found["outcome"] == outcome
    assert found["q"] < 1e-6


def test_a_large_distance_of_few_rows_is_no_drift() -> None:
    """Twelve rows half a distribution apart may be chance: improbable enough is asked for too."""
    found = only(np.arange(12.0), np.arange(12.0) + 6, replace(PLAIN, fdr=0.01))

    assert (found["ks"], found["outcome"]) == (0.5, "none")
    assert 0.01 < found["ks_p"] <= found["q"] < 0.2


@pytest.mark.parametrize(("rows", "outcome"), [(7, "unknown"), (8, "drift")])
def test_fewer_values_than_the_policy_asks_for_are_unknown(rows: int, outcome: str) -> None:
    """Seven are unknown, eight are enough; the figures are told either way."""
    found = only(np.arange(500.0), np.full(rows, 10_000.0) + np.arange(rows), replace(PLAIN, min_effective=8.0))

    assert (found["outcome"], found["ks"], found["current_rows"]) == (outcome, 1.0, rows)
    assert np.isnan(found["ks_p"]) == (outcome == "unknown")


def test_a_shift_is_told_in_deviations_of_the_reference() -> None:
    """Signed; a constant reference has no deviation to tell it in, and anything is far."""
    reference = np.array([0.0, 8.0] * 20)  # a deviation of 4

    assert only(reference, reference - 6)["shift_sd"] == pytest.approx(-1.5, rel=0.02)
    assert only(np.full(40, 5.0), np.arange(40.0))["shift_sd"] == 1000.0


def test_alarms_are_judged_together_and_the_furthest_comes_first() -> None:
    """No q is less than its p; what is unknown takes no part, and comes last."""
    generator = np.random.default_rng(2)
    base = {f"f{i}": generator.normal(size=300) for i in range(5)}
    moved = {name: values + 0.15 * i for i, (name, values) in enumerate(base.items())}
    base["f2"] = moved["f2"] = np.full(300, np.nan)
    names = list(base)

    check = check_drift("m", sample(**base), sample(**moved), features=names, policy=PLAIN, at_us=0)

    p = {one["feature"]: one["p"] for one in check.features if one["outcome"] != "unknown"}
    assert check.drifted == ("f4", "f3")
    assert check.features[-1]["feature"] == "f2"
    assert all(one["q"] >= p[one["feature"]] for one in check.features if one["feature"] in p)
    outcomes = [one["outcome"] == "drift" for one in check.features]
    assert outcomes == sorted(outcomes, reverse=True)


def test_rows_not_known_are_left_out_with_their_series() -> None:
    """NaN and infinity are no values; what is left keeps the series it was of."""
    values = np.array([1.0, np.nan, 3.0, np.inf] * 25)

    found = only(values, values)

    assert (found["current_rows"], found["ks"], found["ks_p"]) == (50, 0.0, 1.0)


def window(count: int = 30, shift: float = 0.0, columns: Mapping[str, object] | None = None) -> Window:
    """Return rows of three assets, in no order."""
    order = np.random.default_rng(1).permutation(count)
    times = pa.array(order * 60_000_000).cast(pa.timestamp("us", tz="UTC"))
    assets = [f"a{row % 3}" for row in order]
    return Window(table=pa.table({"asset_id": assets, "event_time": times, "x": order + shift, **(columns or {})}))


def test_rows_are_put_in_order_of_series_and_time() -> None:
    """Whatever their order, neighbours are of one asset and rise in time; null becomes NaN."""
    found = window(9, columns={"y": pa.nulls(9, pa.float64())}).rows(["x", "y"], step_us=3_600_000_000)

    assert found.values[:, 0].tolist() == [0, 3, 6, 1, 4, 7, 2, 5, 8]
    assert found.groups.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert np.isnan(found.values[:, 1]).all()


@pytest.mark.parametrize("missing", ["asset_id", "event_time", "x"])
def test_a_window_that_lacks_a_column_says_which(missing: str) -> None:
    """Series, time and features are all needed."""
    table = window().table.drop_columns([missing])

    with pytest.raises(InputError, match=f"no column '{missing}'"):
        Window(table=table).rows(["x"], step_us=1)


@pytest.mark.parametrize(
    ("columns", "outcome", "drifted"),
    [
        ({"x": 0.0}, "none", ()),
        ({"x": 1e6}, "drift", ("x",)),
        ({"x": 0.0, "y": None}, "none", ()),
        ({"y": None}, "unknown", ()),
    ],
)
def test_a_check_is_what_its_worst_known_feature_is(
    columns: dict[str, float | None], outcome: str, drifted: tuple[str, ...]
) -> None:
    """One drift makes it a drift; unknown is only a check in which nothing could be judged."""
    nothing = pa.nulls(300, pa.float64())
    reference, current = (window(300, shift, {"y": nothing}) for shift in (0.0, columns.get("x") or 0.0))

    check = check_drift("m", reference, current, features=list(columns), policy=PLAIN, at_us=4)

    assert (check.outcome, check.drifted) == (outcome, drifted)
    assert (check.subject, check.at_us, check.reference_rows, check.current_rows) == ("m", 4, 300, 300)


class Painter:
    """A worker that remembers what it was asked to draw, or cannot."""

    def __init__(self, error: str = "") -> None:
        self.asked: list[tuple[dict[str, object], dict[str, pa.Table]]] = []
        self._error = error

    def ask(self, request: dict[str, object], *, tables: dict[str, pa.Table]) -> dict[str, object]:
        """Remember, and answer nothing of use."""
        self.asked.append((request, tables))
        if self._error:
            raise UnavailableError(self._error)
        return {}


def drawn(check: DriftCheck, old: Window, new: Window, folder: Path, painter: Painter) -> DriftCheck:
    """Return a check with its report drawn by the painter."""
    return draw_report(check, old, new, folder=folder, worker=painter)  # type: ignore[arg-type]


def test_a_report_shows_the_features_that_moved_furthest(tmp_path: Path) -> None:
    """At most twelve of them and two thousand rows a side, evenly over time, under the name the check then has."""
    names = [f"f{i:02d}" for i in range(15)]
    old = window(5000, columns={name: np.arange(5000.0) for name in names})
    new = window(300, columns={name: np.arange(300.0) + 400 * i for i, name in enumerate(names)})
    check = check_drift("m@1", old, new, features=names, policy=PLAIN, at_us=4)
    painter = Painter()

    named = drawn(check, old, new, tmp_path / "reports", painter)

    ((request, tables),) = painter.asked
    assert named.report == "m@1-4.html"
    assert request["path"] == str(tmp_path / "reports" / "m@1-4.html")
    assert request["columns"] == [one["feature"] for one in check.features][:12]
    assert (tables["reference"].num_rows, tables["current"].num_rows) == (2000, 300)
    assert tables["reference"].column_names == request["columns"]
    assert replace(named, report="") == check


def test_a_check_that_knows_nothing_draws_nothing(tmp_path: Path) -> None:
    """Where no feature has values on both sides the check stands without a picture, and no process is asked."""
    old, new = window(), window(columns={"y": pa.nulls(30, pa.float64())})
    old = Window(table=old.table.append_column("y", pa.array(np.arange(30.0))))
    check = check_drift("m", old, new, features=["y"], policy=PLAIN, at_us=4)
    painter = Painter()

    assert drawn(check, old, new, tmp_path, painter) == check
    assert (check.outcome, check.report, painter.asked) == ("drift", "", [])


def test_a_drift_comes_before_larger_distances_that_are_none() -> None:
    """Seven rows a whole distribution away are unknown; five thousand a tenth away are a drift, and come first."""
    few = np.where(np.arange(5000) < 7, np.arange(5000.0), np.nan)

    old, new = sample(far=few, near=GRID), sample(far=few + 1e9, near=GRID + 10)

    found = check_drift("m", old, new, features=["far", "near"], policy=PLAIN, at_us=0).features

    assert [(one["feature"], one["outcome"]) for one in found] == [("near", "drift"), ("far", "unknown")]
    assert found[0]["ks"] < found[1]["ks"]


def test_what_each_side_is_worth_is_told_apart() -> None:
    """Independent rows on one side, a slow level on the other: each with its own count."""
    steady = np.repeat([0.0, 1.0], 200)

    found = only(np.random.default_rng(0).normal(size=300), steady, DriftPolicy())

    assert found["current_rows"] == 400
    assert (found["reference_effective"] > 150, found["current_effective"] < 10) == (True, True)
    assert np.isnan(found["ks_p"])
