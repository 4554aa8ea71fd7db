"""The point-in-time kernel at its edges: every small ask at once, times that do not fit one integer, codes unasked."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from lineshaft.tiles.asof import NEVER, AsOf, newest_known, order_by

Ints = NDArray[np.int64]
ASKS = np.array(list(itertools.product(range(-1, 4), range(-1, 6), range(-1, 6))), dtype=np.int64)


def rows_of(seed: int) -> Ints:
    """Return up to a dozen distinct (code, event, known) of the entities 0 to 2, sorted."""
    rng = np.random.default_rng(seed)
    rows = np.unique(rng.integers(0, [3, 5, 5], size=(int(rng.integers(1, 13)), 3)), axis=0)
    return rows.astype(np.int64)


def definition(rows: Ints, ask: Ints) -> int:
    """Return the index of the answer by looking at every row, -1 if there is none."""
    allowed = (rows[:, 0] == ask[0]) & (rows[:, 1] <= ask[1]) & (rows[:, 2] <= ask[2])
    return int(np.flatnonzero(allowed)[-1]) if allowed.any() else -1  # rows are sorted: the last is the newest


def found(rows: Ints, asks: Ints) -> list[int]:
    """Return what the kernel says."""
    answers = newest_known(
        code=rows[:, 0],
        event_us=rows[:, 1],
        known_us=rows[:, 2],
        ask_code=asks[:, 0],
        ask_at_us=asks[:, 1],
        ask_known_us=asks[:, 2],
    )
    return [int(answer) for answer in answers]


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("scale", [1, 2**59], ids=["one integer", "ranks"])
def test_every_ask_of_a_small_world_has_the_answer_of_the_definition(seed: int, scale: int) -> None:
    """Before the first row, between rows, after the last, of entities below, among and above: none sees the future."""
    rows = rows_of(seed) * np.array([1, scale, scale])
    asks = ASKS * np.array([1, scale, scale])

    assert found(rows, asks) == [definition(rows, ask) for ask in asks]


@pytest.mark.parametrize("off", [-1, 0, 1])
def test_times_a_microsecond_around_a_row_fall_on_its_side(off: int) -> None:
    """In ranks as in microseconds, an ask a microsecond early does not see the row."""
    far = np.array([[0, -(2**61), 0], [0, 0, 0], [0, 2**61, 0]], dtype=np.int64)
    near = np.array([[0, 0, 0], [0, 10, 0], [0, 20, 0]], dtype=np.int64)

    for rows in (far, near):
        asks = np.array([[0, event + off, 0] for event in rows[:, 1]], dtype=np.int64)
        assert found(rows, asks) == [index if off >= 0 else index - 1 for index in range(3)]


@pytest.mark.parametrize("span_bits", [58, 59, 60, 61])
def test_keys_that_nearly_overflow_are_still_apart(span_bits: int) -> None:
    """Where (codes + margin) x span passes what an int64 holds, entities do not run into each other."""
    rows = np.array([[c, t, 0] for c in range(7) for t in (0, 2**span_bits)], dtype=np.int64)
    asks = np.array([[c, t, 0] for c in range(-2, 9) for t in (-1, 0, 1, 2**span_bits, 2**62)], dtype=np.int64)

    assert found(rows, asks) == [definition(rows, ask) for ask in asks]


def test_the_newest_version_known_at_the_ask_is_taken() -> None:
    """Of three versions of one event each ask sees the last one known by then, and never a later one."""
    rows = np.array([[0, 5, 6], [0, 5, 8], [0, 5, 11]], dtype=np.int64)
    asks = np.array([[0, 5, known] for known in range(5, 13)], dtype=np.int64)

    assert found(rows, asks) == [-1, 0, 0, 1, 1, 1, 2, 2]


def test_rows_of_entities_nobody_asked_for_are_passed_over() -> None:
    """Codes below 0 and above the last are not answers, and rows keep the places they had in their group."""
    asof = AsOf(code=np.array([1, 0]), at_us=np.array([9, 9]), known_us=np.array([9, 9]))

    asof.fold(
        3,
        code=np.array([2, 1, -1, 1, 7]),
        event_us=np.array([8, 3, 8, 4, 1]),
        known_us=np.array([8, 3, 8, 4, 1]),
    )

    assert asof.row.tolist() == [3, 0]
    assert asof.group.tolist() == [3, -1]
    assert asof.event_us.tolist() == [4, NEVER]
    assert asof.known_us.tolist() == [4, NEVER]


def test_groups_that_hold_only_strangers_change_nothing() -> None:
    """A group without any entity asked for, or without rows, leaves every answer as it was."""
    asof = AsOf(code=np.array([0]), at_us=np.array([9]), known_us=np.array([9]))
    one, none = np.array([1]), np.zeros(0, np.int64)

    asof.fold(0, code=one, event_us=one, known_us=one)
    asof.fold(1, code=none, event_us=none, known_us=none)

    assert asof.group.tolist() == [-1]


def test_between_equal_events_the_later_known_wins_whatever_group_comes_first() -> None:
    """An older version in a later group does not replace a newer one, a newer one in a later group does."""
    for order in ([4, 6], [6, 4]):
        asof = AsOf(code=np.array([0]), at_us=np.array([9]), known_us=np.array([9]))
        for group, known in enumerate(order):
            asof.fold(group, code=np.array([0]), event_us=np.array([3]), known_us=np.array([known]))
        assert (asof.known_us.tolist(), asof.group.tolist()) == ([6], [order.index(6)])


def test_the_first_of_two_equal_rows_is_kept() -> None:
    """The same version in two groups is answered from the first: a file read twice changes no answer."""
    asof = AsOf(code=np.array([0]), at_us=np.array([9]), known_us=np.array([9]))
    for group in (0, 1):
        asof.fold(group, code=np.array([0]), event_us=np.array([3]), known_us=np.array([4]))

    assert asof.group.tolist() == [0]


def test_wants_looks_only_at_the_entities_and_times_named() -> None:
    """A file is opened if any ask of its entities could see its oldest row; bounds count on both sides."""
    asof = AsOf(code=np.array([0, 2, 2]), at_us=np.array([10, 20, 30]), known_us=np.array([99, 99, 99]))

    assert asof.wants(oldest_us=10, newest_us=10, first=0, last=0)
    assert not asof.wants(oldest_us=11, newest_us=50, first=0, last=0)
    assert not asof.wants(oldest_us=0, newest_us=50, first=1, last=1)
    assert asof.wants(oldest_us=30, newest_us=50, first=1, last=2)
    assert not asof.wants(oldest_us=31, newest_us=50, first=0, last=2)
    assert not asof.wants(oldest_us=0, newest_us=50, first=2, last=1)


def test_answers_stand_in_the_order_asked() -> None:
    """Asks are sorted inside; what comes out is in the caller's order, each with its own row."""
    code, at = np.array([1, 0, 1, 0]), np.array([5, 50, 50, 5])
    asof = AsOf(code=code, at_us=at, known_us=np.full(4, 99))

    asof.fold(0, code=np.array([0, 0, 1, 1]), event_us=np.array([1, 10, 2, 20]), known_us=np.array([1, 10, 2, 20]))

    assert asof.event_us.tolist() == [2, 10, 20, 1]
    assert asof.row.tolist() == [2, 1, 3, 0]


