"""Rows held in memory, view by view: those of numbers as a matrix, those with texts one by one."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Sequence
from itertools import compress

import numpy as np
from numpy.typing import NDArray

from lineshaft.specs import Status
from lineshaft.stores.online_rows import ViewCodec
from lineshaft.stores.places import Places
from lineshaft.stores.ports import Found

_ABSENT_SHARE = 10


class Shelf:
    """The rows of one view: packed and checked, one under the other, found by their keys.

    At most `most` rows are held; the one that was put first goes first. Of keys that have no row a tenth of that is
    held: there is no end of names that nobody has heard of, and they are not to push rows out.
    """

    def __init__(self, width: int, *, most: int) -> None:
        self._places = Places(most)
        size = self._places.size
        self._rows = np.empty((size, width), np.uint8)
        self._status = np.empty(size, np.int8)
        self._fresh = np.zeros(size, np.uint8)
        self._absent = deque[bytes]()
        self._most_absent = max(1, most // _ABSENT_SHARE)
        self.changes = 0

    def __len__(self) -> int:
        return len(self._places)

    def __bool__(self) -> bool:
        return True  # an empty one too

    def find(self, keys: Sequence[bytes]) -> tuple[list[int | None], list[bool]]:
        """Return where the rows of keys lie, and which are not here or not fresh; no list of those means none."""
        places = self._places.some(keys)
        if None in places:
            return places, [place is None or not self._fresh[place] for place in places]
        fresh = self._fresh[np.array(places, np.intp)]
        return places, [] if fresh.all() else (fresh == 0).tolist()

    def take(self, places: Sequence[int | None]) -> tuple[NDArray[np.uint8], NDArray[np.int8]]:
        """Return rows (n x bytes) and their statuses; what stands where no place is given means nothing."""
        at = np.array(places if None not in places else [place or 0 for place in places], np.intp)
        return self._rows[at], self._status[at]

    def known(self, codec: ViewCodec, keys: Sequence[bytes], features: Sequence[str]) -> Found:
        """Return the rows of keys as they were last read, fresh or not; UNAVAILABLE where none was."""
        places = self._places.some(keys)
        rows, status = self.take(places)
        status[[place is None for place in places]] = Status.UNAVAILABLE
        return codec.found(rows, status, features)

    def kept(self) -> tuple[list[bytes], list[bytes]]:
        """Return the keys and packed values of all rows there are."""
        owner = self._places.owner
        at = np.flatnonzero(self._status[: len(owner)] == Status.PRESENT)
        whole, width = self._rows[at].tobytes(), self._rows.shape[1]
        return [owner[i] for i in at.tolist()], [whole[j * width : (j + 1) * width] for j in range(len(at))]

    def remember(
        self, codec: ViewCodec, keys: Sequence[bytes], values: Sequence[bytes | None], features: Sequence[str]
    ) -> Found:
        """Keep values read over another connection, for when the server cannot be asked; return them unpacked."""
        rows, status = codec.rows.checked(values)
        self.put(keys, rows, status, tracked=False)
        return codec.found(rows, status, features)

    def restore(self, codec: ViewCodec, keys: Sequence[bytes], values: Sequence[bytes]) -> None:
        """Put rows kept earlier where nothing was read since; those that fail their check are left out."""
        rows, status = codec.rows.checked(values)
        new = [i for i, key in enumerate(keys) if key not in self._places and status[i] == Status.PRESENT]
        if new:
            self.put([keys[i] for i in new], rows[new], status[new], tracked=False)

    def put(
        self, keys: Sequence[bytes], rows: NDArray[np.uint8], status: NDArray[np.int8], *, tracked: bool = True
    ) -> None:
        """Keep rows just read; fresh if the server tracks them, but corrupt ones are read again each time.

        One that is not tracked leaves a fresh one fresh if it is the same.
        """
        self.changes += 1
        fresh = status != Status.CORRUPT
        if not tracked:
            known = np.array([-1 if place is None else place for place in self._places.some(keys)], np.intp)
            same = (self._rows[known] == rows).all(axis=1) & (self._status[known] == status)
            fresh = (known >= 0) & (self._fresh[known] == 1) & same
        for key in compress(keys, (status == Status.NOT_FOUND).tolist()):
            if key not in self._places:
                self._hold_absent(key)
        at = self._places.give(keys)
        if len(self._rows) < self._places.size:
            self._rows, self._status = self._places.grown(self._rows), self._places.grown(self._status)
            self._fresh = self._places.grown(self._fresh)
        self._rows[at], self._status[at] = rows, status
        self._fresh[at] = fresh

    def _hold_absent(self, key: bytes) -> None:
        """Make room for a key without a row, where there are as many as may be in the place of the one put first."""
        if len(self._absent) == self._most_absent:
            oldest = self._absent.popleft()
            place = self._places.get(oldest)
            if place is not None and self._status[place] == Status.NOT_FOUND:  # it may have got a row
                self._places.hand_over(oldest, key)
        self._absent.append(key)

    def doubtful(self, keys: Sequence[bytes]) -> list[bytes]:
        """Return those of the keys whose rows are not here or not fresh."""
        return list(compress(keys, self.find(keys)[1]))

    def doubt(self, key: bytes | None = None) -> None:
        """Take a row, or every row, as no longer fresh."""
        if key is None:
            self._fresh[:] = 0
        elif (place := self._places.get(key)) is not None:
            self._fresh[place] = 0


class TextShelf:
    """The rows of one view with texts, as the bytes they came in; known, never fresh. The oldest goes first."""

    def __init__(self, *, most: int) -> None:
        self._most = most
        self._values: OrderedDict[bytes, bytes | None] = OrderedDict()
        self.changes = 0

    def remember(
        self, codec: ViewCodec, keys: Sequence[bytes], values: Sequence[bytes | None], features: Sequence[str]
    ) -> Found:
        """Keep values just read, None where there is no row; return them unpacked."""
        self._put(keys, values)
        return codec.unpack(values, features)

    def restore(self, codec: ViewCodec, keys: Sequence[bytes], values: Sequence[bytes]) -> None:
        """Put rows kept earlier where nothing was read since; bytes that fail their check are found out when read."""
        del codec
        fresh = [(key, value) for key, value in zip(keys, values, strict=True) if key not in self._values]
        self._put([key for key, _ in fresh], [value for _, value in fresh])

    def known(self, codec: ViewCodec, keys: Sequence[bytes], features: Sequence[str]) -> Found:
        """Return the rows of keys as they were last read; UNAVAILABLE where none was."""
        found = codec.unpack([self._values.get(key) for key in keys], features)
        unknown = [key not in self._values for key in keys]
        if any(unknown):
            found.status[unknown] = Status.UNAVAILABLE
        return found

    def kept(self) -> tuple[list[bytes], list[bytes]]:
        """Return the keys and values of all rows there are."""
        there = [(key, value) for key, value in self._values.items() if value is not None]
        return [key for key, _ in there], [value for _, value in there]

    def doubtful(self, keys: Sequence[bytes]) -> list[bytes]:
        """Return all of them."""
        return list(keys)

    def doubt(self, key: bytes | None = None) -> None:
        """Do nothing: what is never fresh cannot be doubted."""

    def _put(self, keys: Sequence[bytes], values: Sequence[bytes | None]) -> None:
        self.changes += 1
        for key, value in zip(keys, values, strict=True):
            self._values[key] = value
            self._values.move_to_end(key)
        while len(self._values) > self._most:
            self._values.popitem(last=False)
