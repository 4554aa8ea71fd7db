"""The point-in-time join: for each ask the newest row it could have been answered with. Pure NumPy.

An ask is (entity, at, known); its answer is the newest row by (event_time, known_at) of that entity among the rows
with event_time <= at and known_at <= known. Rows arrive in groups, in any order and however they were cut; a group
costs one binary search per ask that it could still improve.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

NEVER = int(np.iinfo(np.int64).min)
"""The event time of "nothing found yet": older than any row."""

_STEPS = 8  # rows walked back one at a time before a table of minima pays for itself


def newest_known(
    *, code: Ints, event_us: Ints, known_us: Ints, ask_code: Ints, ask_at_us: Ints, ask_known_us: Ints
) -> Ints:
    """Return for each ask the index of its answer among the rows, -1 where there is none.

    Rows are sorted by (code, event_us, known_us). Times in microseconds; codes are any integers.

    >>> row = dict(code=np.array([0, 0, 0]), event_us=np.array([10, 20, 20]), known_us=np.array([11, 21, 90]))
    >>> newest_known(**row, ask_code=np.array([0, 0, 0, 1]), ask_at_us=np.array([9, 30, 99, 30]),
    ...     ask_known_us=np.array([9, 30, 99, 30])).tolist()
    [-1, 1, 2, -1]
    """
    if not len(code) or not len(ask_code):
        return np.full(len(ask_code), -1, np.int64)
    row_key, ask_key = _composite(code, event_us, ask_code, ask_at_us)
    found = np.searchsorted(row_key, ask_key, side="right").astype(np.int64) - 1
    late = np.flatnonzero((found >= 0) & (known_us[found] > ask_known_us))
    if len(late):
        found[late] = _earlier_known(known_us, found[late], ask_known_us[late])
    other = code[found] != ask_code
    found[other] = -1
    return found


def _composite(code: Ints, event_us: Ints, ask_code: Ints, ask_at_us: Ints) -> tuple[Ints, Ints]:
    """Fold (code, time) of rows and asks into one integer that sorts the same way."""
    first, oldest = int(code[0]), int(event_us.min())
    span = int(event_us.max()) - oldest + 1
    if (int(code[-1]) - first + 2) * span < 2**62:
        row_offset, ask_offset = event_us - oldest, np.clip(ask_at_us, oldest - 1, oldest + span - 1) - oldest
    else:  # many entities over a long time: ranks instead of microseconds always fit
        times = np.unique(event_us)
        span = len(times)
        row_offset = np.searchsorted(times, event_us).astype(np.int64)
        ask_offset = np.searchsorted(times, ask_at_us, side="right").astype(np.int64) - 1
    ask_code = np.clip(ask_code, first - 1, int(code[-1]) + 1)
    return (code - first) * span + row_offset, (ask_code - first) * span + ask_offset


def _earlier_known(known_us: Ints, start: Ints, limit_us: Ints) -> Ints:
    """Return the largest index <= start whose known_us is <= limit_us, -1 where there is none."""
    at = start.copy()
    open_ = np.arange(len(at))
    for _ in range(_STEPS):
        at[open_] -= 1
        here = at[open_]
        open_ = open_[(here >= 0) & (known_us[here] > limit_us[open_])]
        if not len(open_):
            return at
    at[open_] = _descend(known_us, at[open_], limit_us[open_])
    return at


def _descend(known_us: Ints, at: Ints, limit_us: Ints) -> Ints:
    """Do what `_earlier_known` does in log2(rows) steps, over minima of windows of 1, 2, 4, ... rows."""
    minima = [known_us]
    width = 1
    while width < len(known_us):
        wider = minima[-1].copy()
        np.minimum(wider[width:], minima[-1][:-width], out=wider[width:])
        minima.append(wider)
        width *= 2
    for level in range(len(minima) - 1, -1, -1):
        skip = (at >= 0) & (minima[level][np.maximum(at, 0)] > limit_us)
        at = np.where(skip, np.maximum(at - (1 << level), -1), at)
    return at


def order_by(major: Ints, minor: Ints) -> Ints:
    """Return the order of pairs, as one sort of one integer where they fit (several times faster than two).

    >>> order_by(np.array([1, 0, 1]), np.array([5, 9, 4])).tolist()
    [1, 2, 0]
    """
    if not len(major):
        return np.zeros(0, np.int64)
    first, low = int(major.min()), int(minor.min())
    span = int(minor.max()) - low + 1
    if (int(major.max()) - first + 1) * span < 2**62:
        return np.argsort((major - first) * span + (minor - low))
    return np.lexsort((minor, major))


class AsOf:
    """The answers to a set of asks, improved by one group of rows after another.

    `code` numbers the entities asked for from 0. The answers stand in the order asked: `event_us`, `known_us`,
    `group` (-1 where nothing was found) and `row`, the row's place in its group as it was given.
    """

    def __init__(self, *, code: Ints, at_us: Ints, known_us: Ints) -> None:
        asks = len(code)
        self._order = order_by(code, at_us)
        self._code, self._at, self._known = code[self._order], at_us[self._order], known_us[self._order]
        entities = int(code.max()) + 1 if asks else 0
        self._starts = np.searchsorted(self._code, np.arange(entities + 1))
        self._best_event, self._best_known = np.full(asks, NEVER), np.full(asks, NEVER)
        self._group, self._row = np.full(asks, -1, np.int64), np.zeros(asks, np.int64)

    def _span(self, first: int, last: int) -> slice:
        """Return where the asks of the entities first..last lie."""
        return slice(int(self._starts[first]), int(self._starts[last + 1]))

    def wants(self, *, oldest_us: int, newest_us: int, first: int, last: int) -> bool:
        """Say whether rows of these times and of the entities first..last could improve any answer."""
        if first > last or not len(self._code):
            return False
        here = self._span(first, last)
        return bool(np.any((self._at[here] >= oldest_us) & (self._best_event[here] <= newest_us)))

    def fold(self, group: int, *, code: Ints, event_us: Ints, known_us: Ints) -> None:
        """Take in one group of rows, in any order; codes that no ask has are of entities nobody asked for."""
        place: Ints | None = None
        if len(code) and not 0 <= int(code.min()) <= int(code.max()) < len(self._starts) - 1:
            place = np.flatnonzero((code >= 0) & (code < len(self._starts) - 1))
            code, event_us, known_us = code[place], event_us[place], known_us[place]
        if not len(code):
            return
        if not is_sorted(code, event_us, known_us):
            order = np.lexsort((known_us, event_us, code))
            code, event_us, known_us = code[order], event_us[order], known_us[order]
            place = order if place is None else place[order]
        here = self._span(int(code[0]), int(code[-1]))
        open_ = (self._at[here] >= event_us.min()) & (self._best_event[here] <= event_us.max())
        asks = here.start + np.flatnonzero(open_)
        found = newest_known(
            code=code,
            event_us=event_us,
            known_us=known_us,
            ask_code=self._code[asks],
            ask_at_us=self._at[asks],
            ask_known_us=self._known[asks],
        )
        hit = found >= 0
        self._improve(asks[hit], group, event_us[found[hit]], known_us[found[hit]], found[hit], place)

    def _improve(self, asks: Ints, group: int, event_us: Ints, known_us: Ints, found: Ints, place: Ints | None) -> None:
        best = self._best_event[asks]
        newer = (event_us > best) | ((event_us == best) & (known_us > self._best_known[asks]))
        asks, found = asks[newer], found[newer]
        self._best_event[asks], self._best_known[asks] = event_us[newer], known_us[newer]
        self._group[asks], self._row[asks] = group, found if place is None else place[found]

    def _as_asked(self, answers: Ints) -> Ints:
        out = np.empty_like(answers)
        out[self._order] = answers
        return out

    @property
    def event_us(self) -> Ints:
        """Event time of each answer, `NEVER` where nothing was found."""
        return self._as_asked(self._best_event)

    @property
    def known_us(self) -> Ints:
        """Known-at time of each answer, `NEVER` where nothing was found."""
        return self._as_asked(self._best_known)

    @property
    def group(self) -> Ints:
        """Group of each answer, -1 where nothing was found."""
        return self._as_asked(self._group)

    @property
    def row(self) -> Ints:
        """Row of each answer within its group."""
        return self._as_asked(self._row)


def is_sorted(code: Ints, event_us: Ints, known_us: Ints) -> bool:
    """Say whether rows lie in order of (code, event_us, known_us)."""
    step = np.diff(code)
    if np.any(step < 0):
        return False
    event = np.diff(event_us)
    same = step == 0
    if np.any(same & (event < 0)):
        return False
    return not np.any(same & (event == 0) & (np.diff(known_us) < 0))
