"""Declared rules do what they say, for any input, and count it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineshaft.errors import InputError
from lineshaft.sources.rules import AliasRule, ClockRule, RepeatRule

SECOND = 1_000_000
REPORTS = np.arange(1, 41) * 900 * SECOND


@given(offsets=st.lists(st.integers(-(10**15), 10**15), min_size=1, max_size=60))
def test_an_event_never_comes_after_its_receipt(offsets: list[int]) -> None:
    """Whatever a device's clock says, no event time lies after the receipt or further before it than a delay may be."""
    receipt = np.arange(1, len(offsets) + 1) * 900 * SECOND
    rule = ClockRule()

    reading = rule.apply(receipt + np.array(offsets), receipt)

    assert (reading.event_us <= receipt).all()
    assert (reading.event_us >= receipt - rule.max_delay_us).all()
    assert sum(reading.choices.values()) == len(offsets)


def test_a_steady_clock_however_wrong_shows_the_delay_of_one_report() -> None:
    """A clock 500 s ahead is as good as a right one: the report held up for 120 s is put where it belongs."""
    receipt = REPORTS.copy()
    receipt[20] += 120 * SECOND

    reading = ClockRule().apply(REPORTS + 500 * SECOND, receipt)

    assert np.array_equal(reading.event_us, REPORTS)
    assert reading.steps == ()


def test_a_clock_reset_years_back_is_one_step_and_receipt_takes_over() -> None:
    """After a reset the device's time is not used, and time does not go back."""
    device = REPORTS.copy()
    device[10:] -= 127_010_228 * SECOND

    reading = ClockRule().apply(device, REPORTS)

    assert np.array_equal(reading.event_us, REPORTS)
    assert reading.steps == (10,)
    assert reading.choices == {"device": 10, "receipt": 30}


def test_a_step_forward_is_found_and_tracked_anew() -> None:
    """A clock set 300 s forward is not taken for 300 s of early reports."""
    device = REPORTS.copy()
    device[10:] += 300 * SECOND

    reading = ClockRule().apply(device, REPORTS)

    assert np.array_equal(reading.event_us, REPORTS)
    assert reading.steps == (10,)


def test_a_small_step_back_is_taken_for_delay_only_as_long_as_the_memory() -> None:
    """A clock set 300 s back makes eight reports look late, then is believed: the stated price of not waiting."""
    device = REPORTS.copy()
    device[10:] -= 300 * SECOND

    reading = ClockRule(memory=8).apply(device, REPORTS)

    wrong = np.flatnonzero(reading.event_us != REPORTS)
    assert wrong.tolist() == list(range(10, 17))


def test_a_clock_rule_without_limits_is_refused() -> None:
    """Every limit is positive."""
    with pytest.raises(InputError, match="positive"):
        ClockRule(memory=0)


@given(times=st.lists(st.integers(0, 6), max_size=40))
def test_repeats_are_kept_or_dropped_as_declared(times: list[int]) -> None:
    """First and last keep each time once; sequence keeps all, numbered in order of arrival."""
    stamps = np.array(times, dtype=np.int64)

    first, last = (RepeatRule(keep=keep).apply(stamps)[0] for keep in ("first", "last"))
    kept, sequence = RepeatRule(keep="sequence").apply(stamps)

    assert [int(row) for row in np.flatnonzero(first)] == sorted(
        {time: row for row, time in reversed(list(enumerate(times)))}.values()
    )
    assert [int(row) for row in np.flatnonzero(last)] == sorted({time: row for row, time in enumerate(times)}.values())
    assert kept.all()
    assert sequence.tolist() == [times[:row].count(time) for row, time in enumerate(times)]


@given(name=st.from_regex(r"[A-Za-z]{1,9}[-_ ]?0{0,3}[1-9][0-9]{0,3}", fullmatch=True))
def test_normal_names_stay_as_they_are(name: str) -> None:
    """Naming is idempotent."""
    normal = AliasRule().normal(name)

    assert AliasRule().normal(normal) == normal
