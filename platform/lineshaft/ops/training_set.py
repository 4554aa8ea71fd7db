"""Training sets: what a server could have answered at each entity row's time, by the code that answers serving."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lineshaft.errors import CorruptError, InputError
from lineshaft.registry.catalog_values import Catalog
from lineshaft.specs import Service, View
from lineshaft.specs.rows import ARROW_TYPES
from lineshaft.stores.ports import Found, FoundTogether, OfflineStore, Wanted
from lineshaft.tiles.answer import Answer, answer_rows
from lineshaft.tiles.joined import join
from lineshaft.tiles.keys import Keys

AT_COLUMN = "event_time"
KNOWN_COLUMN = "known_at"
_LONG_AGO = int(np.iinfo(np.int64).min)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """Consecutive entity rows with their answer."""

    entities: pa.Table
    answer: Answer

    def table(self) -> pa.Table:
        """Return the entity columns followed by the feature columns."""
        table = self.entities
        for name in self.answer.columns.column_names:
            table = table.append_column(name, self.answer.columns[name])
        return table


def training_set(
    catalog: Catalog, offline: OfflineStore, service: str, entities: pa.Table, *, versions: dict[str, int] | None = None
) -> Iterator[Chunk]:
    """Answer a service for every entity row, point in time, in the order given.

    entities: join keys, `event_time` (timestamp, the moment asked about), the fields of the request that on-demand
    features read, and any further columns (labels); all are carried along. An optional `known_at` column asks what was
    known at another moment than `event_time`.
    versions: pinned table versions by view name; none means the newest.
    """
    spec = catalog.service(service)
    views = [catalog.view(used.view, used.version) for used in spec.views]
    at_us = _times(entities, AT_COLUMN)
    known_us = _times(entities, KNOWN_COLUMN) if KNOWN_COLUMN in entities.column_names else at_us
    pins = versions or {}
    found = [
        offline.as_of(
            Wanted(view=view, features=used.features, keys=entity_keys(view, entities)),
            at_us,
            known_us=known_us,
            version=pins.get(view.name),
        )
        for used, view in zip(spec.views, views, strict=True)
    ]
    start = 0
    for parts in _aligned(found):
        stop = start + parts[0].rows.num_rows
        for view, part in zip(views, parts, strict=True):
            _refuse_later(view, part.rows, at_us[start:stop], known_us[start:stop])
        own = entities.slice(start, stop - start)
        yield Chunk(entities=own, answer=answer(spec, views, parts, at_us[start:stop], own))
        start = stop


def _refuse_later(view: View, rows: pa.Table, at_us: NDArray[np.int64], known_us: NDArray[np.int64]) -> None:
    """Raise `CorruptError` for a row that is of later than the moment asked about, or was not known by then.

    A store that gave one would teach models the future; this is what its answers are held against, once more.
    """
    for column, limit in (("event_time", at_us), ("known_at", known_us)):
        found = pc.fill_null(rows[column].cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()), _LONG_AGO)
        late = np.flatnonzero(np.asarray(found.to_numpy()) > limit)
        if len(late):
            raise CorruptError(
                f"{len(late)} rows of {view.name!r} say {column} is later than the moment asked about",
                where=f"row {late[0]}, {int(found[int(late[0])].as_py()) - int(limit[late[0]])} us later",
                fix="do not train on these answers; report the offline store",
            )


def answer(
    service: Service,
    views: Sequence[View],
    found: Sequence[Found],
    at_us: NDArray[np.int64],
    request: pa.Table | Keys | None = None,
) -> Answer:
    """Answer a service from what a store found, whichever store that was.

    request: what was asked with, keys and the numbers beside them; None where the service reads none of these.
    """
    if isinstance(found, FoundTogether):
        return answer_rows(service, views, found.joined, at_us, request)
    parts = [(one.sheet, one.status, used.features) for used, one in zip(service.views, found, strict=True)]
    return answer_rows(service, views, join(parts), at_us, request)


def entity_keys(view: View, entities: pa.Table) -> pa.Table:
    """Return the join keys of a view from a request, in the view's own types.

    Raises `InputError` naming the key that is missing or of the wrong type.
    """
    columns = {}
    for name, dtype in view.entity_keys:
        if name not in entities.column_names:
            raise InputError(
                f"view {view.name!r} is keyed by {name!r}, which the request lacks",
                where=f"columns given: {', '.join(entities.column_names)}",
                fix=f"add a column {name!r} ({dtype})",
            )
        column = entities[name]
        if column.null_count:
            raise InputError(f"entity key {name!r} holds {column.null_count} nulls", fix="give every row its key")
        if column.type == ARROW_TYPES[dtype]:
            columns[name] = column
            continue
        try:
            columns[name] = column.cast(ARROW_TYPES[dtype])
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise InputError(f"entity key {name!r} is {column.type}, not {dtype}", fix=f"send {dtype}") from error
    return pa.table(columns)


def fingerprint(table: pa.Table) -> str:
    """Return the SHA-256 of a training set's schema and values, independent of chunks and of bytes under nulls."""
    digest = hashlib.sha256(str(table.schema.remove_metadata()).encode())
    for column in table.columns:
        digest.update(np.asarray(column.is_valid()).tobytes())
        sink = pa.BufferOutputStream()
        values = pa.table({"c": _bare(column.drop_null().combine_chunks())})
        with pa.ipc.new_stream(sink, values.schema) as writer:
            writer.write_table(values)
        digest.update(sink.getvalue())
    return digest.hexdigest()


