"""The point-in-time kernel against its definition."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineshaft.tiles.asof import NEVER, AsOf, newest_known, order_by

small = st.integers(-4, 12)
far = st.integers(-(2**62), 2**62)


def ints(values: Any) -> Any:
    """Return an int64 array."""
    return np.array(list(values), dtype=np.int64)


def truth(rows: list[Any], ask: Any) -> tuple[int, int] | None:
    """Return (event, known) of the answer, by looking at every row."""
    code, at, known = ask
    return max((row[1:] for row in rows if row[0] == code and row[1] <= at and row[2] <= known), default=None)


@settings(max_examples=300, deadline=None)
@given(
    time=st.sampled_from([small, far]),
    data=st.data(),
)
def test_groups_in_any_order_give_the_answers_of_the_definition(time: Any, data: st.DataObject) -> None:
    """However rows are cut into groups and ordered within them, each ask gets its newest known row."""
    rows = data.draw(st.lists(st.tuples(st.integers(-1, 3), time, time), unique=True, max_size=60))
    asks = data.draw(st.lists(st.tuples(st.integers(0, 3), time, time), min_size=1, max_size=30))
    cut = data.draw(st.integers(0, len(rows)))
    asof = AsOf(code=ints(a[0] for a in asks), at_us=ints(a[1] for a in asks), known_us=ints(a[2] for a in asks))
    groups = [rows[:cut], rows[cut:]]

    for number, group in enumerate(groups):
        columns = [ints(row[i] for row in group) for i in range(3)]
        asof.fold(number, code=columns[0], event_us=columns[1], known_us=columns[2])

    for index, ask in enumerate(asks):
        best = truth(rows, ask)
        if best is None:
            assert (asof.group[index], asof.event_us[index]) == (-1, NEVER)
        else:
            assert (asof.event_us[index], asof.known_us[index]) == best
            assert groups[asof.group[index]][asof.row[index]] == (ask[0], *best)


@pytest.mark.parametrize("hidden", [0, 1, 7, 8, 9, 100, 4095])
def test_a_long_run_of_rows_not_yet_known_is_stepped_over(hidden: int) -> None:
    """The walk back past unknown rows ends at the right row, however many they are, and not in another entity."""
    event = np.arange(hidden + 1)
    known = np.where(event == 0, 0, 10**9)
    rows = {"event_us": np.tile(event, 2), "known_us": np.tile(known, 2), "code": np.repeat([0, 1], hidden + 1)}

    found = newest_known(
        **rows, ask_code=ints([0, 1, 1]), ask_at_us=ints([10**6] * 3), ask_known_us=ints([10**6, 10**6, -1])
    )

    assert found.tolist() == [0, hidden + 1, -1]


def test_nothing_is_found_among_nothing() -> None:
    """No rows answer no ask; no asks need no answer."""
    none = ints([])

    found = newest_known(
        code=none, event_us=none, known_us=none, ask_code=ints([0]), ask_at_us=ints([5]), ask_known_us=ints([5])
    )
    empty = AsOf(code=none, at_us=none, known_us=none)

    assert found.tolist() == [-1]
    assert not empty.wants(oldest_us=0, newest_us=9, first=0, last=0)
    assert empty.group.tolist() == []


def test_rows_older_than_every_answer_are_not_wanted() -> None:
    """Once an ask is answered by a row, only rows as new may improve on it."""
    asof = AsOf(code=ints([0, 1]), at_us=ints([50, 50]), known_us=ints([50, 50]))
    asof.fold(0, code=ints([0]), event_us=ints([20]), known_us=ints([20]))

    assert not asof.wants(oldest_us=0, newest_us=19, first=0, last=0)
    assert asof.wants(oldest_us=0, newest_us=20, first=0, last=0)
    assert asof.wants(oldest_us=0, newest_us=19, first=0, last=1)
    assert not asof.wants(oldest_us=51, newest_us=99, first=0, last=1)


@settings(deadline=None)
@given(st.lists(st.tuples(far, far), max_size=30))
def test_pairs_are_ordered_whatever_their_size(pairs: list[tuple[int, int]]) -> None:
    """Pairs that do not fit one integer are ordered all the same."""
    order = order_by(ints(p[0] for p in pairs), ints(p[1] for p in pairs))

    assert [pairs[i] for i in order] == sorted(pairs)
