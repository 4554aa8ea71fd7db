"""The point-in-time join over Parquet files: find first, fetch after.

1. Find: of each row group that could hold an answer decode only keys and times, and fold them into `tiles.asof`.
   Files come newest first; where every ask is answered from newer rows, older row groups are skipped by their
   statistics. Nothing is kept of a row group but the answers it improved.
2. Fetch (`fetch.py`): decode the wanted columns of the row groups that hold answers, each column once, and scatter
   the values to the order asked. When the answers outgrow the budget, a few columns at a time go to a temporary file
   and are streamed back in rows.

Right for files in any order and of any size; fast for compacted ones.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from lineshaft.errors import InputError
from lineshaft.specs import Status, View, entity_columns, row_schema
from lineshaft.stores.data_files import DataFile
from lineshaft.stores.entities import EntityCodes
from lineshaft.stores.fetch import Budget, Fetched, cuts, plan
from lineshaft.stores.parquet_read import Snapshot, ahead, bounds, micros
from lineshaft.stores.ports import Found, Wanted
from lineshaft.tiles.asof import NEVER, AsOf
from lineshaft.tiles.keys import Keys, table_of

Ints = NDArray[np.int64]
_TIMES = ("event_time", "known_at")
_FOREVER = int(np.iinfo(np.int64).max)


def join(
    snapshot: Snapshot, wanted: Wanted, *, at_us: Ints, known_us: Ints, budget: Budget | None = None
) -> Iterator[Found]:
    """Answer every ask, in the order asked, in chunks; one empty chunk where nothing was asked."""
    budget = budget or Budget()
    schema = answer_schema(wanted.view, wanted.features)
    codes = EntityCodes(request_keys(wanted.view, wanted.keys))
    asof = AsOf(code=codes.of_request, at_us=at_us, known_us=known_us)
    visits = plan(asof, _find(snapshot, codes, asof))
    times = {"event_time": asof.event_us, "known_at": asof.known_us}
    del asof, codes  # a million asks keep 100 MB in them
    missing = times["event_time"] == NEVER
    with Fetched(snapshot, missing, budget) as fetched:
        fetched.fetch(visits, [field for field in schema if field.name not in _TIMES])
        del visits
        for start, length in cuts(len(missing), budget):
            rows = slice(start, start + length)
            columns: dict[str, pa.Array | pa.ChunkedArray] = dict(fetched.rows(start, length))
            for name in _TIMES:
                columns[name] = pa.array(times[name][rows], mask=missing[rows]).view(schema.field(name).type)
            status = np.where(missing[rows], Status.NOT_FOUND, Status.PRESENT).astype(np.int8)
            yield Found(rows=pa.table([columns[name] for name in schema.names], schema=schema), status=status)


def request_keys(view: View, given: pa.Table | Keys) -> pa.Table:
    """Return the join keys of a request as the view declares them.

    Raises
    ------
    InputError
        If a key is missing or of another type.
    """
    keys = table_of(given)
    fields = [pa.field(field.name, field.type) for field in entity_columns(view)]
    missing = [field.name for field in fields if field.name not in keys.column_names]
    if missing:
        raise InputError(f"join keys missing: {', '.join(missing)}", where=view.ref, fix="give every key of the view")
    try:
        return pa.table([keys[field.name].cast(field.type) for field in fields], schema=pa.schema(fields))
    except pa.ArrowInvalid as error:
        raise InputError(f"join keys of another type: {error}", where=view.ref, fix="cast them first") from error


def answer_schema(view: View, features: tuple[str, ...]) -> pa.Schema:
    """Return the schema of found rows: the times, then the features in declared order; everything may be null.

    Raises
    ------
    InputError
        If the view has no such feature.
    """
    unknown = sorted(set(features) - set(view.feature_names))
    if unknown:
        raise InputError(f"{view.ref} has no {', '.join(unknown)}", where=view.where, fix="ask for declared features")
    keys = {name for name, _ in view.entity_keys}
    fields = [field for field in row_schema(view, features) if field.name not in keys]
    return pa.schema([pa.field(field.name, field.type) for field in fields])


def _find(snapshot: Snapshot, codes: EntityCodes, asof: AsOf) -> list[tuple[DataFile, int]]:
    """Fold keys and times of all row groups that matter into `asof`; return the row groups, numbered as folded."""
    groups: list[tuple[DataFile, int]] = []
    columns = [*snapshot.keys, *_TIMES]

    def decode(task: tuple[DataFile, pq.ParquetFile, int]) -> pa.Table:
        file, opened, number = task
        return snapshot.group(file, number, columns, opened=opened)

    for (file, _, number), table in ahead(_hopeful(snapshot, codes, asof), decode):
        asof.fold(
            len(groups),
            code=codes.number(table.select(list(snapshot.keys))),
            event_us=micros(table["event_time"]),
            known_us=micros(table["known_at"]),
        )
        groups.append((file, number))
    return groups


def _hopeful(snapshot: Snapshot, codes: EntityCodes, asof: AsOf) -> Iterator[tuple[DataFile, pq.ParquetFile, int]]:
    """Return the row groups that could still improve an answer, judged when they are asked for."""
    everyone = {"first": 0, "last": codes.count - 1}
    for file in snapshot.files:
        oldest, newest = _or_any(file.oldest_us, file.newest_us)
        if not asof.wants(oldest_us=oldest, newest_us=newest, **everyone):
            continue
        opened = snapshot.open(file)
        for number in range(opened.num_row_groups):
            first, last = codes.span(*bounds(opened, number, snapshot.keys[0]))
            oldest, newest = _or_any(*bounds(opened, number, "event_time"))
            if asof.wants(oldest_us=oldest, newest_us=newest, first=first, last=last):
                yield file, opened, number


def _or_any(oldest_us: int | None, newest_us: int | None) -> tuple[int, int]:
    """Return bounds that hold every time where none are stated."""
    return (NEVER if oldest_us is None else oldest_us), (_FOREVER if newest_us is None else newest_us)
