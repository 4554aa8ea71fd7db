"""The offline store in memory: the same promises, kept by plain loops. For tests and first steps, not for size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lineshaft.errors import InputError, NotFoundError
from lineshaft.specs import BLOCK_SCHEMA, Source, Status, View, row_identity, row_schema
from lineshaft.stores.amendment import without
from lineshaft.stores.parquet_write import conform
from lineshaft.stores.point_in_time import answer_schema, request_keys
from lineshaft.stores.ports import Found, Unneeded, Wanted

Ints = NDArray[np.int64]


@dataclass(slots=True)
class _Table:
    """The rows of each version, one version a batch."""

    schema: pa.Schema
    versions: list[pa.Table] = field(default_factory=list)
    batches: set[str] = field(default_factory=set)

    def append(self, table: pa.Table, *, batch: str, where: str, instead: Sequence[str] = ()) -> int:
        """Add rows, in the place of those of the same identity where one is named."""
        table = conform(table, self.schema, where=where)
        if table.num_rows and batch not in self.batches:
            held = self.at(None)
            held = without(held, table, identity=instead) if instead else held
            self.versions.append(pa.concat_tables([held, table]))
            self.batches.add(batch)
        return self.version

    @property
    def version(self) -> int:
        return len(self.versions) - 1

    def at(self, version: int | None) -> pa.Table:
        number = self.version if version is None else version
        if not -1 <= number <= self.version:
            raise NotFoundError(f"there is no version {version}", fix=f"the newest is {self.version}")
        return self.schema.empty_table() if number < 0 else self.versions[number]


class MemoryOfflineStore:
    """Blocks and rows in this process."""

    def __init__(self) -> None:
        self._blocks: dict[str, _Table] = {}
        self._rows: dict[str, _Table] = {}

    def write_blocks(self, source: Source, blocks: pa.Table, *, batch: str) -> int:
        """Append raw blocks once per `batch` name; return the version."""
        table = self._blocks.setdefault(source.name, _Table(BLOCK_SCHEMA))
        return table.append(blocks, batch=batch, where=source.name)

    def read_blocks(
        self,
        source: Source,
        *,
        start_us: int | None = None,
        end_us: int | None = None,
        assets: Sequence[str] = (),
        version: int | None = None,
    ) -> Iterator[pa.Table]:
        """Return raw blocks whose start lies in [start, end)."""
        table = self._blocks.get(source.name, _Table(BLOCK_SCHEMA)).at(version)
        low = None if start_us is None else start_us - 1
        high = None if end_us is None else end_us - 1
        yield from _narrow(table, time="start_us", key="asset_id", after_us=low, until_us=high, assets=assets)

    def write_rows(self, view: View, rows: pa.Table, *, batch: str) -> int:
        """Append feature rows once per `batch` name; return the version."""
        table = self._rows.setdefault(view.ref, _Table(row_schema(view)))
        return table.append(rows, batch=batch, where=view.ref)

    def amend_rows(self, view: View, rows: pa.Table, *, batch: str) -> int:
        """Put rows in the place of those of the same identity, and add the others, once per `batch` name."""
        table = self._rows.setdefault(view.ref, _Table(row_schema(view)))
        return table.append(rows, batch=batch, where=view.ref, instead=row_identity(view))

    def read_rows(
        self,
        view: View,
        *,
        features: Sequence[str] | None = None,
        start_us: int | None = None,
        end_us: int | None = None,
        assets: Sequence[str] = (),
        version: int | None = None,
    ) -> Iterator[pa.Table]:
        """Return feature rows with event_time in (start, end]; `assets` are values of the first join key."""
        key = view.entity_keys[0][0]
        table = self._at(view, version)
        for part in _narrow(table, time="event_time", key=key, after_us=start_us, until_us=end_us, assets=assets):
            yield part.select(row_schema(view, features).names)

    def stored(self, what: View | Source) -> int:
        """Return how many rows or blocks are there."""
        table = self._rows.get(what.ref) if isinstance(what, View) else self._blocks.get(what.name)
        return 0 if table is None else int(table.at(None).num_rows)

    def latest(self, view: View, *, version: int | None = None) -> Iterator[pa.Table]:
        """Return the newest row of each entity by (event_time, known_at)."""
        newest: dict[tuple[object, ...], dict[str, object]] = {}
        for row in self._at(view, version).to_pylist():
            key = _key(view, row)
            if key not in newest or _times(row) > _times(newest[key]):
                newest[key] = row
        if newest:
            yield pa.Table.from_pylist(list(newest.values()), schema=row_schema(view))

    def as_of(
        self, wanted: Wanted, at_us: Ints, *, known_us: Ints | None = None, version: int | None = None
    ) -> Iterator[Found]:
        """Return, per entity row in order, the newest row with event_time <= at and known_at <= known (default at)."""
        known_us = at_us if known_us is None else known_us
        if not len(at_us) == len(known_us) == wanted.keys.num_rows:
            raise InputError(
                "one time per entity row is needed", where=wanted.view.ref, fix="pass arrays of one length"
            )
        view, schema = wanted.view, answer_schema(wanted.view, wanted.features)
        table = self._at(view, version)
        event = table["event_time"].cast(pa.int64()).to_pylist()
        known = table["known_at"].cast(pa.int64()).to_pylist()
        history: dict[tuple[object, ...], list[tuple[int, int, int]]] = {}
        for index, row in enumerate(table.select([name for name, _ in view.entity_keys]).to_pylist()):
            history.setdefault(_key(view, row), []).append((event[index], known[index], index))
        best = []
        asks = zip(request_keys(view, wanted.keys).to_pylist(), at_us.tolist(), known_us.tolist(), strict=True)
        for row, at, limit in asks:
            seen = [r for r in history.get(_key(view, row), ()) if r[0] <= at and r[1] <= limit]
            best.append(max(seen)[2] if seen else None)
        rows = table.select(schema.names).take(pa.array(best, pa.int64())).cast(schema)
        status = [Status.NOT_FOUND if index is None else Status.PRESENT for index in best]
        yield Found(rows=rows, status=np.array(status, dtype=np.int8))

    def version(self, view: View) -> int:
        """Return the current version of a view's rows; -1 when nothing was written."""
        return self._rows.get(view.ref, _Table(row_schema(view))).version

    def vacuum(
        self, what: View | Source, *, retention_hours: int, keep_versions: Sequence[int], delete: bool = False
    ) -> list[Unneeded]:
        """Return nothing: there are no files."""
        return []

    def _at(self, view: View, version: int | None) -> pa.Table:
        return self._rows.get(view.ref, _Table(row_schema(view))).at(version)


def _key(view: View, row: dict[str, object]) -> tuple[object, ...]:
    return tuple(row[name] for name, _ in view.entity_keys)


def _times(row: dict[str, object]) -> tuple[object, object]:
    return row["event_time"], row["known_at"]


def _narrow(
    table: pa.Table, *, time: str, key: str, after_us: int | None, until_us: int | None, assets: Sequence[str]
) -> Iterator[pa.Table]:
    moment = table[time].cast(pa.int64())
    if after_us is not None:
        table, moment = table.filter(pc.greater(moment, after_us)), moment.filter(pc.greater(moment, after_us))
    if until_us is not None:
        table = table.filter(pc.less_equal(moment, until_us))
    if assets:
        table = table.filter(pc.is_in(table[key], value_set=pa.array(list(assets))))
    if table.num_rows:
        yield table
