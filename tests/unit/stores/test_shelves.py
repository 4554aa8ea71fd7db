"""Rows on a shelf: the last one put, fresh until it is doubted, and no more of them than there may be."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lineshaft.specs import Status
from lineshaft.stores.shelves import Shelf

P = Status.PRESENT
KEYS = st.lists(st.integers(0, 12).map(lambda i: b"k%d" % i), min_size=1, max_size=8, unique=True)
STEPS = st.lists(st.tuples(st.sampled_from(["put", "put untracked", "doubt", "doubt all"]), KEYS), max_size=40)


@settings(max_examples=150, deadline=None)
@given(STEPS, st.integers(8, 16))
def test_a_shelf_holds_the_last_of_each_and_no_more_than_it_may(
    steps: list[tuple[str, list[bytes]]], most: int
) -> None:
    """Whatever is put, doubted and pushed out: a fresh row is the last one put, and there are never too many."""
    shelf, last, doubted = Shelf(4, most=most), dict[bytes, int](), set[bytes]()

    for number, (what, keys) in enumerate(steps):
        if what == "put":
            cells = np.full((len(keys), 4), number % 3, np.uint8)
            shelf.put(keys, cells, np.full(len(keys), P, np.int8))
            last.update(dict.fromkeys(keys, number % 3))
            doubted -= set(keys)
        elif what == "put untracked":  # of one value for all: what is the same stays as it was
            before = [None if place is None else int(shelf.take([place])[0][0][0]) for place in shelf.find(keys)[0]]
            shelf.put(keys, np.full((len(keys), 4), 0, np.uint8), np.full(len(keys), P, np.int8), tracked=False)
            doubted |= {key for key, value in zip(keys, before, strict=True) if value != 0}
            last.update(dict.fromkeys(keys, 0))
        elif what == "doubt":
            shelf.doubt(keys[0])
            doubted.add(keys[0])
        else:
            shelf.doubt()
            doubted |= set(last)
        places, missing = shelf.find(keys)
        held, _ = shelf.take(places)
        absent = missing or [False] * len(keys)
        assert len(shelf) <= most
        assert all(gone or row.tolist() == [last[key]] * 4 for key, row, gone in zip(keys, held, absent, strict=True))
        assert all(gone for key, gone in zip(keys, absent, strict=True) if key in doubted or key not in last)
        if what == "put":
            assert not absent[-1]  # earlier ones may have had to make room


def test_names_that_nobody_has_heard_of_push_no_row_out() -> None:
    """However many keys without a row are asked for, a tenth of the room is theirs; one that gets a row has it."""
    shelf, rows = Shelf(4, most=100), [b"row%d" % i for i in range(50)]
    shelf.put(rows, np.zeros((50, 4), np.uint8), np.full(50, P, np.int8))

    for turn in range(100):
        names = [b"name%d-%d" % (turn, i) for i in range(5)]
        shelf.put(names, np.zeros((5, 4), np.uint8), np.full(5, Status.NOT_FOUND, np.int8))
        if turn == 50:
            shelf.put(names[:1], np.ones((1, 4), np.uint8), np.full(1, P, np.int8))

    places, missing = shelf.find([*rows, b"name50-0", *names])
    assert missing == []
    assert shelf.take(places)[1].tolist() == [P] * 51 + [Status.NOT_FOUND] * 5
    assert len(shelf) == 50 + 1 + 10
    assert shelf.find([b"name50-1", b"name0-0"])[0] == [None, None]
