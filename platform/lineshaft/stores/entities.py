"""Numbers for entities: join keys of any type become small integers that sort as the keys do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Ints = NDArray[np.int64]


class EntityCodes:
    """The entities of a request, numbered from 0 in the order of their keys.

    >>> codes = EntityCodes(pa.table({"asset": ["b", "a", "b"]}))
    >>> codes.of_request.tolist(), codes.number(pa.table({"asset": ["z", "b"]})).tolist()
    ([1, 0, 1], [-1, 1])
    """

    def __init__(self, keys: pa.Table) -> None:
        self._values: list[pa.Array] = []
        self._pairs: list[Ints] = []
        code: Ints = np.zeros(keys.num_rows, np.int64)
        for column in keys.columns:
            values = column.unique()
            values = values.take(pc.sort_indices(values))
            pair = code * len(values) + _lookup(column, values)
            known, code = np.unique(pair, return_inverse=True)
            code = code.astype(np.int64)
            self._values.append(values)
            self._pairs.append(known)
        self.of_request = code
        self.count = int(code.max()) + 1 if len(code) else 0

    def number(self, keys: pa.Table) -> Ints:
        """Return the number of each row's entity, -1 for one nobody asked for."""
        if not self.count:
            return np.full(keys.num_rows, -1)
        code: Ints = np.zeros(keys.num_rows, np.int64)
        for column, values, known in zip(keys.columns, self._values, self._pairs, strict=True):
            part = _lookup(column, values)
            here = (code >= 0) & (part >= 0)
            pair = code * len(values) + part
            code = pair
            if values is not self._values[0]:  # every value of the first key is a pair of its own, in the same order
                code = np.minimum(np.searchsorted(known, pair), len(known) - 1).astype(np.int64)
                here &= known[code] == pair
            code = code if here.all() else np.where(here, code, -1)
        return code

    def span(self, low: Any, high: Any) -> tuple[int, int]:
        """Return the first and last number whose first key lies in [low, high]; first > last where none does."""
        if low is None or high is None:
            return 0, self.count - 1
        values = self._values[0]
        low, high = pa.scalar(low, values.type), pa.scalar(high, values.type)
        within = pc.and_(pc.greater_equal(values, low), pc.less_equal(values, high)).fill_null(False)  # noqa: FBT003
        inside = np.flatnonzero(within.to_numpy(zero_copy_only=False))
        if not len(inside):
            return 0, -1
        first = np.arange(self.count)
        for known, later in zip(self._pairs[:0:-1], self._values[:0:-1], strict=True):
            first = known[first] // len(later)  # back to the number made of one key less
        return int(np.searchsorted(first, inside[0])), int(np.searchsorted(first, inside[-1], side="right")) - 1


def _lookup(column: pa.ChunkedArray, values: pa.Array) -> Ints:
    """Return the place of each cell in sorted unique values, -1 where it is not there."""
    parts = []
    for chunk in column.chunks:
        if pa.types.is_dictionary(chunk.type):
            places = _places(chunk.dictionary, values)
            parts.append(places[chunk.indices.to_numpy(zero_copy_only=False)])
        else:
            parts.append(_places(chunk, values))
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)


def _places(cells: pa.Array, values: pa.Array) -> Ints:
    found: Ints = pc.index_in(cells, value_set=values).fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return found