def _bare(values: pa.Array) -> pa.Array:
    """Return values without nulls in the one form of no validity bitmap; nested types are left as they are."""
    if pa.types.is_nested(values.type) or pa.types.is_dictionary(values.type):
        return values
    return pa.Array.from_buffers(values.type, len(values), [None, *values.buffers()[1:]], offset=values.offset)


def _times(entities: pa.Table, name: str) -> NDArray[np.int64]:
    if name not in entities.column_names:
        raise InputError(
            f"the entity rows have no column {name!r}",
            where=f"columns given: {', '.join(entities.column_names)}",
            fix=f"add {name!r}: the moment each row asks about, as a timestamp",
        )
    column = entities[name]
    if not pa.types.is_timestamp(column.type):
        raise InputError(f"column {name!r} is {column.type}", fix="send timestamps (naive ones are read as UTC)")
    if column.null_count:
        raise _bad_times(name, "holds nulls", np.asarray(column.is_null()), fix="give every row its time")
    try:
        moments = column.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())
    except pa.ArrowInvalid as error:
        bad = ~_exact(column)
        raise _bad_times(name, str(error), bad, fix="send whole microseconds within 292,000 years") from error
    return np.asarray(moments.to_numpy(), dtype=np.int64)


def _exact(column: pa.ChunkedArray) -> NDArray[np.bool_]:
    """Tell of each time whether microseconds hold it, no more and no less."""
    per_unit, units_per = {"s": (1_000_000, 1), "ms": (1000, 1), "us": (1, 1), "ns": (1, 1000)}[column.type.unit]
    units = np.asarray(column.cast(pa.int64()).to_numpy(), dtype=np.int64)
    most = np.iinfo(np.int64).max // per_unit
    return np.asarray((units % units_per == 0) & (units >= -most) & (units <= most))


def _bad_times(name: str, what: str, bad: NDArray[np.bool_], *, fix: str) -> InputError:
    return InputError(f"column {name!r}: {what}", where=rows_at_fault(bad), fix=fix)


def rows_at_fault(bad: NDArray[np.bool_]) -> str:
    """Say how many rows are bad, and which is the first.

    >>> rows_at_fault(np.array([False, True, True]))
    '2 of 3 rows, the first in row 1, counted from 0'
    """
    return f"{int(bad.sum()):,} of {len(bad):,} rows, the first in row {int(bad.argmax()):,}, counted from 0"


def _aligned(streams: Sequence[Iterator[Found]]) -> Iterator[list[Found]]:
    """Cut streams of chunks at the same rows, so that views whose stores chunk differently can be put side by side."""
    held: list[Found | None] = [None] * len(streams)
    while True:
        for i, stream in enumerate(streams):
            current = held[i]
            if current is None or not current.rows.num_rows:
                held[i] = next(stream, None)
        ready = [part for part in held if part is not None]
        if len(ready) < len(streams):
            return
        rows = min(part.rows.num_rows for part in ready)
        yield [Found(rows=part.rows.slice(0, rows), status=part.status[:rows]) for part in ready]
        held = [Found(rows=part.rows.slice(rows), status=part.status[rows:]) for part in ready]
