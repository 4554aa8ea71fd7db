"""What takes long is found out beside the pages: nobody waits longer than the patience of a page."""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest

from lineshaft.clock import ManualClock
from lineshaft.errors import NotFoundError
from lineshaft_governance.web.extents import roster_of
from lineshaft_governance.web.looks import Look, Looks, begin_page, begin_without_waiting
from lineshaft_governance.web.svg import Axis, Mark, curve


@pytest.fixture
def clock() -> ManualClock:
    """Return a clock that stands."""
    return ManualClock(time_us=0)


@pytest.fixture
def looks(clock: ManualClock) -> Iterator[Looks]:
    """Return looks with a patience that no test runs out of by chance."""
    made = Looks(clock, patience_s=30)
    yield made
    made.close()


def test_what_was_found_stays_until_it_is_due(looks: Looks, clock: ManualClock) -> None:
    """Within five seconds nothing is looked at again; afterwards it is, and the time says when."""
    found = iter([1, 2, 3])

    first, again = looks.at("a", lambda: next(found)), looks.at("a", lambda: next(found))
    clock.advance(seconds=60)
    later = looks.at("a", lambda: next(found))

    assert (first.value, again.value, later.value) == (1, 1, 2)
    assert (first.at_us, later.at_us) == (0, 60_000_000)


def test_a_page_is_told_what_was_known_while_somebody_looks(clock: ManualClock) -> None:
    """The old answer with its time, or nothing yet; the new one comes when it is there."""
    looks, open_up = Looks(clock, patience_s=0.0), threading.Event()

    assert looks.at("a", open_up.wait).waiting
    open_up.set()
    while looks.known("a").waiting:
        time.sleep(0.01)
    clock.advance(seconds=60)
    shut = threading.Event()
    told = looks.at("a", shut.wait)

    assert (told.value, told.at_us) == (True, 0)
    shut.set()
    looks.close()


def test_the_looks_of_one_page_share_its_patience(clock: ManualClock) -> None:
    """Ten things that take for ever cost one patience, not ten."""
    looks, shut = Looks(clock, patience_s=0.4), threading.Event()
    begin_page()
    began = time.perf_counter()

    waiting = [looks.at(number, shut.wait).waiting for number in range(10)]

    assert time.perf_counter() - began < 10 * 0.4 / 2
    assert waiting == [True] * 10
    shut.set()
    looks.close()


def test_looking_ahead_waits_for_nothing(clock: ManualClock) -> None:
    """What is begun goes on beside; who asks later in the usual way is told once it is found."""
    looks, gate = Looks(clock, patience_s=60), threading.Event()

    def ahead() -> Look[int]:
        begin_without_waiting()
        return looks.at("slow", lambda: 7 if gate.wait(60) else 0)

    told = contextvars.copy_context().run(ahead)
    gate.set()

    assert told.waiting
    assert looks.at("slow", lambda: 8).value == 7
    looks.close()


def test_what_cannot_be_found_is_told_beside_what_was_known(looks: Looks, clock: ManualClock) -> None:
    """A fault of ours keeps its words, another does not show its insides; the last good value stays."""

    def gone() -> int:
        raise NotFoundError("it is gone")

    def broken() -> int:
        raise ValueError("secret")

    good = looks.at("a", lambda: 7)
    clock.advance(seconds=60)
    bad = looks.at("a", gone)
    worse = looks.at("b", broken)

    assert good.value == bad.value == 7
    assert bad.error is not None
    assert bad.error.what == "it is gone"
    assert worse.error is not None
    assert "secret" not in str(worse.error)


def test_the_roster_has_every_machine_once_with_its_newest_row() -> None:
    """Whatever view it stands in."""
    tables = [pa.table({"asset_id": ["a", "b"], "newest_us": [1, 5]}), pa.table({"asset_id": ["a"], "newest_us": [9]})]

    roster = roster_of(tables).sort_by("asset_id")

    assert roster.to_pylist() == [{"asset_id": "a", "newest_us": 9}, {"asset_id": "b", "newest_us": 5}]
    assert roster_of([]).num_rows == 0


def test_a_picture_keeps_its_words_inside_and_escapes_them() -> None:
    """A mark at the right edge is written to its left, one beyond the axis not at all, and names run nothing."""
    axis = Axis.of_numbers(0, 10, "<script>")
    marks = [Mark(at=10, name="<b>edge"), Mark(at=11, name="beyond")]

    drawn = str(curve(np.arange(11.0), np.arange(11.0), across=axis, up=axis, title='"><img>', marks=marks))

    assert 'text-anchor="end" y="38"' in drawn
    assert "&lt;b&gt;edge" in drawn
    assert "beyond" not in drawn
    assert "<script>" not in drawn
    assert "<img>" not in drawn
