"""Each way to drift is found by the comparison that is meant for it, of whom it happened to, and of nobody else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from lineshaft.drift.baseline import Baseline, baseline_of
from lineshaft.drift.findings import NEW, Finding, find
from lineshaft.drift.policy import DAY_US, HOUR_US, DriftPolicy, Regimes
from lineshaft.drift.replay import baselines_of, replay
from lineshaft.drift.rows import FLEET, Rows, rows_of, usual_step_us
from lineshaft.drift.worth import Floats
from lineshaft.errors import InputError

POLICY = DriftPolicy()


def fleet(*, seed: int, count: int, assets: int = 8, columns: int = 5, phi: float = 0.8, start: int = 0) -> Rows:
    """Return slow features of a fleet, each asset at levels of its own, in unit standard deviations."""
    dice = np.random.default_rng(seed)
    values = dice.normal(size=(assets, count, columns))
    for row in range(1, count):
        values[:, row] = phi * values[:, row - 1] + np.sqrt(1 - phi**2) * values[:, row]
    values += np.random.default_rng(99).normal(size=(assets, 1, columns)) * 3
    return Rows(
        columns=tuple(f"v__f{number}" for number in range(columns)),
        values=values.reshape(-1, columns),
        assets=np.repeat([f"pump-{number}" for number in range(assets)], count),
        cells=np.tile(np.arange(start, start + count), assets),
        regimes=np.zeros(assets * count, np.int64),
    )


@pytest.fixture(scope="module")
def baseline() -> Baseline:
    """Return what a fleet looked like for 1,000 rows an asset."""
    return baseline_of(fleet(seed=1, count=1000), window=96)


def drifts(baseline: Baseline, rows: Rows, policy: DriftPolicy = POLICY) -> list[Finding]:
    """Return what is found."""
    return [one for one in find([baseline], rows, policy) if one.verdict == "drift"]


def moved(rows: Rows, change: Floats, *, asset: str = "", column: int = 2) -> Rows:
    """Return rows in which a column of an asset, or of all, is changed by so much, row by row."""
    values = rows.values.copy()
    mine = np.ones(len(rows), dtype=bool) if not asset else rows.assets == asset
    values[mine, column] += change
    return replace(rows, values=values)


def test_a_fleet_that_goes_on_as_it_was_is_no_drift(baseline: Baseline) -> None:
    """Forty windows of 40 comparisons each and more: nothing is found in nearly all."""
    found = [drifts(baseline, fleet(seed=100 + number, count=96, start=2000)) for number in range(40)]

    assert sum(map(bool, found)) <= 2


def test_an_asset_is_compared_with_itself(baseline: Baseline) -> None:
    """A level of two standard deviations, far less than the assets lie apart, is found of the one that has it."""
    found = drifts(baseline, moved(fleet(seed=7, count=96), np.full(96, 2.0), asset="pump-3"))

    assert {(one.scope, one.column) for one in found} == {("pump-3", "v__f2")}
    level = next(one for one in found if one.method == "level")
    assert level.effect == pytest.approx(2.0, abs=0.7)
    assert level.current_effective < 30 < level.rows


def test_a_shift_of_all_is_found_of_the_fleet(baseline: Baseline) -> None:
    """A shift that hardly any asset shows by itself is plain in the mean of all."""
    found = drifts(baseline, moved(fleet(seed=7, count=96), np.full(8 * 96, 1.2)))

    assert (FLEET, "v__f2", "level") in {(one.scope, one.column, one.method) for one in found}
    assert {one.column for one in found} == {"v__f2"}


@pytest.mark.parametrize(("scale", "method"), [(np.sqrt(2.0), "spread"), (0.1, "spread")])
def test_a_restless_or_a_dead_signal_is_found(baseline: Baseline, scale: float, method: str) -> None:
    """Twice the variance, or hardly any: the level is the same, what each row adds is not."""
    rows = fleet(seed=7, count=96)
    own = rows.assets == "pump-3"
    mean = rows.values[own, 2].mean()
    found = drifts(baseline, moved(rows, (scale - 1) * (rows.values[own, 2] - mean), asset="pump-3"))

    assert ("pump-3", "v__f2", method) in {(one.scope, one.column, one.method) for one in found}
    assert {one.column for one in found} == {"v__f2"}


def test_values_that_stay_away_are_found(baseline: Baseline) -> None:
    """Half of an asset's values gone is a finding of that asset; a fifth of the policy's least effect is none."""
    gone = np.where(np.arange(96) % 2, np.nan, 0.0)

    found = drifts(baseline, moved(fleet(seed=7, count=96), gone, asset="pump-3"))

    assert {(one.scope, one.column, one.method) for one in found} == {("pump-3", "v__f2", "missing")}


def test_a_slow_signal_is_caught_by_its_step() -> None:
    """Of a signal that wanders for days a level tells nothing; that it went there at once does."""
    was = fleet(seed=3, count=4000, assets=1, columns=1, phi=0.997)
    calm = fleet(seed=4, count=96, assets=1, columns=1, phi=0.997)
    step = np.where(np.arange(96) < 48, 0.0, 8.0)

    found = drifts(baseline_of(was, window=96), moved(calm, step, column=0))

    assert "step" in {one.method for one in found}
    assert not drifts(baseline_of(was, window=96), calm)


def test_assets_that_training_never_saw_are_compared_together() -> None:
    """As many new ones, alike: nothing. Unlike in one column: found of the new ones, and of no other."""
    rows = fleet(seed=5, count=96, assets=40)
    strange = replace(rows, assets=np.array([f"fan-{name}" for name in rows.assets]))
    alike = baseline_of(fleet(seed=6, count=400, assets=40), window=96)

    assert not drifts(alike, strange)
    found = drifts(alike, moved(strange, np.full(len(rows), 12.0)))
    assert {one.scope for one in found} == {NEW}
    assert {one.column for one in found} == {"v__f2"}


def test_like_is_compared_with_like() -> None:
    """Rows of a regime are compared with that regime's alone; of an unknown one with nothing."""
    regimes = Regimes(column="speed", edges=(5.0,))
    policy = DriftPolicy(regimes=regimes, window_us=200 * 60_000_000)
    dice = np.random.default_rng(3)
    times = pa.array(np.arange(4000) * 60_000_000).cast(pa.timestamp("us", tz="UTC"))
    speed = np.where(np.arange(4000) // 100 % 2, 20.0, 0.0)
    load = np.where(speed > 5, 50.0, 1.0) + dice.normal(size=4000)
    table = pa.table({"asset_id": ["a"] * 4000, "event_time": times, "speed": speed, "load": load})
    rows = rows_of(table, ("speed", "load"), step_us=60_000_000, regimes=regimes)
    running = rows_of(
        table.filter(pa.array(speed > 5)).slice(0, 100), ("speed", "load"), step_us=60_000_000, regimes=regimes
    )

    apart = find(baselines_of(rows, policy, step_us=60_000_000), running, policy)
    assert not [one for one in apart if one.verdict == "drift"]
    assert {one.regime for one in apart} == {"5 <= speed"}
    assert regimes.names() == ("speed < 5", "5 <= speed")
    unknown = replace(running, regimes=running.regimes * 0 - 1)
    assert find(baselines_of(rows, policy, step_us=60_000_000), unknown, policy) == []


def test_findings_are_judged_together(baseline: Baseline) -> None:
    """Those that drift come first, by q; no q is less than its p."""
    found = find([baseline], moved(fleet(seed=7, count=96), np.full(96, 3.0), asset="pump-3"), POLICY)

    verdicts = [one.verdict == "drift" for one in found]
    assert verdicts == sorted(verdicts, reverse=True)
    assert all(one.q >= one.p for one in found if one.verdict != "unknown")


def test_rows_are_read_on_a_grid_of_time() -> None:
    """The first row of each step and series, in order; null and infinity become NaN; the step is the usual gap."""
    moments = pa.array([130, 10, 70, 75, 10]).cast(pa.timestamp("s", tz="UTC"))
    table = pa.table({"asset_id": ["b", "b", "b", "b", "a"], "position": [1, 1, 1, 1, 2], "event_time": moments})
    table = table.append_column("x", pa.array([1.0, 2.0, None, 4.0, float("inf")]))

    rows = rows_of(table, ("x",), step_us=60_000_000, regimes=Regimes(), keys=("asset_id", "position"))

    assert rows.assets.tolist() == ["a/2", "b/1", "b/1", "b/1"]
    assert rows.cells.tolist() == [0, 0, 1, 2]
    np.testing.assert_array_equal(rows.values[:, 0], [np.nan, 2.0, np.nan, 1.0])
    assert (rows.names, rows.starts.tolist()) == (("a/2", "b/1"), [0, 1])
    assert usual_step_us(table, keys=("asset_id", "position")) == 55_000_000
    with pytest.raises(InputError, match="has no column 'y'"):
        rows_of(table, ("y",), step_us=1, regimes=Regimes())
    with pytest.raises(InputError, match="to tell regimes by"):
        rows_of(table, ("x",), step_us=1, regimes=Regimes(column="speed", edges=(1.0,)))


def test_a_replay_counts_an_alarm_once() -> None:
    """A drift that lasts for days is one alarm, raised in the third hour that shows it, of the asset that has it."""
    policy = replace(POLICY, window_us=DAY_US)
    was, now = fleet(seed=1, count=2000), fleet(seed=2, count=400, start=2000)
    broken = np.where(np.arange(400) < 200, 0.0, 6.0)

    found = replay(
        baselines_of(was, policy, step_us=DAY_US // 96),
        moved(now, broken, asset="pump-3"),
        policy,
        step_us=DAY_US // 96,
        every_us=HOUR_US,
    )

    assert [one.scope for one in found.alarms if one.scope == "pump-3"] == ["pump-3"]
    assert len(found.alarms) <= 2
    assert found.alarms[0].at_us >= (2000 + 200) * DAY_US // 96 + 2 * HOUR_US
    assert found.checks == 77
    assert found.asset_months == pytest.approx(8 * (400 / 96 - 1 + 1 / 24) / 30, rel=0.01)
