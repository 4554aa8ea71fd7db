"""Served answers on their way to the log: kept as they are while somebody waits, turned into rows by a thread."""

from __future__ import annotations

import random
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lineshaft.clock import Clock
from lineshaft.ops.training_set import entity_keys
from lineshaft.serving.calls import request_id
from lineshaft.serving.features import Served
from lineshaft.serving.write_behind import WriteBehind, in_turns
from lineshaft.specs import Recipe, Status
from lineshaft.stores.ports import Found
from lineshaft.stores.served_log import ServedLog, served_schema
from lineshaft.tiles.buffers import one_piece, text_array
from lineshaft.tiles.keys import Column, Keys, table_of
from lineshaft.tiles.request_data import request_sheet
from lineshaft.tiles.sheet import Block, stacked

Ints = NDArray[np.int64]
_TIMES = ("event_time", "known_at")


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One answer with what it was made from."""

    served: Served
    entities: pa.Table | Keys
    found: Sequence[Found]
    at_us: Ints
    served_us: int
    request_id: str

    @property
    def rows(self) -> int:
        """Return how many entities were asked for."""
        return len(self.at_us)

    @property
    def nbytes(self) -> int:
        """Return about what it takes in memory: 10 bytes a value and status, and 1 kB that every answer takes."""
        return 1000 + 10 * self.served.answer.status.size


class ServedAnswers:
    """What a feature handler tells its answers to; `behind` says when they are written."""

    def __init__(
        self, log: ServedLog, *, clock: Clock, share: float = 1.0, every_s: float = 5.0, batch_rows: int = 20_000
    ) -> None:
        """`share` is how many of all answers are logged, 0 to 1, chosen by chance."""
        self._log, self._clock, self._share = log, clock, share
        self._writer, self._turn = uuid.uuid4().hex, 1
        self.behind = WriteBehind[Record](
            name="served",
            write=self._write,
            rows_of=lambda one: one.rows,
            bytes_of=lambda one: one.nbytes,
            every_s=every_s,
            batch_rows=batch_rows,
        )

    def append(self, served: Served, *, entities: pa.Table | Keys, found: Sequence[Found], at_us: Ints) -> None:
        """Note one answer, or leave it out; never waits, never fails."""
        if len(at_us) and (self._share >= 1.0 or random.random() < self._share):  # noqa: S311 - a sample is no secret
            self.behind.put(
                Record(
                    served=served,
                    entities=entities,
                    found=found,
                    at_us=at_us,
                    served_us=self._clock.now_us(),
                    request_id=request_id(),
                )
            )

    def _write(self, records: list[Record]) -> None:
        """Write each service's answers; records that come again after a failure come under the same turn."""
        for recipe, group in _by_recipe(records):
            rows = pa.concat_tables(served_rows(recipe, few) for few in in_turns(group, 128))
            self._log.append(recipe, rows, writer=self._writer, turn=self._turn)
        self._turn += 1


def served_rows(recipe: Recipe, records: Sequence[Record]) -> pa.Table:
    """Return the rows of the log (`served_schema`), one for each entity of each answer."""
    schema = served_schema(recipe)
    counts = [record.rows for record in records]
    answers = [record.served.answer for record in records]
    sheet, status = stacked([answer.sheet for answer in answers]), np.concatenate([a.status for a in answers])
    views = [
        _view_column(view.version, [record.found[i] for record in records], [a.age_us[used.view] for a in answers])
        for i, (used, view) in enumerate(zip(recipe.service.views, recipe.views, strict=True))
    ]
    columns = {
        "served_at": _numbers(np.repeat([record.served_us for record in records], counts)),
        "request_id": text_array([record.request_id for record in records for _ in range(record.rows)]),
        "place": _numbers(np.concatenate([np.arange(count) for count in counts])),
        "asked_at": _numbers(np.concatenate([record.at_us for record in records])),
        "degraded": _numbers(np.repeat([record.served.degraded for record in records], counts)),
        "keys": _struct(_key_columns(recipe, [record.entities for record in records]), schema.field("keys").type),
        "views": _struct(views, schema.field("views").type),
        "features": _struct([one_piece(column) for column in sheet.table.columns], schema.field("features").type),
        "statuses": _struct([_numbers(column) for column in status.T], schema.field("statuses").type),
    }
    if fields := recipe.service.request_fields:
        given = stacked([request_sheet(fields, record.entities)[0] for record in records])
        arrays = [one_piece(column) for column in given.table.columns]
        columns["request"] = _struct(arrays, schema.field("request").type)
    return pa.table([columns[field.name].cast(field.type) for field in schema], schema=schema)


