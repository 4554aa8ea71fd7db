"""Values kept up to date in the background: fresh soon, old ones for a while, nobody waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from lineshaft.access.kept import Kept
from lineshaft.errors import UnavailableError


def within(seconds: float, holds: Callable[[], bool]) -> bool:
    """Wait until something holds, and say whether it did."""
    end = time.monotonic() + seconds
    while not (held := holds()) and time.monotonic() < end:
        time.sleep(0.005)
    return held


def failing() -> int:
    """Fail as a source does that cannot be reached."""
    raise UnavailableError("away")


def test_a_value_is_loaded_again_by_itself() -> None:
    """Nobody has to ask for it."""
    numbers = iter(range(1000))
    with Kept(lambda: next(numbers), what="numbers", every_s=0.01) as kept:
        assert kept.get() == 0 or within(2, lambda: kept.get() > 0)
        assert within(2, lambda: kept.get() > 1)


def test_hurry_does_not_wait_for_the_next_round() -> None:
    """Somebody who misses something can have it looked for."""
    numbers = iter(range(1000))
    with Kept(lambda: next(numbers), what="numbers", every_s=600) as kept:
        assert kept.get() == 0
        kept.hurry()
        assert within(2, lambda: kept.get() == 1)


def test_what_was_known_stays_while_loading_fails_but_not_for_ever() -> None:
    """A database that is away for a moment locks nobody out, one that is away for long does; then it comes back."""
    works = [True]
    with Kept(lambda: 7 if works[0] else failing(), what="numbers", every_s=0.01, trusted_s=0.3) as kept:
        works[0] = False
        time.sleep(0.05)
        assert kept.get() == 7
        time.sleep(0.4)
        with pytest.raises(UnavailableError, match="the numbers could not be read for too long"):
            kept.get()
        works[0] = True
        assert within(2, lambda: _answers(kept))


def _answers(kept: Kept[int]) -> bool:
    try:
        return kept.get() == 7
    except UnavailableError:
        return False


def test_a_fault_nobody_thought_of_does_not_end_the_thread() -> None:
    """A thread that died would keep what was revoked alive."""
    faults: list[BaseException] = [ValueError("what?"), KeyError("who?")]

    def load() -> int:
        if len(faults) < 2 and faults:
            raise faults.pop()
        if faults:
            faults.pop()
            return 1
        return 2

    with Kept(load, what="numbers", every_s=0.01) as kept:
        assert within(2, lambda: kept.get() == 2)


def test_the_first_time_must_succeed_unless_it_is_patient() -> None:
    """A wrong setting stops a start; a provider that is away does not."""
    with pytest.raises(UnavailableError, match="away"):
        Kept(failing, what="numbers", every_s=600)
    with Kept(failing, what="numbers", every_s=600, patient=True) as kept, pytest.raises(UnavailableError):
        kept.get()


def test_its_thread_ends_with_it() -> None:
    """Nothing is left behind."""
    with Kept(lambda: 1, what="numbers of this test", every_s=600):
        assert "keeps numbers of this test" in [thread.name for thread in threading.enumerate()]
    assert "keeps numbers of this test" not in [thread.name for thread in threading.enumerate()]
