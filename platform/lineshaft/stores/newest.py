"""The newest row of each entity of a table: found from keys and times alone, then decoded where it lies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lineshaft.stores.data_files import DataFile
from lineshaft.stores.parquet_read import Snapshot, ahead, micros
from lineshaft.tiles.asof import is_sorted
from lineshaft.tiles.buffers import one_piece

Ints = NDArray[np.int64]
_TIMES = ("event_time", "known_at")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Best:
    """Rows that may be the newest of their entity: keys, times, and where each lies."""

    keys: pa.Table
    event_us: Ints
    known_us: Ints
    group: Ints
    row: Ints

    def thinned(self) -> _Best:
        """Return the newest row of each entity; of rows equal in both times the first stays, as in a join."""
        code = _codes(self.keys)
        backwards = np.arange(len(code))[::-1]
        order = backwards[np.lexsort((self.known_us[::-1], self.event_us[::-1], code[::-1]))]
        return self.rows(np.sort(order[_last_of_each(code[order])]))

    def rows(self, at: Ints) -> _Best:
        """Return some of them, in the order given."""
        keys = self.keys.take(pa.array(at))
        return _Best(
            keys=keys,
            event_us=self.event_us[at],
            known_us=self.known_us[at],
            group=self.group[at],
            row=self.row[at],
        )


def newest(snapshot: Snapshot, columns: pa.Schema, *, most_held: int = 2_000_000) -> Iterator[pa.Table]:
    """Return the newest row of each entity by (event_time, known_at), a row group at a time.

    Memory: keys and times of `most_held` rows or of all entities, whichever is more, and a few row groups.
    """
    groups = list(_groups(snapshot))
    if not groups:
        return
    if len(groups) == 1:  # then there is nothing to find out first
        table = _decoded(snapshot, groups[0], columns)
        yield _plain(_rows(table, _newest_rows(snapshot, table)), columns)
        return
    best = _found(snapshot, groups, most_held)
    visits = ((groups[which], np.sort(best.row[best.group == which])) for which in np.unique(best.group).tolist())
    for (_, rows), table in ahead(visits, lambda visit: _decoded(snapshot, visit[0], columns)):
        yield _plain(_rows(table, rows), columns)


def _groups(snapshot: Snapshot) -> Iterator[tuple[DataFile, int]]:
    for file in snapshot.files:
        opened = snapshot.open(file)
        for number in range(opened.num_row_groups):
            yield file, number


def _found(snapshot: Snapshot, groups: list[tuple[DataFile, int]], most_held: int) -> _Best:
    names = [*snapshot.keys, *_TIMES]
    held: list[_Best] = []
    tasks = ahead(iter(groups), lambda group: snapshot.group(*group, names))
    for which, (_, table) in enumerate(tasks):
        row = _newest_rows(snapshot, table)
        part = _rows(table, row)
        event_us, known_us = (micros(part[name]) for name in _TIMES)
        keys = part.select(list(snapshot.keys))
        held.append(_Best(keys=keys, event_us=event_us, known_us=known_us, group=np.full(len(row), which), row=row))
        if sum(len(one.row) for one in held) > most_held:
            held = [_together(held)]
    return _together(held)


def _together(parts: list[_Best]) -> _Best:
    whole = _Best(
        keys=pa.concat_tables([part.keys for part in parts]),
        event_us=np.concatenate([part.event_us for part in parts]),
        known_us=np.concatenate([part.known_us for part in parts]),
        group=np.concatenate([part.group for part in parts]),
        row=np.concatenate([part.row for part in parts]),
    )
    return whole.thinned()


def _newest_rows(snapshot: Snapshot, table: pa.Table) -> Ints:
    """Return where in one row group the newest row of each entity lies, in order."""
    code = _codes(table.select(list(snapshot.keys)))
    event_us, known_us = (micros(table[name]) for name in _TIMES)
    if is_sorted(code, event_us, known_us):
        return _last_of_each(code)
    order = np.lexsort((known_us, event_us, code))
    return np.sort(order[_last_of_each(code[order])])


def _last_of_each(code: Ints) -> Ints:
    """Return where each run of equal codes ends."""
    ends: Ints = np.flatnonzero(np.append(code[1:] != code[:-1], True)) if len(code) else np.zeros(0, np.int64)
    return ends


def _codes(keys: pa.Table) -> Ints:
    """Return a number for each row, the same for the same keys; rising where rows come sorted by one key."""
    code: Ints = np.zeros(keys.num_rows, np.int64)
    for column in keys.columns:
        whole = one_piece(column)
        encoded = whole if pa.types.is_dictionary(whole.type) else whole.dictionary_encode()
        code = code * len(encoded.dictionary) + encoded.indices.to_numpy(zero_copy_only=False)
        if keys.num_columns > 1:  # before the next one: products of many keys would outgrow the integers
            code = np.unique(code, return_inverse=True)[1].astype(np.int64)
    return code


def _decoded(snapshot: Snapshot, group: tuple[DataFile, int], columns: pa.Schema) -> pa.Table:
    return snapshot.group(*group, columns.names)


def _rows(table: pa.Table, rows: Ints) -> pa.Table:
    return table if len(rows) == table.num_rows else table.take(pa.array(rows))


def _plain(table: pa.Table, columns: pa.Schema) -> pa.Table:
    """Return columns as a schema has them, keys written out."""
    return pa.table([table[field.name].cast(field.type) for field in columns], schema=columns)
