"""Rows behind a Feast data source: a Parquet file, or the views that a block source feeds."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from feast.data_source import DataSource

from lineshaft.errors import NotFoundError
from lineshaft.feast_plugin.parts import PluginParts
from lineshaft.feast_plugin.values import microseconds
from lineshaft.specs import View

Span = tuple[datetime | None, datetime | None]


def all_rows(
    parts: PluginParts, source: DataSource, columns: Sequence[str], times: Sequence[str], span: Span
) -> pa.Table:
    """Return the rows of a source with event time in [start, end]: `columns`, then `times` (event, created or "")."""
    path = Path(parts.settings.repo) / getattr(source, "path", "")
    names = [*columns, *(name for name in times if name)]
    if path.is_file() or (path.is_dir() and any(path.rglob("*.parquet")) and not (path / "_delta_log").exists()):
        table = ds.dataset(path, format="parquet").to_table(columns=names)
    else:
        table = _view_rows(parts, source, columns, times).select(names)
    at_us = _microseconds(table[times[0]])
    for bound, keep in zip(span, (pc.greater_equal, pc.less_equal), strict=True):
        if bound is not None:
            mask = keep(at_us, microseconds(bound))
            table, at_us = table.filter(mask), at_us.filter(mask)
    return table


def latest_rows(rows: pa.Table, keys: Sequence[str], times: Sequence[str]) -> pa.Table:
    """Return the newest row of each entity by `times`, most important first."""
    order = [(name, "ascending") for name in [*keys, *times]]
    rows = rows.append_column("__row", pa.array(range(rows.num_rows), pa.int64())).sort_by(
        [*order, ("__row", "ascending")]
    )
    rows = rows.set_column(rows.column_names.index("__row"), "__row", pa.array(range(rows.num_rows), pa.int64()))
    last = rows.group_by(list(keys)).aggregate([("__row", "max")])["__row_max"]
    return rows.take(last.combine_chunks().sort()).drop_columns("__row")


def _view_rows(parts: PluginParts, source: DataSource, columns: Sequence[str], times: Sequence[str]) -> pa.Table:
    """Return the stored rows of the view that a block source feeds and that has these columns."""
    catalog = parts.catalog()
    try:
        views = [view for view in catalog.views() if _feeds(source, view) and set(columns) <= _columns(view)]
    finally:
        catalog.close()
    if not views:
        raise NotFoundError(
            f"no rows lie behind source {source.name!r}", fix="run `lineshaft apply`, then `lineshaft backfill`"
        )
    names = {"event_time": times[0], **({"known_at": times[1]} if times[1] else {})}
    tables = []
    for table in parts.offline.read_rows(views[0]):
        kept = table.select([*columns, *names])
        tables.append(kept.rename_columns([*columns, *names.values()]))
    if not tables:
        raise NotFoundError(f"view {views[0].name!r} has no rows yet", fix=f"run `lineshaft backfill {views[0].name}`")
    return pa.concat_tables(tables)


def _feeds(source: DataSource, view: View) -> bool:
    return view.source.name in {source.name, source.name.removesuffix("_rows")}


def _columns(view: View) -> set[str]:
    return {name for name, _ in view.entity_keys} | set(view.feature_names)


def _microseconds(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(pa.timestamp("us", tz=column.type.tz), safe=False).cast(pa.int64())