def _by_recipe(records: Sequence[Record]) -> list[tuple[Recipe, list[Record]]]:
    """Return records by what they were made by, each in the order they came."""
    plans = {id(record.served.plan): record.served.plan for record in records}
    recipes = {at: Recipe(service=plan.service, views=plan.views) for at, plan in plans.items()}
    names = {at: recipe.name for at, recipe in recipes.items()}
    groups: dict[str, tuple[Recipe, list[Record]]] = {}
    for record in records:
        at = id(record.served.plan)
        groups.setdefault(names[at], (recipes[at], []))[1].append(record)
    return list(groups.values())


def _view_column(version: str, found: Sequence[Found], ages: Sequence[Ints]) -> pa.StructArray:
    """Return what the log says of one view."""
    status = np.concatenate([one.status for one in found])
    times = [np.concatenate([one.sheet.integers(name) for one in found]) for name in _TIMES]
    there = np.broadcast_to(status == Status.PRESENT, (len(times), len(status)))
    arrays = [
        text_array([version] * len(status)),
        _numbers(status),
        *Block(dtype="timestamp", places=(0, 1), values=np.stack(times), valid=there).arrays(),
        _numbers(np.concatenate(ages)),
    ]
    return pa.StructArray.from_arrays(arrays, names=["version", "found", *_TIMES, "age_us"])


def _key_columns(recipe: Recipe, given: Sequence[pa.Table | Keys]) -> list[pa.Array]:
    """Return the join keys of all views, in the types the views declare."""
    columns: dict[str, pa.Array] = {}
    every = _together(given)
    for view in recipe.views:
        parts = [entity_keys(view, table) for table in every]
        columns.update((name, one_piece(pa.concat_tables(parts)[name])) for name, _ in view.entity_keys)
    return list(columns.values())


def _together(given: Sequence[pa.Table | Keys]) -> list[pa.Table]:
    """Return keys as tables; those that came as plain columns of the same names as one, which is much quicker."""
    plain = [one for one in given if isinstance(one, Keys)]
    first = plain[0].columns if plain else {}
    kinds = {name: type(column) for name, column in first.items()}
    alike = [{name: type(column) for name, column in one.columns.items()} == kinds for one in plain]
    if len(plain) < len(given) or not all(alike):
        return [table_of(one) for one in given]
    return [table_of(Keys({name: _end_to_end([one.columns[name] for one in plain]) for name in first}))]


def _end_to_end(columns: Sequence[Column]) -> Column:
    return np.concatenate(columns) if isinstance(columns[0], np.ndarray) else list(chain.from_iterable(columns))


def _numbers(values: NDArray[Any]) -> pa.Array:
    """Return whole numbers as Arrow has them; `pa.array` would load pandas into the server."""
    whole = np.ascontiguousarray(values, np.int64)
    return pa.Array.from_buffers(pa.int64(), len(whole), [None, pa.py_buffer(whole)])


def _struct(arrays: Sequence[pa.Array], kind: pa.DataType) -> pa.StructArray:
    fields = [kind.field(i) for i in range(kind.num_fields)]
    cast = [array.cast(field.type) for array, field in zip(arrays, fields, strict=True)]
    return pa.StructArray.from_arrays(cast, fields=fields)
