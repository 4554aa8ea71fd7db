"""A schedule says what is due and when, and what is new is told from what was trained already."""

from __future__ import annotations

import pytest

from lineshaft.errors import InputError
from lineshaft.ops.schedule import Schedule

HOUR_US = 3_600_000_000


@pytest.mark.parametrize(
    ("every", "at", "message"),
    [
        ("soon", "", "'soon' is not a duration"),
        ("0s", "", "every 0s is no schedule"),
        ("24h", "2", "'2' is no time of day"),
        ("24h", "24:00", "'24:00' is no time of day"),
        ("7h", "02:00", "would be at another hour each day"),
        ("36h", "02:00", "would be at another hour each day"),
    ],
)
def test_what_is_no_schedule_is_refused(every: str, at: str, message: str) -> None:
    """Before anything is trained."""
    with pytest.raises(InputError, match=message):
        Schedule.of(every, at)


def test_with_an_hour_told_it_is_waited_for() -> None:
    """Started at three in the afternoon, it trains at two at night, and each night after."""
    nightly, now_us = Schedule.of("24h", "02:00"), 15 * HOUR_US
    last_us = nightly.first_us(now_us)

    assert nightly.latest_us(last_us, now_us) <= last_us
    assert nightly.next_us(None, now_us) == nightly.next_us(last_us, now_us) == 26 * HOUR_US
    assert nightly.next_us(2 * HOUR_US, 15 * HOUR_US) == 26 * HOUR_US
    assert nightly.next_us(-22 * HOUR_US, 15 * HOUR_US) == 2 * HOUR_US
    assert nightly.latest_us(last_us, 25 * HOUR_US) <= last_us
    assert nightly.latest_us(last_us, 26 * HOUR_US) == 26 * HOUR_US
    assert nightly.latest_us(26 * HOUR_US, 49 * HOUR_US) == 26 * HOUR_US
    assert nightly.latest_us(26 * HOUR_US, 50 * HOUR_US) == 50 * HOUR_US


def test_without_one_it_begins_at_once_and_goes_on_from_there() -> None:
    """Every six hours after the first; nights that were missed are made up for once, at their own hours."""
    often, now_us = Schedule.of("6h"), 15 * HOUR_US + 7
    last_us = often.first_us(now_us)

    assert often.latest_us(last_us, now_us) == now_us
    assert often.latest_us(now_us, now_us + 6 * HOUR_US - 1) == now_us
    assert often.latest_us(now_us, now_us + 6 * HOUR_US) == now_us + 6 * HOUR_US
    assert often.latest_us(now_us, now_us + 20 * HOUR_US) == now_us + 18 * HOUR_US


@pytest.mark.parametrize(("every", "hours"), [("12h", [2, 14, 26]), ("24h", [2, 26, 50]), ("2d", [2, 50, 98])])
def test_the_hour_is_the_same_each_day(every: str, hours: list[int]) -> None:
    """Parts of a day and whole days, counted from the hour told."""
    schedule = Schedule.of(every, "2:00")

    found = sorted({schedule.latest_us(0, hour * HOUR_US) // HOUR_US for hour in range(2, hours[-1] + 1)})

    assert found == hours
