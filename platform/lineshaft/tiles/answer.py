"""The one answer: found rows become values, statuses and ages, the same for training and for serving."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lineshaft.specs import OnDemandView, Service, ServiceView, Status, View
from lineshaft.specs.rows import PRESENT
from lineshaft.tiles.buffers import is_valid, repeated, text_array, truth_array
from lineshaft.tiles.imputation import imputed
from lineshaft.tiles.joined import Joined, join
from lineshaft.tiles.keys import Keys
from lineshaft.tiles.ondemand import ondemand
from lineshaft.tiles.request_data import request_sheet
from lineshaft.tiles.sheet import Block, Parts, Sheet, beside

UNKNOWN_AGE_US = -1
_NEVER_US = int(np.iinfo(np.int64).max)
_STALE, _NULL = np.int8(Status.STALE), np.int8(Status.NULL)


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


def answer_rows(
    service: Service,
    views: Sequence[View],
    rows: Joined,
    at_us: NDArray[np.int64],
    request: pa.Table | Keys | None = None,
) -> Answer:
    """Judge found rows at the time asked, all views of a service at once, and compute its on-demand features.

    rows: of each view PRESENT, NOT_FOUND, CORRUPT or UNAVAILABLE per entity; at_us: int64 microseconds per entity. A
    row older than its view's ttl, or than the service's own limit, is STALE: its values are withheld, its age is given.
    request: what was asked with, of which the fields that on-demand features read are taken.
    """
    layout = _layout_of(service, views)
    row_status, whole = rows.status, rows.whole
    age_us = at_us - rows.event_us
    if not whole:
        age_us = np.where(row_status == PRESENT, age_us, UNKNOWN_AGE_US)
    if np.count_nonzero(stale := age_us > layout.oldest_us):
        row_status, whole = np.where(stale, _STALE, row_status), False
    parts = rows.sheet.parts
    sheet = Sheet(names=layout.names, rows=rows.sheet.rows, parts=parts)
    ages = dict(zip(layout.views, age_us, strict=True))
    if whole and not parts.loose and all(block.valid is None for block in parts.blocks):
        status = repeated(PRESENT, sheet.rows, len(layout.names))
        if not service.on_demand:
            return Answer(sheet=sheet, status=status, age_us=ages, whole=True)
    else:
        by_column = row_status[layout.owner]  # features x n: a run of each column
        sheet = _withheld(sheet, None if whole else by_column == PRESENT, by_column)
        status = by_column.T
    if service.on_demand:
        sheet, status = _computed(service.on_demand, layout.asked, sheet, status, request)
    if service.impute:
        sheet, status = imputed(service.impute, sheet, status)
    return Answer(sheet=sheet, status=status, age_us=ages)


def answer_view(
    view: View, features: Sequence[str], rows: pa.Table | Sheet, found: NDArray[np.int8], at_us: NDArray[np.int64]
) -> Answer:
    """Judge the rows of one view alone; columns have the names of its features.

    rows: `event_time` and features, one row per entity (nulls where nothing was found); found: PRESENT, NOT_FOUND,
    CORRUPT or UNAVAILABLE per entity; at_us: int64 microseconds per entity.
    """
    names = tuple(features)
    alone = Service(name=view.name, views=(ServiceView(view=view.name, version="", features=names),))
    answer = answer_rows(alone, (view,), join([(Sheet.of(rows), found, names)]), at_us)
    return replace(answer, sheet=Sheet(names=names, rows=answer.sheet.rows, parts=answer.sheet.parts))


def oldest_us(view: View, max_age_us: int) -> int:
    """Return how old a row of a view may be for a service, in microseconds; 0: any age."""
    return min(filter(None, (view.ttl_us, max_age_us)), default=0)


@dataclass(frozen=True, slots=True)
class _Layout:
    """What of a service's answer is the same every time: worked out once, not once a call."""

    names: tuple[str, ...]
    views: tuple[str, ...]
    owner: NDArray[np.intp]  # of each column, the view it comes from
    oldest_us: NDArray[np.int64]  # views x 1
    asked: Mapping[str, str]  # fields of the request, with their dtypes


