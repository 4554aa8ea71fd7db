"""Each declared rule at its limits: what it changes, what it counts, and what it leaves alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineshaft.errors import InputError
from lineshaft.sources.rules import (
    HOUR_US,
    AliasRule,
    ClockRule,
    FutureRule,
    RangeRule,
    RepeatRule,
    TemperatureRule,
    ZeroRule,
)
from lineshaft.sources.tabular import utc_us

SECOND = 1_000_000
QUARTER = 900 * SECOND


def read(rule: ClockRule, offsets_s: list[float]) -> tuple[list[float], tuple[int, ...], dict[str, Any]]:
    """Return (delay in seconds of each report, rows of steps, choices) of reports every quarter of an hour."""
    receipt = np.arange(1, len(offsets_s) + 1) * QUARTER
    device = receipt + np.rint(np.array(offsets_s) * SECOND).astype(np.int64)
    reading = rule.apply(device, receipt)
    assert reading.offset_us.tolist() == (device - receipt).tolist()
    return ((receipt - reading.event_us) / SECOND).tolist(), reading.steps, dict(reading.choices)


def test_the_defaults_are_those_that_are_documented() -> None:
    """1990, a day, an hour, a minute, an hour, eight reports, all repeats kept: docs/reference/data-sets.md says so."""
    assert FutureRule().earliest_us == utc_us("1990-01-01")
    assert FutureRule().limit_us == utc_us("1990-01-02") - utc_us("1990-01-01")
    assert utc_us("1990-01-01T01:00:00") - utc_us("1990-01-01") == HOUR_US
    rule = ClockRule()
    assert (rule.tolerance_us, rule.step_us, rule.max_delay_us, rule.memory) == (HOUR_US, 60 * SECOND, HOUR_US, 8)
    assert RepeatRule().keep == "sequence"


@pytest.mark.parametrize(
    ("offset_s", "choice"),
    [(3600, "device"), (3600.000001, "receipt"), (-3600, "device"), (-3600.000001, "receipt"), (0, "device")],
)
def test_an_offset_at_the_tolerance_is_still_a_clocks_error(offset_s: float, choice: str) -> None:
    """An hour ahead or behind is believed to be steady; a microsecond more is a clock that was never set."""
    delays, _, choices = read(ClockRule(), [offset_s])

    assert delays == [0.0]
    assert choices == {"device": int(choice == "device"), "receipt": int(choice == "receipt")}


@pytest.mark.parametrize(
    ("offsets", "steps"),
    [
        ([0, 60], ()),
        ([0, 60.000001], (1,)),
        ([0, -3600], ()),
        ([0, -3600.000001], (1,)),
        ([-30, 0, 30.000001], ()),
        ([50, 0, 110.000001], (2,)),
        ([0, 50, -3550], ()),
        ([0, 50, -3550.000001], (2,)),
        ([0, 100, 0, 200], (1, 3)),
    ],
)
def test_a_step_is_a_change_beyond_the_largest_offset_remembered(offsets: list[float], steps: tuple[int, ...]) -> None:
    """Up by more than a minute, down by more than an hour, both against the largest of what is remembered."""
    assert read(ClockRule(), offsets)[1] == steps


def test_a_delay_is_what_a_report_falls_short_of_the_clocks_largest_offset() -> None:
    """The clock is 10 s ahead: reports at 10 s came at once, those at 4 s and -50 s were held up by 6 and 60 s."""
    delays, steps, choices = read(ClockRule(), [10, 4, 10, -50, 10])

    assert delays == [0, 6, 0, 60, 0]
    assert (steps, choices) == ((), {"device": 5, "receipt": 0})


@pytest.mark.parametrize(("memory", "delays"), [(1, [0, 0, 0, 0]), (2, [0, 9, 0, 0]), (3, [0, 9, 9, 0])])
def test_the_largest_offset_is_forgotten_after_so_many_reports(memory: int, delays: list[float]) -> None:
    """With a memory of n the report n after the largest is measured against what came since."""
    assert read(ClockRule(memory=memory), [9, 0, 0, 0])[0] == delays


def test_after_a_step_the_clock_is_measured_anew() -> None:
    """What was remembered of the old setting does not make the reports of the new one look late."""
    delays, steps, _ = read(ClockRule(max_delay_us=300 * SECOND), [0, 5, -1000, -1003, -1000])

    assert delays == [0, 0, 0, 3, 0]
    assert steps == (2,)


def test_reports_by_receipt_are_remembered_too() -> None:
    """A clock years off that drifts is one step at its reset, not one at every report."""
    delays, steps, choices = read(ClockRule(), [0, -9e6, -9e6 + 3, -9e6 + 1, -9e6 + 2])

    assert delays == [0] * 5
    assert steps == (1,)
    assert choices == {"device": 1, "receipt": 4}


def test_no_reports_need_no_choice() -> None:
    """A device that sent nothing has no event times and no steps."""
    nothing = np.zeros(0, np.int64)

    reading = ClockRule().apply(nothing, nothing)

    assert reading.event_us.tolist() == []
    assert (reading.steps, reading.choices) == ((), {"device": 0, "receipt": 0})


@pytest.mark.parametrize("limit", ["tolerance_us", "step_us", "max_delay_us", "memory"])
@pytest.mark.parametrize("value", [0, -1])
def test_every_limit_of_a_clock_rule_is_positive(limit: str, value: int) -> None:
    """One limit of 0 or less is enough to refuse the rule; 1 will do."""
    with pytest.raises(InputError, match="positive"):
        ClockRule(**{limit: value})
    assert getattr(ClockRule(**{limit: 1}), limit) == 1


@pytest.mark.parametrize(
    ("name", "normal"),
    [
        ("sensor1", "sensor-1"),
        ("Sensor-01", "sensor-1"),
        (" sensor_ 7 ", "sensor-7"),
        ("machine 021", "machine-21"),
        ("machine-0", "machine-0"),
        ("pump", "pump"),
        ("Pump A7", "Pump A7"),
        ("7", "7"),
        ("sensor1b", "sensor1b"),
        ("", ""),
    ],
)
def test_names_are_made_one_by_pattern_or_left_alone(name: str, normal: str) -> None:
    """Letters, a separator or none, zeros, digits: everything else is a name of its own, only trimmed."""
    assert AliasRule().normal(name) == normal


def test_an_alias_goes_before_the_pattern() -> None:
    """A declared alias is taken as it stands, spaces around the name do not hide it, and others follow the pattern."""
    rule = AliasRule(aliases={"sensor1": "Press 4", "old": "sensor1"})

    assert [rule.normal(name) for name in ("sensor1", " sensor1 ", "old", "Sensor1", "sensor2")] == [
        *("Press 4", "Press 4", "sensor1", "sensor-1", "sensor-2")
    ]


def test_a_pattern_of_ones_own_takes_the_place_of_ours() -> None:
    """Two groups, matched against the whole name in small letters."""
    rule = AliasRule(pattern=r"line(\d)/m(\d+)")

    assert [rule.normal(name) for name in ("Line3/M12", "sensor1")] == ["3-12", "sensor1"]


values = st.lists(st.sampled_from([0.0, -0.0, 1.0, -3.0, np.nan, 1e-300]), max_size=12)


@given(values=values)
def test_zeros_are_taken_for_not_measured_in_the_channels_named_and_nowhere_else(values: list[float]) -> None:
    """Every zero of either sign becomes NaN and is counted; the least number beside it stays; so does NaN."""
    sent = np.array(values, dtype=float)
    rule = ZeroRule(channels=frozenset({"y"}))

    kept, none = rule.apply("x", sent)
    mended, count = rule.apply("y", sent)

    assert none == 0
    np.testing.assert_array_equal(kept, sent)
    assert count == sum(value == 0 for value in values)
    np.testing.assert_array_equal(mended, [np.nan if value == 0 else value for value in values])


def test_a_range_holds_its_ends() -> None:
    """What lies on an end is read, what lies beyond it on either side is not, and NaN is not counted."""
    kept, count = RangeRule(low=-2.0, high=5.0).apply(np.array([-2.0, -2.0001, 5.0, 5.0001, np.nan, -np.inf, 0.0]))

    np.testing.assert_array_equal(kept, [-2.0, np.nan, 5.0, np.nan, np.nan, np.nan, 0.0])
    assert count == 3


@pytest.mark.parametrize("keep", ["first", "last", "sequence"])
def test_no_readings_repeat_nothing(keep: Any) -> None:
    """An empty log has no repeats under any rule."""
    kept, sequence = RepeatRule(keep=keep).apply(np.zeros(0, np.int64))

    assert (kept.tolist(), sequence.tolist()) == ([], [])
    assert kept.dtype == bool


def test_numbers_of_kept_repeats_are_zero_where_only_one_is_kept() -> None:
    """First and last leave one reading a time, so that none needs a number."""
    times = np.array([10, 20, 10, 10])

    for keep, expected in (("first", [True, True, False, False]), ("last", [False, True, False, True])):
        kept, sequence = RepeatRule(keep=keep).apply(times)  # type: ignore[arg-type]
        assert kept.tolist() == expected
        assert sequence.tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize(("sent", "celsius"), [("degC", [32.0, 212.0, -40.0]), ("degF", [0.0, 100.0, -40.0])])
def test_temperatures_are_read_in_the_unit_they_were_sent_in(sent: Any, celsius: list[float]) -> None:
    """Water freezes at 32 and boils at 212 degF, and both scales meet at -40; unknown stays unknown."""
    found = TemperatureRule(sent=sent).apply(np.array([32.0, 212.0, -40.0, np.nan]))

    np.testing.assert_allclose(found, [*celsius, np.nan], atol=1e-12)