@pytest.mark.parametrize("bits", [30, 31, 32, 61])
def test_order_is_that_of_the_pairs_on_both_sides_of_one_integer(bits: int) -> None:
    """Small enough to be one integer or not, pairs come out by their first, then their second number."""
    numbers = np.array([-(2**bits), -1, 0, 1, 2**bits], dtype=np.int64)
    major, minor = (part.ravel() for part in np.meshgrid(numbers, numbers))
    shuffled = np.random.default_rng(bits).permutation(25)

    order = order_by(major[shuffled], minor[shuffled])

    pairs = list(zip(major[shuffled].tolist(), minor[shuffled].tolist(), strict=True))
    assert [pairs[i] for i in order] == sorted(pairs)
    assert order_by(major[:0], minor[:0]).tolist() == []


@pytest.mark.parametrize("hidden", [3, 7, 8, 9, 20, 300])
def test_a_row_known_at_the_very_moment_of_the_ask_ends_the_walk_back(hidden: int) -> None:
    """However far behind unknown rows it lies: known at the microsecond asked counts, a microsecond later does not."""
    event = np.arange(hidden + 2)
    rows = np.stack([np.zeros_like(event), event, np.where(event < 2, 100 + event, 10**9)], axis=1)
    asks = np.array([[0, 10**6, 101], [0, 10**6, 100], [0, 10**6, 99]], dtype=np.int64)

    assert found(rows, asks) == [1, 0, -1]
