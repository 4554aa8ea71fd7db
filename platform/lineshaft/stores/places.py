"""Where the rows of keys lie in matrices that grow: a place for each key, the oldest making room when all are taken."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_FIRST_ROWS = 1024


class Places:
    """Places 0, 1, 2 … of keys. There are `most`; from then on the one that was given first is given anew."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._place: dict[bytes, int] = {}
        self.owner: list[bytes] = []
        self._next = 0
        self.size = min(_FIRST_ROWS, most)
        """Rows that matrices must have for all places given so far; it doubles."""

    def __len__(self) -> int:
        return len(self._place)

    def __contains__(self, key: bytes) -> bool:
        return key in self._place

    def get(self, key: bytes) -> int | None:
        """Return the place of a key, None where it has none."""
        return self._place.get(key)

    def some(self, keys: Sequence[bytes]) -> list[int | None]:
        """Return the place of each key, None where one has none."""
        return list(map(self._place.get, keys))

    def all(self, keys: Sequence[bytes]) -> NDArray[np.intp] | None:
        """Return the places of keys; None unless each has one."""
        try:
            return np.fromiter(map(self._place.__getitem__, keys), np.intp, len(keys))
        except KeyError:
            return None

    def give(self, keys: Sequence[bytes]) -> NDArray[np.intp]:
        """Return the places of keys, giving one to each that has none.

        A key may have had to make room for one after it: two keys then have one place, which is the latter's.
        """
        known = self.all(keys)
        return np.array([self._of(key) for key in keys], np.intp) if known is None else known

    def hand_over(self, key: bytes, to: bytes) -> None:
        """Give the place of a key to one that has none."""
        place = self._place[to] = self._place.pop(key)
        self.owner[place] = to

    def grown(self, matrix: NDArray[Any]) -> NDArray[Any]:
        """Return a matrix with as many rows as `size`, zeros below; itself if it has them."""
        if len(matrix) == self.size:
            return matrix
        larger = np.zeros((self.size, *matrix.shape[1:]), matrix.dtype)
        larger[: len(matrix)] = matrix
        return larger

    def _of(self, key: bytes) -> int:
        place = self._place.get(key)
        if place is None:
            place = self._place[key] = self._room(key)
        return place

    def _room(self, key: bytes) -> int:
        if len(self.owner) < self._most:
            self.owner.append(key)
            if len(self.owner) > self.size:
                self.size = min(2 * self.size, self._most)
            return len(self.owner) - 1
        place, self._next = self._next, (self._next + 1) % self._most
        del self._place[self.owner[place]]
        self.owner[place] = key
        return place
