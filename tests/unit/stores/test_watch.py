"""What others decide is asked for again while it is used, and nobody waits who does not have to."""

from __future__ import annotations

import threading
import time

import pytest

from lineshaft.stores.watch import Watch

LONG_S = 5.0


class Oracle:
    """Says what it is told to say, when it is let."""

    def __init__(self) -> None:
        self.word, self.asked = "left", 0
        self.free = threading.Event()
        self.free.set()

    def __call__(self, _: float) -> str:
        """Answer, or fail where there is no word."""
        self.asked += 1
        self.free.wait(LONG_S)
        if not self.word:
            raise ConnectionError("nobody knows")
        return self.word


def test_whoever_uses_it_steadily_does_not_wait() -> None:
    """When half of the lease is over it is asked for on another thread, while what was heard goes on being used."""
    oracle = Oracle()
    watch = Watch(oracle, changed=lambda _: None, lease_s=0.4)
    assert watch.now(LONG_S) == "left"
    time.sleep(0.25)
    oracle.free.clear()
    start = time.monotonic()

    watch.heed(LONG_S)

    assert time.monotonic() - start < 0.1
    assert watch.now(0.0) == "left"
    oracle.free.set()
    assert oracle.asked == 2


def test_after_a_pause_it_is_waited_for() -> None:
    """Whoever comes when the lease is over sees the change before he goes on."""
    oracle = Oracle()
    told: list[str] = []
    watch = Watch(oracle, changed=told.append, lease_s=0.05)
    watch.now(LONG_S)
    oracle.word = "right"
    time.sleep(0.1)

    watch.heed(LONG_S)

    assert told == ["right"]
    assert watch.now(LONG_S) == "right"


def test_silence_costs_the_time_given_and_changes_nothing() -> None:
    """Where nobody answers in time, or at all, what was last heard holds on."""
    oracle = Oracle()
    watch = Watch(oracle, changed=lambda _: None, lease_s=0.0)
    watch.now(LONG_S)
    oracle.free.clear()
    start = time.monotonic()

    held = watch.now(0.05)

    assert held == "left"
    assert 0.04 < time.monotonic() - start < 1.0
    oracle.word = ""
    oracle.free.set()
    assert watch.now(LONG_S) == "left"


def test_where_nothing_was_ever_heard_the_reason_is_told() -> None:
    """The first question has no answer to fall back on: it fails as the asking failed."""
    oracle = Oracle()
    oracle.word = ""
    watch = Watch(oracle, changed=lambda _: None)

    with pytest.raises(ConnectionError, match="nobody knows"):
        watch.now(LONG_S)
    oracle.free.clear()
    oracle.word = "left"
    with pytest.raises((TimeoutError, ConnectionError)):
        watch.now(0.01)
    oracle.free.set()


def test_what_turned_out_wrong_is_asked_for_at_once() -> None:
    """Doubt ends the lease: the next one waits for a new answer."""
    oracle = Oracle()
    watch = Watch(oracle, changed=lambda _: None, lease_s=60.0)
    watch.now(LONG_S)
    oracle.word = "right"

    watch.doubt()

    assert watch.now(LONG_S) == "right"
