"""What a drill says of the calls it saw: each promise is broken by what breaks it, and by nothing else."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest

from lineshaft.drills.callers import Seen
from lineshaft.drills.drills import ALL, Report, named, report
from lineshaft.errors import InputError

WELL = [Seen(due_s=i / 10, took_s=0.002, oldest_s=0.3, newest_s=0.2) for i in range(100)]
MENDING_S, MENDED_S = 4.0, 5.0


def told(seen: Sequence[Seen]) -> Report:
    """Return the report of a fault that was mended from second 4 to second 5."""
    return report("test", seen, mending_s=MENDING_S, mended_s=MENDED_S)


def changed(at: float, seen: Seen) -> list[Seen]:
    """Return the calls of a good run, one of them another."""
    return [replace(seen, due_s=one.due_s) if one.due_s == at else one for one in WELL]


def test_a_run_without_harm_keeps_every_promise() -> None:
    """Quick, right and fresh calls break nothing."""
    found = told(WELL)

    assert found.broken() == []
    assert (found.calls, found.failed, found.degraded) == (100, 0, 0)
    assert found.fresh_after_s == 0.0
    assert (found.oldest_s, found.newest_s) == (0.3, 0.2)


GOOD = WELL[0]
BREAKS = {
    "a failed call": (replace(GOOD, error="gone"), "1 of 100 calls failed (gone)"),
    "a wrong value": (replace(GOOD, wrong=2), "2 values were wrong"),
    "a missing value": (replace(GOOD, missing=3), "3 values of known machines were missing"),
    "a stale answer that does not say so": (replace(GOOD, oldest_s=2.5), "1 answers were stale"),
}


@pytest.mark.parametrize("what", BREAKS)
def test_each_promise_is_broken_by_one_thing(what: str) -> None:
    """Only the promise that is concerned is named."""
    seen, words = BREAKS[what]

    broken = told(changed(2.0, seen)).broken()

    assert len(broken) == 1
    assert broken[0].startswith(words)


def test_a_stale_answer_may_say_so() -> None:
    """An old row that is marked degraded is a promise kept, and counted."""
    found = told(changed(2.0, replace(GOOD, oldest_s=9.0, degraded=True)))

    assert found.broken() == []
    assert (found.degraded, found.oldest_s) == (1, 9.0)


@pytest.mark.parametrize(("at", "kept"), [(3.9, False), (4.0, True), (6.9, True), (7.0, False)])
def test_while_it_is_mended_rows_may_be_old_or_away(at: float, kept: bool) -> None:
    """From the beginning of mending until two seconds after its end, and at no other time."""
    for harm in (replace(GOOD, oldest_s=3.0), replace(GOOD, missing=1)):
        assert (told(changed(at, harm)).broken() == []) is kept


@pytest.mark.parametrize(("at", "took_s", "kept"), [(3.5, 0.6, True), (3.5, 0.4, False), (6.9, 0.3, True)])
def test_a_call_that_ends_while_it_is_mended_belongs_there(at: float, took_s: float, kept: bool) -> None:
    """Asked of a store that hung, it is answered with the rows of before when that wakes up; it may be slow, too."""
    for harm in (replace(GOOD, oldest_s=3.0), replace(GOOD, missing=1)):
        assert (told(changed(at, replace(harm, took_s=took_s))).broken() == []) is kept


def test_slow_calls_break_the_promise_of_time() -> None:
    """Two of a hundred calls beyond 100 ms are too many, one is not."""
    slow = replace(GOOD, took_s=0.3)
    two = [replace(slow, due_s=one.due_s) if one.due_s in (1.0, 2.0) else one for one in WELL]

    assert told(changed(1.0, slow)).broken() == []
    assert [words[:4] for words in told(two).broken()] == ["99 %"]


def test_it_is_told_when_answers_were_fresh_again() -> None:
    """The first fresh answer after mending counts; without any the promise is broken."""
    stale = [replace(one, degraded=True) if one.due_s < 6.5 else one for one in WELL]
    never = [replace(one, degraded=True) for one in WELL]

    assert told(stale).fresh_after_s == 1.5
    assert told(stale).broken() == []
    assert math.isnan(told(never).fresh_after_s)
    assert [words[:11] for words in told(never).broken()] == ["fresh again"]


def test_drills_are_found_by_name() -> None:
    """No name means all; an unknown one is refused with those there are."""
    assert [drill.name for drill in named(["corrupt", "apply"])] == ["corrupt", "apply"]
    assert named([]) == list(ALL)
    with pytest.raises(InputError, match="no drill 'fire'") as caught:
        named(["fire"])
    assert "redis-hang" in caught.value.fix
