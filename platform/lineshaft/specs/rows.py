"""Feature rows: one entity at one tick, as it was known at one time."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from lineshaft.specs.views import View

TIMESTAMP = pa.timestamp("us", tz="UTC")

ARROW_TYPES: dict[str, pa.DataType] = {
    "float64": pa.float64(),
    "float32": pa.float32(),
    "int64": pa.int64(),
    "int32": pa.int32(),
    "bool": pa.bool_(),
    "string": pa.string(),
    "bytes": pa.binary(),
    "timestamp": TIMESTAMP,
}
"""Feature dtypes by name; computed features are always float64."""


class Status(IntEnum):
    """What an answered value is worth. The same statuses come back offline and online."""

    UNSPECIFIED = 0
    PRESENT = 1
    NULL = 2  # the row is there and fresh, the value is undefined
    NOT_FOUND = 3  # no row of this entity was known at the time asked for
    STALE = 4  # the newest row is older than the view's ttl; the value is withheld, its age is given
    CORRUPT = 5  # the stored bytes fail their checksum or schema
    UNAVAILABLE = 6  # the store could not be asked, and no earlier row of this entity is known here
    IMPUTED = 7  # nothing was measured, or nothing fresh: the service's own constant stands in


PRESENT = np.int8(Status.PRESENT)
"""PRESENT as arrays of statuses hold it: comparing an array with the enum itself takes ten times as long."""


def entity_columns(view: View) -> list[pa.Field]:
    """Return the join-key columns of a view, in declared order."""
    return [pa.field(name, ARROW_TYPES[dtype], nullable=False) for name, dtype in view.entity_keys]


def row_schema(view: View, features: Sequence[str] | None = None) -> pa.Schema:
    """Return the Arrow schema of a view's feature rows.

    Columns: join keys, `event_time`, `known_at` (both timestamp[us, UTC]), then the features in declared order.
    """
    wanted = None if features is None else set(features)
    columns = [pa.field(f.name, ARROW_TYPES[f.dtype]) for f in view.features if wanted is None or f.name in wanted]
    times = [pa.field("event_time", TIMESTAMP, nullable=False), pa.field("known_at", TIMESTAMP, nullable=False)]
    return pa.schema([*entity_columns(view), *times, *columns])


def row_identity(view: View) -> list[str]:
    """Return the columns that tell one row version from another, in the order rows are sorted by."""
    return [*(name for name, _ in view.entity_keys), "event_time", "known_at"]
