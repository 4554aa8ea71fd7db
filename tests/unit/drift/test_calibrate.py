"""What a healthy history says of alarms before there are any: least effects, rates, and what can be told at all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lineshaft.drift.calibrate import MARGIN, calibrate, detectable, history, least_effects, split, written
from lineshaft.drift.findings import find
from lineshaft.drift.policy import DAY_US, DriftPolicy, Least
from lineshaft.drift.replay import baselines_of, replay
from lineshaft.drift.rows import FLEET, Rows
from lineshaft.errors import DefinitionError

POLICY = DriftPolicy(window_us=DAY_US)
STEP_US = DAY_US // 48
TOLD = {"step_us": STEP_US, "every_us": DAY_US // 4}
PUMPS = ("pump-0", "pump-1", "pump-2")


def pumps(days: int, *, start: int, seed: int, moved: float = 0.0) -> Rows:
    """Return half-hourly rows of three pumps, slow by themselves; the first column moves by so much from `start` on."""
    dice, count = np.random.default_rng(seed), days * 48
    values = dice.normal(size=(3, count, 2))
    for row in range(1, count):
        values[:, row] = 0.6 * values[:, row - 1] + 0.8 * values[:, row]
    values[:, :, 0] += moved
    cells = np.tile(np.arange(start * 48, start * 48 + count), 3)
    flat, names = values.reshape(-1, 2), np.repeat(PUMPS, count)
    return Rows(columns=("heat", "rms"), values=flat, assets=names, cells=cells, regimes=np.zeros(len(cells), np.int64))


def test_what_healthy_machines_did_is_asked_for_and_half_again() -> None:
    """Two deviations in the part that is chosen on: as much later is no alarm any more, twice as much still is."""
    baselines = baselines_of(pumps(20, start=0, seed=1), POLICY, step_us=STEP_US)
    chosen, last = pumps(6, start=20, seed=2, moved=2.0), pumps(6, start=26, seed=3, moved=2.0)

    found = calibrate(baselines, chosen, last, POLICY, **TOLD)

    level = {one.column: one.effect for one in found.least if one.method == "level"}
    assert set(level) == {"heat"}
    assert 2.0 * MARGIN < level["heat"] < 5.0 * MARGIN
    assert {one.scope for one in found.before.alarms} >= {*PUMPS, FLEET}
    assert found.after.alarms == ()
    far = replay(baselines, pumps(6, start=26, seed=3, moved=9.0), POLICY.asking(found.least), **TOLD)
    assert {one.scope for one in far.alarms} >= {*PUMPS}


def test_where_nothing_was_found_nothing_more_is_asked_for() -> None:
    """A history that goes on as it was leaves the policy as it is, and says how many months that is of."""
    _, found = history(pumps(40, start=0, seed=5), POLICY, share=0.5, held_out=0.25, **TOLD)

    assert found.least == ()
    assert (found.before.alarms, found.after.checks) == ((), found.before.checks)
    assert found.before.asset_months == pytest.approx(3 * 9.25 / 30, rel=0.01)


@pytest.mark.parametrize(("part", "least", "most"), [(0.4, 0.0, 0.2), (1.0, 0.2, 0.8), (1.8, 0.9, 1.0)])
def test_what_a_window_tells_is_told_of_half_of_the_windows(part: float, least: float, most: float) -> None:
    """A shift of that size is found about every other time, a much smaller one seldom, a much larger one always."""
    baselines = baselines_of(pumps(40, start=0, seed=7), POLICY, step_us=STEP_US)
    size = next(one.shift for one in detectable(baselines, POLICY, step_us=STEP_US) if one.column == "heat")
    told = 0
    for number in range(20):
        window = pumps(1, start=50 + number, seed=100 + number, moved=0.0)
        values = window.values.copy()
        values[window.assets == "pump-1", 0] += part * size
        found = find(baselines, replace(window, values=values), POLICY)
        told += any(
            (one.scope, one.column, one.method, one.verdict) == ("pump-1", "heat", "level", "drift") for one in found
        )

    assert least <= told / 20 <= most


def test_what_nobody_can_say_is_not_said() -> None:
    """A baseline of three windows tells nothing; without any there is nothing to list; a least effect is the floor."""
    short = baselines_of(pumps(3, start=0, seed=1), POLICY, step_us=STEP_US)
    long = baselines_of(pumps(40, start=0, seed=1), POLICY, step_us=STEP_US)
    asking = POLICY.asking((Least(column="heat", method="level", effect=7.0),))

    assert all(np.isnan([one.shift, one.spread]).all() for one in detectable(short, POLICY, step_us=STEP_US))
    assert detectable([None], POLICY, step_us=STEP_US) == []
    assert round(detectable(long, asking, step_us=STEP_US)[0].shift) == 7


def test_least_effects_are_written_as_a_policy_file_has_them() -> None:
    """By column and method; ratios grow by multiplying, and the largest of all histories counts."""
    nothing = replay([None], pumps(2, start=0, seed=1), POLICY, **TOLD)
    seen = [replace(nothing, largest={("heat", "spread"): size, ("heat", "level"): size}) for size in (2.0, 4.0)]

    least = least_effects(seen)

    assert written(least) == {"heat": {"level": 6.0, "spread": 8.0}}
    assert POLICY.asking(least).least_of("spread", ("heat", "rms")) == (8.0, POLICY.min_spread)
    with pytest.raises(DefinitionError, match="a least effect is of no method"):
        POLICY.asking([Least(column="heat", method="colour", effect=1.0)])


def test_a_history_is_split_by_time() -> None:
    """Every row in one part, each part after the one before; one that has no rows replays to nothing."""
    rows = pumps(10, start=3, seed=1)

    parts = split(rows, (0.5, 0.3, 0.2))

    assert [len(one) for one in parts] == [720, 432, 288]
    assert parts[0].cells.max() < parts[1].cells.min() <= parts[1].cells.max() < parts[2].cells.min()
    assert replay([None], rows.take(rows.cells < 0), POLICY, **TOLD).checks == 0
