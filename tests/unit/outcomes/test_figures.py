"""Figures of outcomes: equal to their definitions, with intervals that hold as often as they say."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineshaft.outcomes.episodes import EPISODE_SCHEMA, MOMENT
from lineshaft.outcomes.figures import Claims, changes, figures, over_time, precision, share_of
from lineshaft.outcomes.states import State

WEEK_US = 7 * 86_400_000_000
SPOKEN = {"tp": State.TRUE_POSITIVE, "fp": State.FALSE_POSITIVE, "pv": State.PREVENTED, "au": State.ACTED_UNKNOWN}
SPOKEN |= {"ce": State.CENSORED, "pe": State.PENDING, "fn": State.FALSE_NEGATIVE, "tn": State.TRUE_NEGATIVE}
KIND = {"fn": "event", "tn": "quiet", "ev": "event"}


def rows(*told: str, after: float | None = None, version: str = "m@1", week: int = 0) -> pa.Table:
    """Return episodes of these states, one a machine; "ev" is a failure that was warned of."""
    states = [str(SPOKEN.get(one, State.TRUE_POSITIVE)) for one in told]
    count = len(told)
    starts = pa.array(np.arange(count) + week * WEEK_US).cast(MOMENT)
    return pa.Table.from_arrays(
        [
            pa.array([f"{version}-{week}-{n}" for n in range(count)]),
            pa.array([version] * count),
            pa.array(["champion"] * count),
            pa.array([f"machine-{n}" for n in range(count)]),
            pa.array([KIND.get(one, "alert") for one in told]),
            starts,
            pa.array(states),
            pa.array([after if one in ("tp", "au", "pv", "ce") else None for one in told], pa.float64()),
            starts,
        ],
        schema=EPISODE_SCHEMA,
    )


def test_the_figures_of_a_version() -> None:
    """Counts, shares, bounds and the naive join, worked out by hand."""
    table = rows("tp", "tp", "pv", "fp", "au", "ce", "pe", "pe", "fn", "tn", "ev", "ev", after=3600.0)

    (found,) = figures(table)

    assert {str(state): count for state, count in found.counts.items()} == {
        "true_positive": 2,
        "false_positive": 1,
        "false_negative": 1,
        "true_negative": 1,
        "prevented": 1,
        "acted_unknown": 1,
        "censored": 1,
        "pending": 2,
    }
    assert (found.floor, found.ceiling, found.naive) == (3 / 6, 5 / 6, 2 / 6)
    assert found.matured == 6 / 8
    assert found.lead_s == 3600.0
    assert found.precision.of == 4


def test_precision_follows_what_was_acted_upon_until_it_was() -> None:
    """Kaplan and Meier by hand: of four, one failed at 1, one was acted upon at 2, one failed at 3, one was false."""
    table = pa.concat_tables(
        [rows("tp", after=1.0), rows("au", after=2.0, week=1), rows("tp", after=3.0, week=2), rows("fp", week=3)]
    )

    assert precision(table).value == pytest.approx(1 - (3 / 4) * (1 / 2))


def test_findings_stand_for_the_visits_that_were_not_written_down() -> None:
    """Of 30 visits 20 were told, 15 of them damage; 10 alerts nobody came to, 2 right: 30/40 x 0.75 + 10/40 x 0.2."""
    looked = rows("fp", after=None)
    sound = looked.set_column(looked.column_names.index("after_s"), "after_s", pa.array([5.0]))
    visits = [*([rows("pv", after=5.0)] * 15), *([sound] * 5), *([rows("au", after=5.0)] * 10)]
    others = [*([rows("tp", after=9.0)] * 2), *([rows("fp")] * 8)]
    table = pa.concat_tables([*visits, *others])

    assert precision(table).value == pytest.approx(0.75 * 0.75 + 0.25 * 0.2)


def by_hand(claims: list[tuple[int, bool, bool]]) -> float:
    """Return Kaplan and Meier's share, moment by moment."""
    staying = 1.0
    for when in sorted({at for at, _, _ in claims}):
        at_risk = sum(at >= when for at, _, _ in claims)
        staying *= 1 - sum(at == when and hit and told for at, hit, told in claims) / at_risk
    return 1 - staying


@given(st.lists(st.tuples(st.integers(0, 6), st.booleans(), st.booleans()), min_size=1, max_size=20))
def test_the_share_is_kaplan_and_meiers(claims: list[tuple[int, bool, bool]]) -> None:
    """As counted at each moment over those still followed; where all is told, it is the plain share."""
    when, hits, told = (np.array(column) for column in zip(*claims, strict=True))
    if not told.any():
        return
    mine = Claims(hits=hits, told=told, visited=np.zeros_like(hits), ended=when.astype(float))
    names = [str(n % 4) for n in range(len(claims))]

    assert share_of(mine, names).value == pytest.approx(by_hand(claims))
    assert share_of(Claims.all_told(hits), names).value == pytest.approx(hits.mean())


@pytest.mark.parametrize(("share", "alike"), [(0.6, 0.0), (0.6, 0.7), (0.95, 0.3)])
def test_the_interval_holds_where_alerts_of_an_asset_are_alike(share: float, alike: float) -> None:
    """95 % over 300 fleets of 40 assets, five alerts each, of which a part are the asset's own: at least 91 hold it."""
    dice = np.random.default_rng(5)
    held = 0
    for _ in range(300):
        own = np.repeat(dice.random(40) < share, 5)
        hits = np.where(dice.random(200) < alike, own, dice.random(200) < share)
        found = share_of(Claims.all_told(hits), [str(n // 5) for n in range(200)])
        held += found.low <= share <= found.high
    assert held / 300 >= 0.91


def test_where_nothing_is_known_nothing_is_said() -> None:
    """No alerts: not a number; one asset: anything; all right on few assets: far from certain."""
    assert math.isnan(precision(rows("pe")).value)
    assert math.isnan(precision(rows("au", after=1.0)).value)
    one = share_of(Claims.all_told(np.array([True, True])), ["a", "a"])
    few = share_of(Claims.all_told(np.array([True] * 8)), list("aabbccdd"))

    assert (one.low, one.high) == (0.0, 1.0)
    assert few.value == 1.0
    assert few.low < 0.5


def test_performance_by_week() -> None:
    """Each week and version has its own row, and says how much of it may be judged."""
    table = pa.concat_tables([rows("tp", "fp", "fn", after=1.0, week=1), rows("pe", "tp", after=1.0, week=2)])

    found = over_time(table, by="week")

    assert [(row["week"], row["alerts"], row["matured"], row["precision"], row["missed"]) for row in found] == [
        ("1970-01-05", 2, 1.0, 0.5, 1),
        ("1970-01-12", 2, 0.5, 1.0, 0),
    ]


def test_what_a_revision_changed_is_told() -> None:
    """States that moved, episodes that came and went; nothing where nothing did."""
    before, after = rows("pe", "fp", "tp", after=1.0), rows("tp", "tp", "tp", after=1.0)

    assert changes(before, after) == {"false_positive to true_positive": 1, "pending to true_positive": 1}
    assert changes(before, before) == {}
    assert changes(before, before.slice(1)) == {"pending to gone": 1}
    assert changes(before.slice(1), before) == {"new to pending": 1}
