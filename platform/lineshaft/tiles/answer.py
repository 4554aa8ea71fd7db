"""The one answer: found rows become values, statuses and ages, the same for training and for serving."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lineshaft.specs import OnDemandView, Service, Status, View
from lineshaft.tiles.ondemand import ondemand

UNKNOWN_AGE_US = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewAnswer:
    """One view's answer for n entities: values, statuses (int8, n x features), ages (int64 µs, n; -1 unknown)."""

    columns: pa.Table
    status: NDArray[np.int8]
    age_us: NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A service's answer: columns `view__feature`, statuses (int8, n x columns), ages by view name (int64 µs, n)."""

    columns: pa.Table
    status: NDArray[np.int8]
    age_us: Mapping[str, NDArray[np.int64]]

    def counts(self) -> dict[str, int]:
        """Return how many values have each status.

        The names are those of `Status`, in lower case.
        """
        return {s.name.lower(): int((self.status == s).sum()) for s in Status if (self.status == s).any()}


def answer_view(
    view: View, features: Sequence[str], rows: pa.Table, found: NDArray[np.int8], at_us: NDArray[np.int64]
) -> ViewAnswer:
    """Judge found rows at the time asked.

    rows: `event_time` and features, one row per entity (nulls where nothing was found); found: PRESENT, NOT_FOUND or
    CORRUPT per entity; at_us: int64 microseconds per entity. A row older than the view's ttl is STALE: its values are
    withheld, its age is given.
    """
    event_us = rows["event_time"].cast(pa.int64()).combine_chunks()
    here = found == Status.PRESENT
    age_us = np.where(here, at_us - np.asarray(pc.fill_null(event_us, 0)), UNKNOWN_AGE_US).astype(np.int64)
    row_status = found.astype(np.int8)
    if view.ttl_us:
        row_status = np.where(here & (age_us > view.ttl_us), np.int8(Status.STALE), row_status)
    usable = row_status == Status.PRESENT
    status = np.repeat(row_status[:, None], len(features), axis=1)
    picked = rows.select(list(features))
    if usable.all() and picked.drop_null().num_rows == picked.num_rows:  # the usual case, at once for all columns
        return ViewAnswer(columns=picked, status=status, age_us=age_us)
    columns = []
    for i, column in enumerate(picked.columns):
        status[usable & ~np.asarray(pc.is_valid(column)), i] = Status.NULL
        columns.append(pc.if_else(pa.array(usable), column, pa.scalar(None, column.type)))
    return ViewAnswer(columns=pa.Table.from_arrays(columns, names=list(features)), status=status, age_us=age_us)


def answer_service(service: Service, views: Sequence[ViewAnswer]) -> Answer:
    """Put the answers of a service's views side by side, and compute its on-demand features from them."""
    names: list[str] = []
    columns: list[pa.ChunkedArray] = []
    statuses: list[NDArray[np.int8]] = []
    ages: dict[str, NDArray[np.int64]] = {}
    for used, view in zip(service.views, views, strict=True):
        names += [f"{used.view}__{feature}" for feature in used.features]
        columns += view.columns.columns
        statuses.append(view.status)
        ages[used.view] = view.age_us
    table = pa.Table.from_arrays(columns, names=names)
    status = np.concatenate(statuses, axis=1)
    for demand in service.on_demand:
        table, status = _on_demand(demand, table, status)
    return Answer(columns=table, status=status, age_us=ages)


def _on_demand(demand: OnDemandView, table: pa.Table, status: NDArray[np.int8]) -> tuple[pa.Table, NDArray[np.int8]]:
    """Add one on-demand view's columns; a value whose inputs are not all present takes the worst input's status."""
    index = {name: i for i, name in enumerate(table.column_names)}
    for feature in demand.features:
        inputs = [index[name] for name in feature.inputs]
        worst = status[:, inputs].max(axis=1)
        values = ondemand(feature.function).compute([_floats(table.column(i)) for i in inputs])
        usable = worst == Status.PRESENT
        if values.dtype.kind == "f":
            usable &= np.isfinite(values)
            column = pa.array(values, mask=~usable)
        else:
            column = pa.array(
                [v if ok and v else None for v, ok in zip(values.tolist(), usable, strict=True)], pa.string()
            )
            usable = np.asarray(pc.is_valid(column))
        own = np.where((worst == Status.PRESENT) & ~usable, np.int8(Status.NULL), worst).astype(np.int8)
        table = table.append_column(f"{demand.name}__{feature.name}", column)
        status = np.concatenate([status, own[:, None]], axis=1)
    return table, status


def _floats(column: pa.ChunkedArray) -> NDArray[np.float64]:
    return np.asarray(column.cast(pa.float64()).to_numpy(), dtype=np.float64)
