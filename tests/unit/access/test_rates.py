"""Buckets: a burst, then a steady rate, for each by itself."""

from __future__ import annotations

import pytest

from lineshaft.access.rates import Rates
from lineshaft.errors import RateError


class Moment:
    """A monotonic clock that a test moves."""

    now = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def taken(rates: Rates, name: str, *, tries: int) -> int:
    """Return how many of some tries succeed."""
    done = 0
    for _ in range(tries):
        try:
            rates.take(name)
        except RateError:
            continue
        done += 1
    return done


def test_a_burst_passes_and_then_the_steady_rate() -> None:
    """A hundred a second from a bucket of ten: ten at once, then one each 10 ms, never more than ten."""
    moment = Moment()
    rates = Rates(per_s=100.0, burst=10, now_s=moment)

    assert taken(rates, "ana", tries=50) == 10
    moment.now += 0.05
    assert taken(rates, "ana", tries=50) == 5
    moment.now += 3600
    assert taken(rates, "ana", tries=50) == 10


def test_one_caller_does_not_use_up_anothers() -> None:
    """Each has a bucket."""
    rates = Rates(per_s=1.0, burst=3, now_s=Moment())

    assert (taken(rates, "ana", tries=9), taken(rates, "ben", tries=9)) == (3, 3)


def test_who_comes_again_when_told_is_served() -> None:
    """The hint is neither too short nor more than a millisecond too long."""
    moment = Moment()
    rates = Rates(per_s=3.0, burst=1, now_s=moment)
    rates.take("ana")
    with pytest.raises(RateError) as refused:
        rates.take("ana")
    assert refused.value.retry_ms in (333, 334)
    moment.now += refused.value.retry_ms / 1000
    rates.take("ana")


def test_buckets_that_are_full_again_are_forgotten() -> None:
    """A hundred thousand names of the past take no memory; one that is still empty is not forgiven."""
    moment = Moment()
    rates = Rates(per_s=1.0, burst=5, now_s=moment)
    for number in range(10_000):
        rates.take(f"n{number}")
    moment.now += 100.0
    assert taken(rates, "ana", tries=9) == 5
    rates.take("ben")

    assert len(rates) == 2
    assert taken(rates, "ana", tries=9) == 0
