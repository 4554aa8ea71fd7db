"""Nights come one after another, whatever becomes of one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from lineshaft.cli.nightly import Row, nightly
from lineshaft.clock import ManualClock, moment
from lineshaft.errors import UnavailableError
from lineshaft.ops.schedule import Schedule

HOUR_US = 3_600_000_000
Lineshaft = Callable[..., Any]


class Sleeper(threading.Event):
    """Sleep by a clock that is moved, and not at all."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self.clock, self.slept = clock, 0

    def wait(self, timeout: float | None = None) -> bool:
        """Let the time pass."""
        self.slept += 1
        self.clock.advance(seconds=timeout or 0)
        return self.is_set()


def nights(outcomes: list[Row | Exception], *, schedule: Schedule, last_us: int | None = None) -> list[Row]:
    """Let as many nights pass as there are outcomes; return what was told."""
    clock, left = ManualClock(time_us=15 * HOUR_US), list(outcomes)
    told: list[Row] = []
    due: list[int] = []
    stopping = Sleeper(clock)

    def night(due_us: int) -> list[Row]:
        due.append(due_us)
        clock.advance(seconds=600)
        outcome = left.pop(0)
        if not left:
            stopping.set()
        if isinstance(outcome, Exception):
            raise outcome
        return [outcome]

    nightly(night, schedule, last_us=last_us, clock=clock, stopping=stopping, tell=told.append)
    assert [moment(one) for one in due] == [row["due"] for row in told]
    return told


def test_a_night_that_fails_is_told_of_and_the_next_comes() -> None:
    """An error of ours with its remedy, any other by its name; each night at its own hour."""
    gone = UnavailableError("the database does not answer", fix="start it")

    told = nights([gone, {"outcome": "registered"}, RuntimeError("odd")], schedule=Schedule.of("24h", "02:00"))

    assert [(row["due"], row["outcome"]) for row in told] == [
        ("1970-01-02T02:00:00Z", "failed"),
        ("1970-01-03T02:00:00Z", "registered"),
        ("1970-01-04T02:00:00Z", "failed"),
    ]
    assert (told[0]["detail"], told[0]["fix"]) == ("the database does not answer", "start it")
    assert told[2]["detail"] == "RuntimeError: odd"
    assert (told[0]["at"], told[0]["next"]) == ("1970-01-02T02:10:00Z", "1970-01-03T02:00:00Z")


@pytest.mark.parametrize(
    ("last_us", "first"),
    [(None, "1970-01-02T02:00:00Z"), (2 * HOUR_US, "1970-01-02T02:00:00Z"), (-22 * HOUR_US, "1970-01-01T02:00:00Z")],
)
def test_after_a_restart_it_goes_on_where_it_stood(last_us: int | None, first: str) -> None:
    """What is done is not done again, and a night that was missed is made up for at once."""
    (told,) = nights([{}], schedule=Schedule.of("24h", "02:00"), last_us=last_us)

    assert told["due"] == first


def test_without_an_hour_the_first_is_now() -> None:
    """And a night that took longer than the time between two is followed at once, by one."""
    told = nights([{}, {}, {}], schedule=Schedule.of("5m"))

    assert [row["due"] for row in told] == ["1970-01-01T15:00:00Z", "1970-01-01T15:10:00Z", "1970-01-01T15:20:00Z"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--at", "02:00"), "an hour is of a schedule"),
        (("--every", "soon"), "'soon' is not a duration"),
        (("--every", "24h", "--at", "2"), "'2' is no time of day"),
        (("--every", "24h"), "no model 'nobody' is declared"),
    ],
)
def test_a_schedule_that_is_none_is_refused_before_the_first_night(
    lineshaft: Lineshaft, words: tuple[str, ...], message: str
) -> None:
    """So is a model that nobody declared."""
    said = lineshaft("train", "nobody", *words)

    assert said.code == 1
    assert message in said.err
