"""Tables of feature rows compared bit for bit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lineshaft.specs import View, row_identity


def sort_rows(view: View, rows: pa.Table) -> pa.Table:
    """Return rows in one order: join keys, event_time, known_at."""
    return rows.sort_by([(name, "ascending") for name in row_identity(view)]).combine_chunks()


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two tables of rows compared bit for bit.

    missing and extra are rows that one side alone has (by keys, event_time and known_at); differing counts values
    whose bits, or whose being null, differ in rows that both have.
    """

    rows: int
    values: int
    missing: int
    extra: int
    differing: int

    @property
    def equal(self) -> bool:
        """Tell whether nothing is missing, extra or different."""
        return not (self.missing or self.extra or self.differing)

    def __add__(self, other: Comparison) -> Comparison:
        """Add up the counts of two comparisons."""
        return Comparison(
            rows=self.rows + other.rows,
            values=self.values + other.values,
            missing=self.missing + other.missing,
            extra=self.extra + other.extra,
            differing=self.differing + other.differing,
        )


def compare_rows(view: View, ours: pa.Table, truth: pa.Table) -> Comparison:
    """Compare two tables of a view's feature rows bit for bit."""
    keys = row_identity(view)
    left, right = sort_rows(view, ours), sort_rows(view, truth)
    left_ids = list(zip(*(_plain(left[k]) for k in keys), strict=True))
    right_ids = list(zip(*(_plain(right[k]) for k in keys), strict=True))
    places = {identity: i for i, identity in enumerate(right_ids)}
    pairs = [(i, places[identity]) for i, identity in enumerate(left_ids) if identity in places]
    mine = pa.array([i for i, _ in pairs], pa.int64())
    theirs = pa.array([i for _, i in pairs], pa.int64())
    return Comparison(
        rows=right.num_rows,
        values=len(pairs) * len(view.features),
        missing=right.num_rows - len({place for _, place in pairs}),
        extra=left.num_rows - len({place for _, place in pairs}),
        differing=sum(differing_values(left[name].take(mine), right[name].take(theirs)) for name in view.feature_names),
    )


def _plain(column: pa.ChunkedArray) -> list[Any]:
    plain = column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column
    values: list[Any] = plain.to_pylist()
    return values


def differing_values(left: pa.ChunkedArray, right: pa.ChunkedArray) -> int:
    """Count the places where two columns differ in a bit or in being null."""
    return int(differing(left, right).sum())


def differing(left: pa.ChunkedArray, right: pa.ChunkedArray) -> NDArray[np.bool_]:
    """Tell for each place whether two columns differ in a bit or in being null.

    >>> differing(pa.chunked_array([[0.0, None, 1.0]]), pa.chunked_array([[-0.0, None, 1.0]])).tolist()
    [True, False, False]
    """
    if pa.types.is_floating(left.type) and left.type == right.type:
        bits = []
        for side in (left, right):
            valid = np.asarray(side.is_valid())
            values = np.asarray(side.fill_null(pa.scalar(0.0, side.type)).to_numpy())
            bits.append((valid, values.view(f"i{values.itemsize}")))
        (valid_a, a), (valid_b, b) = bits
        return np.asarray((valid_a != valid_b) | (a != b), bool)
    pairs = zip(left.to_pylist(), right.to_pylist(), strict=True)
    return np.array([a != b for a, b in pairs], bool)
