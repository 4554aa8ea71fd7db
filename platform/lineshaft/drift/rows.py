"""Rows on a grid of time: what a baseline is made of, and what is set beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lineshaft.drift.policy import Regimes
from lineshaft.drift.worth import Floats, Ints
from lineshaft.errors import InputError

FLEET = "*"
"""Stands for all assets of a baseline together."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rows:
    """Values by series and time, one a series and step. NaN where unknown; `regimes` are places in the rule's names."""

    columns: tuple[str, ...]
    values: Floats  # rows x columns
    assets: NDArray[np.str_]
    cells: Ints  # steps since the epoch
    regimes: NDArray[np.int64]

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.cells)

    def take(self, chosen: NDArray[np.bool_]) -> Rows:
        """Return the rows chosen."""
        parts = {name: getattr(self, name)[chosen] for name in ("values", "assets", "cells", "regimes")}
        return Rows(columns=self.columns, **parts)

    def only(self, columns: Sequence[str]) -> Rows:
        """Return the rows with these columns."""
        places = [self.columns.index(name) for name in columns]
        return replace(self, columns=tuple(columns), values=self.values[:, places])

    @property
    def starts(self) -> Ints:
        """Return where each series begins."""
        changes = self.assets[1:] != self.assets[:-1]
        return np.concatenate([[0], np.flatnonzero(changes) + 1]).astype(np.int64) if len(self) else np.empty(0, int)

    @property
    def groups(self) -> Ints:
        """Return the number of the series of each row."""
        counts = np.diff(np.append(self.starts, len(self)))
        return np.repeat(np.arange(len(counts)), counts)

    @property
    def names(self) -> tuple[str, ...]:
        """Return the series in their order."""
        return tuple(self.assets[self.starts].tolist())


def rows_of(
    table: pa.Table,
    columns: Sequence[str],
    *,
    step_us: int,
    regimes: Regimes,
    keys: Sequence[str] = ("asset_id",),
    time: str = "event_time",
    whole: bool = False,
) -> Rows:
    """Return a table's columns by series and time, the first row in each step; null becomes NaN.

    Values are as a model is given them, in float32; `whole` is for a report of two tables: every row, in float64.

    Raises
    ------
    InputError
        If it has no rows, or lacks a column.
    """
    wanted = (*keys, time, *columns)
    missing = [name for name in wanted if name not in table.column_names]
    if missing or not table.num_rows:
        what = f"has no column {missing[0]!r}" if missing else "has no rows"
        raise InputError(f"the window to compare {what}", fix="log predictions first, or name another window")
    times = times_of(table, time)
    texts = [table[name].cast(pa.string()).to_pylist() for name in keys]
    assets = np.array(texts[0] if len(keys) == 1 else ["/".join(one) for one in zip(*texts, strict=True)], dtype=str)
    order = np.lexsort((times, assets))
    assets, cells = assets[order], times[order] // step_us
    first = np.append(True, whole | (assets[1:] != assets[:-1]) | (cells[1:] != cells[:-1]))
    chosen, kind = order[first], np.float64 if whole else np.float32
    values = np.column_stack([_numbers(table, name, kind)[chosen] for name in columns])
    return Rows(
        columns=tuple(columns),
        values=values,
        assets=assets[first],
        cells=cells[first],
        regimes=_regimes(table, regimes)[chosen],
    )


def times_of(table: pa.Table, name: str) -> Ints:
    """Return moments in microseconds."""
    column = table[name].cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())
    return np.asarray(column.to_numpy(), dtype=np.int64)


def usual_step_us(table: pa.Table, *, keys: Sequence[str] = ("asset_id",), time: str = "event_time") -> int:
    """Return the time from a row to the next of its series, as it mostly is; an hour where no series has two."""
    times = times_of(table, time)
    names = np.array(["/".join(map(str, one)) for one in zip(*(table[key].to_pylist() for key in keys), strict=True)])
    order = np.lexsort((times, names))
    gaps = np.diff(times[order])[(names[order][1:] == names[order][:-1])]
    gaps = gaps[gaps > 0]
    return int(np.median(gaps)) if len(gaps) else 3_600_000_000


def _numbers(table: pa.Table, name: str, kind: type[np.floating[Any]] = np.float32) -> Floats:
    """Return a column in float64, rounded to another kind before."""
    values = np.asarray(table[name].cast(pa.float64()).to_numpy(), dtype=kind).astype(np.float64)
    return np.where(np.isfinite(values), values, np.nan)


def _regimes(table: pa.Table, rule: Regimes) -> Ints:
    """Return each row's regime; -1 where its column is unknown, so that it is compared with nothing."""
    if not rule.column:
        return np.zeros(table.num_rows, dtype=np.int64)
    if rule.column not in table.column_names:
        fix = "name a feature that the model is given, or drop `regime`"
        raise InputError(f"the window has no column {rule.column!r} to tell regimes by", fix=fix)
    values = _numbers(table, rule.column)
    return np.where(np.isnan(values), -1, np.digitize(values, rule.edges)).astype(np.int64)
