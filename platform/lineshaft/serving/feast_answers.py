"""An answer as Feast's clients read it: join keys first, then features, each column with statuses and event times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from google.protobuf.timestamp_pb2 import Timestamp

from lineshaft.errors import InputError
from lineshaft.serving.features import Asked, Served
from lineshaft.serving.references import column_of, heading_of
from lineshaft.specs import Status
from lineshaft.specs.feast import FIELD_STATUSES, VALUE_FIELDS
from lineshaft.specs.rows import ARROW_TYPES
from lineshaft.tiles.answer import UNKNOWN_AGE_US
from lineshaft.tiles.keys import Column, Keys

_FIELDS = {kind.id: VALUE_FIELDS[dtype] for dtype, kind in ARROW_TYPES.items()}
_WORDS = [FIELD_STATUSES.get(status, "INVALID") for status in Status]
_SECOND_US = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class FeastColumn:
    """One column: `values` in the field of Feast's `Value` that holds them, None where there is none to give out.

    statuses: in Feast's words. times_us: the event time of each value's row; 0 of keys, of on-demand features, and
    where there is no row.
    """

    name: str
    field: str
    values: Sequence[Any]
    statuses: Sequence[str]
    times_us: Sequence[int]


def feast_columns(served: Served, asked: Asked, entities: Keys, *, full_names: bool) -> list[FeastColumn]:
    """Return the columns of an answer: all of a service's, or those referred to, in the order asked.

    Raises `InputError` where two columns would have one name.
    """
    answer, zeros = served.answer, [0] * entities.num_rows
    event_us = {
        view: np.where(age == UNKNOWN_AGE_US, 0, served.at_us - age).tolist() for view, age in answer.age_us.items()
    }
    columns = [_key(name, entities.columns[name], zeros) for name in served.plan.join_keys if name in entities.columns]
    named = (
        {name: name for name in answer.sheet.names}
        if isinstance(asked, str)
        else {heading_of(reference): column_of(reference) for reference in asked}
    )
    place = {name: i for i, name in enumerate(answer.sheet.names)}
    for heading, name in named.items():
        view, _, feature = name.partition("__")
        values = answer.columns.column(place[name])
        columns.append(
            FeastColumn(
                name=heading if full_names else feature,
                field=_FIELDS[values.type.id],
                values=_plain(values),
                statuses=[_WORDS[status] for status in answer.status[:, place[name]].tolist()],
                times_us=event_us.get(view, zeros),
            )
        )
    return _told_apart(columns)


def stamp(us: int) -> Timestamp:
    """Return a moment as protobuf has it: one before the year 1 or after 9999 as the first or last there is."""
    us = min(max(us, _FIRST_US), _LAST_US)
    return Timestamp(seconds=us // 1_000_000, nanos=us % 1_000_000 * 1000)


_FIRST_US, _LAST_US = -62_135_596_800_000_000, 253_402_300_799_999_999


def _key(name: str, values: Column, zeros: Sequence[int]) -> FeastColumn:
    """Return a join key as it was given."""
    whole = isinstance(values, np.ndarray)
    return FeastColumn(
        name=name,
        field=VALUE_FIELDS["int64" if whole else "string"],
        values=values.tolist() if isinstance(values, np.ndarray) else values,
        statuses=[FIELD_STATUSES[Status.PRESENT]] * len(values),
        times_us=zeros,
    )


def _plain(values: pa.ChunkedArray) -> list[Any]:
    """Return plain values; a timestamp is cut to seconds, since Feast's message has no more."""
    if pa.types.is_timestamp(values.type):
        return [None if us is None else us // _SECOND_US for us in values.cast(pa.int64()).to_pylist()]
    held: list[Any] = values.to_pylist()
    return held


def _told_apart(columns: list[FeastColumn]) -> list[FeastColumn]:
    names = [column.name for column in columns]
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if twice:
        what = f"several columns of the answer would be called {', '.join(twice[:5])}"
        raise InputError(what, fix="set full_feature_names, which puts the view's name before each")
    return columns
