"""How much a view's table holds, and of whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from lineshaft.specs import View
from lineshaft.stores.ports import OfflineStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """What a view's table holds at one version of it: rows, entities, the newest event time, and that of each asset."""

    version: int
    rows: int
    entities: int
    newest_us: int | None
    assets: pa.Table  # the first join key as text, and the newest event time in microseconds


def extent(offline: OfflineStore, view: View, version: int) -> Extent:
    """Count rows and entities of a table, reading only its keys and times."""
    keys = [name for name, _ in view.entity_keys]
    empty = pa.table({**{name: pa.array([], pa.string()) for name in keys}, "newest_us": pa.array([], pa.int64())})
    rows, seen = 0, []
    for part in offline.read_rows(view, features=[], version=version) if version >= 0 else ():
        if part.num_rows:
            rows += part.num_rows
            timed = part.select(keys).append_column("event_us", part["event_time"].cast(pa.int64()))
            seen.append(timed.group_by(keys).aggregate([("event_us", "max")]))
    found = pa.concat_tables(seen).group_by(keys).aggregate([("event_us_max", "max")]) if seen else empty
    found = found.rename_columns([*keys, "newest_us"])
    first = pa.table({"asset_id": found[keys[0]].cast(pa.string()), "newest_us": found["newest_us"]})
    assets = first.group_by("asset_id").aggregate([("newest_us", "max")]).rename_columns(["asset_id", "newest_us"])
    return Extent(
        version=version,
        rows=rows,
        entities=found.num_rows,
        newest_us=pc.max(found["newest_us"]).as_py() if found.num_rows else None,
        assets=assets,
    )


def roster_of(tables: Sequence[pa.Table]) -> pa.Table:
    """Return every asset once, with the newest time of any of its rows."""
    if not tables:
        return pa.table({"asset_id": pa.array([], pa.string()), "newest_us": pa.array([], pa.int64())})
    joined = pa.concat_tables(tables).group_by("asset_id").aggregate([("newest_us", "max")])
    return joined.rename_columns(["asset_id", "newest_us"])
