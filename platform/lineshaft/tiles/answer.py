"""The one answer: found rows become values, statuses and ages, the same for training and for serving."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lineshaft.specs import OnDemandView, Service, ServiceView, Status, View
from lineshaft.specs.rows import PRESENT
from lineshaft.tiles.buffers import is_valid, text_array, truth_array
from lineshaft.tiles.ondemand import ondemand
from lineshaft.tiles.sheet import Block, Parts, Sheet, beside

UNKNOWN_AGE_US = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewAnswer:
    """One view's answer for n entities: values, statuses (int8, n x features), ages (int64 µs, n; -1 unknown).

    `whole` says that every value is PRESENT; who asks it need not look at the statuses.
    """

    sheet: Sheet
    status: NDArray[np.int8]
    age_us: NDArray[np.int64]
    whole: bool = False

    @property
    def columns(self) -> pa.Table:
        """Return the values as an Arrow table."""
        return self.sheet.table


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A service's answer: columns `view__feature`, statuses (int8, n x columns), ages by view name (int64 µs, n).

    `whole` says that every value is PRESENT; who asks it need not look at the statuses.
    """

    sheet: Sheet
    status: NDArray[np.int8]
    age_us: Mapping[str, NDArray[np.int64]]
    whole: bool = False

    @property
    def columns(self) -> pa.Table:
        """Return the values as an Arrow table."""
        return self.sheet.table

    def counts(self) -> dict[str, int]:
        """Return how many values have each status.

        The names are those of `Status`, in lower case.
        """
        return {s.name.lower(): int((self.status == s).sum()) for s in Status if (self.status == s).any()}


def answer_view(
    view: View,
    features: Sequence[str],
    rows: pa.Table | Sheet,
    found: NDArray[np.int8],
    at_us: NDArray[np.int64],
    *,
    max_age_us: int = 0,
) -> ViewAnswer:
    """Judge found rows at the time asked.

    rows: `event_time` and features, one row per entity (nulls where nothing was found); found: PRESENT, NOT_FOUND or
    CORRUPT per entity; at_us: int64 microseconds per entity. A row older than the view's ttl, or than
    `max_age_us` unless that is 0, is STALE: its values are withheld, its age is given.
    """
    sheet = Sheet.of(rows)
    age_us = at_us - sheet.integers("event_time")
    usable = found == PRESENT
    row_status: NDArray[np.int8] | np.int8 = PRESENT
    everything = bool(usable.all())
    if not everything:
        age_us = np.where(usable, age_us, UNKNOWN_AGE_US)
        row_status = found.astype(np.int8)
    limit_us = oldest_us(view, max_age_us)
    if limit_us and (stale := age_us > limit_us).any():
        row_status = np.where(stale, np.int8(Status.STALE), row_status)
        usable, everything = row_status == PRESENT, False
    picked = sheet.pick(features)
    if everything and not picked.parts.loose and all(block.valid is None for block in picked.parts.blocks):
        return ViewAnswer(sheet=picked, status=_all_present(sheet.rows, len(features)), age_us=age_us, whole=True)
    status = np.empty((len(features), sheet.rows), np.int8)  # features x n: a run of each column
    status[:] = row_status
    picked = _withheld(picked, None if everything else usable, status)
    return ViewAnswer(sheet=picked, status=status.T, age_us=age_us)


def oldest_us(view: View, max_age_us: int) -> int:
    """Return how old a row of a view may be for a service, in microseconds; 0: any age."""
    return min(filter(None, (view.ttl_us, max_age_us)), default=0)


def _all_present(rows: int, columns: int) -> NDArray[np.int8]:
    """Return n x columns statuses, all PRESENT, that take no memory and cannot be written to."""
    return np.broadcast_to(PRESENT, (rows, columns))


def _withheld(sheet: Sheet, usable: NDArray[np.bool_] | None, status: NDArray[np.int8]) -> Sheet:
    """Return the values of usable rows, null in all others; `status` (features x n) is told which values are NULL.

    usable: bool, n; None where all rows are.
    """
    parts = sheet.parts
    rows = np.ones(sheet.rows, bool) if usable is None else usable
    blocks: list[Block] = []
    for block in parts.blocks:
        keep = np.broadcast_to(rows, block.values.shape) if block.valid is None else block.valid & rows
        if block.valid is not None:
            own = list(block.places)
            status[own] = np.where(rows & ~block.valid, np.int8(Status.NULL), status[own])
        blocks.append(block if usable is None and block.valid is None else block.withheld(keep))
    loose = {}
    for place, column in parts.loose.items():
        status[place, rows & ~is_valid(column)] = Status.NULL
        loose[place] = column if usable is None else pc.if_else(truth_array(rows), column, pa.nulls(1, column.type)[0])
    return Sheet(names=sheet.names, rows=sheet.rows, parts=Parts(blocks=blocks, loose=loose))


def answer_service(service: Service, views: Sequence[ViewAnswer]) -> Answer:
    """Put the answers of a service's views side by side, and compute its on-demand features from them."""
    named = [(names_of(used), view.sheet) for used, view in zip(service.views, views, strict=True)]
    ages = {used.view: view.age_us for used, view in zip(service.views, views, strict=True)}
    sheet = beside(named)
    if not service.on_demand and all(view.whole for view in views):
        return Answer(sheet=sheet, status=_all_present(sheet.rows, len(sheet.names)), age_us=ages, whole=True)
    status = np.concatenate([view.status.T for view in views]).T
    for demand in service.on_demand:
        sheet, status = _on_demand(demand, sheet, status)
    return Answer(sheet=sheet, status=status, age_us=ages)


@lru_cache(maxsize=4096)
def names_of(used: ServiceView) -> tuple[str, ...]:
    """Return the names of a view's columns in an answer."""
    return tuple(f"{used.view}__{feature}" for feature in used.features)


def _on_demand(demand: OnDemandView, sheet: Sheet, status: NDArray[np.int8]) -> tuple[Sheet, NDArray[np.int8]]:
    """Add one on-demand view's columns; a value whose inputs are not all present takes the worst input's status."""
    index = {name: i for i, name in enumerate(sheet.names)}
    blocks: list[Block] = []
    loose: dict[int, pa.Array] = {}
    statuses = [status.T]
    for place, feature in enumerate(demand.features):
        inputs = [index[name] for name in feature.inputs]
        worst = status[:, inputs].max(axis=1)
        values = ondemand(feature.function).compute([sheet.floats(i) for i in inputs])
        usable = worst == PRESENT
        if values.dtype.kind == "f":
            usable &= np.isfinite(values)
            block = Block(dtype="float64", places=(place,), values=values[None])
            blocks.append(block if usable.all() else block.withheld(usable[None]))
        else:
            texts = [value if ok and value else None for value, ok in zip(values.tolist(), usable, strict=True)]
            loose[place] = text_array(texts)
            usable = is_valid(loose[place])
        statuses.append(np.where((worst == PRESENT) & ~usable, np.int8(Status.NULL), worst).astype(np.int8)[None])
    names = tuple(f"{demand.name}__{feature.name}" for feature in demand.features)
    added = Sheet(names=names, rows=sheet.rows, parts=Parts(blocks=blocks, loose=loose))
    return beside([(sheet.names, sheet), (names, added)]), np.concatenate(statuses).T