_LAYOUTS: dict[int, tuple[Service, Sequence[View], _Layout]] = {}
_MOST = 1024


def _layout_of(service: Service, views: Sequence[View]) -> _Layout:
    """Return a service's layout. Looked up by identity: hashing a service costs more than answering it."""
    entry = _LAYOUTS.get(id(service))
    if entry is None or entry[1] is not views:
        if len(_LAYOUTS) >= _MOST:
            _LAYOUTS.clear()
        limits = [oldest_us(view, service.max_age_us) or _NEVER_US for view in views]
        layout = _Layout(
            names=tuple(f"{used.view}__{feature}" for used in service.views for feature in used.features),
            views=tuple(used.view for used in service.views),
            owner=np.repeat(np.arange(len(views)), [len(used.features) for used in service.views]),
            oldest_us=np.array(limits, np.int64)[:, None],
            asked=service.request_fields,
        )
        entry = _LAYOUTS[id(service)] = service, views, layout  # holds both: their identities cannot be taken over
    return entry[2]


def _withheld(sheet: Sheet, usable: NDArray[np.bool_] | None, status: NDArray[np.int8]) -> Sheet:
    """Return the values of usable rows, null in all others; `status` (features x n) is told which values are NULL.

    usable: bool, features x n; None where all are.
    """
    parts = sheet.parts
    blocks: list[Block] = []
    for block in parts.blocks:
        own = list(block.places)
        keep = block.valid if usable is None else usable[own] if block.valid is None else usable[own] & block.valid
        if block.valid is not None:
            status[own] = np.where(~block.valid & (status[own] == PRESENT), _NULL, status[own])
        blocks.append(block if keep is None else block.withheld(keep))
    loose = {}
    for place, column in parts.loose.items():
        rows = status[place] == PRESENT
        status[place, rows & ~is_valid(column)] = _NULL
        loose[place] = column if usable is None else pc.if_else(truth_array(rows), column, pa.nulls(1, column.type)[0])
    return Sheet(names=sheet.names, rows=sheet.rows, parts=Parts(blocks=blocks, loose=loose))


def _computed(
    demands: Sequence[OnDemandView],
    asked: Mapping[str, str],
    sheet: Sheet,
    status: NDArray[np.int8],
    request: pa.Table | Keys | None,
) -> tuple[Sheet, NDArray[np.int8]]:
    """Add the columns of on-demand views, which read the answer and the request; the request is not answered."""
    read, read_status = sheet, status
    if asked:
        given, worth = request_sheet(asked, request)
        read, read_status = beside([(sheet.names, sheet), (given.names, given)]), np.concatenate([status.T, worth]).T
    sheets, statuses = [(sheet.names, sheet)], [status.T]
    for demand in demands:
        added, worth = _on_demand(demand, read, read_status)
        sheets.append((added.names, added))
        statuses.append(worth)
    return beside(sheets), np.concatenate(statuses).T


def _on_demand(demand: OnDemandView, sheet: Sheet, status: NDArray[np.int8]) -> tuple[Sheet, NDArray[np.int8]]:
    """Return one on-demand view's columns, and their statuses by column.

    A value whose inputs are not all present takes the worst input's status.
    """
    index = {name: i for i, name in enumerate(sheet.names)}
    blocks: list[Block] = []
    loose: dict[int, pa.Array] = {}
    statuses = np.empty((len(demand.features), sheet.rows), np.int8)
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
        statuses[place] = np.where((worst == PRESENT) & ~usable, _NULL, worst)
    names = tuple(f"{demand.name}__{feature.name}" for feature in demand.features)
    return Sheet(names=names, rows=sheet.rows, parts=Parts(blocks=blocks, loose=loose)), statuses
