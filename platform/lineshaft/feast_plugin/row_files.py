"""Rows computed elsewhere: the Parquet behind a plain Feast view, read exactly as declared.

A declared type is enforced when the file is read, so offline and online hold the same number: a Float32 view over a
double column is float32 in both.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from lineshaft.errors import InputError
from lineshaft.feast_plugin.parts import PluginParts
from lineshaft.specs import View, row_identity, row_schema
from lineshaft.stores.delta import DeltaOfflineStore
from lineshaft.stores.ports import OfflineStore

_BATCH_ROWS = 1_000_000


def read_file(view: View, *, root: Path) -> Iterator[pa.Table]:
    """Return the rows of a view's source file or folder, in the view's row schema, in batches.

    `known_at` is the source's created column, or the event time where it names none.

    Raises
    ------
    InputError
        If the file lacks a column of the view.
    """
    path = file_of(view, root=root)
    if not path.exists():
        return
    data = ds.dataset(path, format="parquet")
    source, schema = view.source, row_schema(view)
    known = source.created_field or source.timestamp_field
    columns = (
        [name for name, _ in view.entity_keys] + [source.timestamp_field, known] + [f.column for f in view.features]
    )
    missing = sorted(set(columns) - set(data.schema.names))
    if missing:
        raise InputError(
            f"source {source.name!r} lacks column {missing[0]!r}",
            where=f"{path}, read for view {view.name!r} of {view.where}",
            fix=f"it has {', '.join(data.schema.names)}",
        )
    for batch in data.to_batches(columns=list(dict.fromkeys(columns)), batch_size=_BATCH_ROWS):
        table = pa.Table.from_batches([batch])
        held = [_cast(table[name], kind.type) for name, kind in zip(columns, schema, strict=True)]
        yield pa.Table.from_arrays(held, schema=schema)


def file_of(view: View, *, root: Path) -> Path:
    """Return where a view's source lies; a relative path starts at the feature repository."""
    return root / view.source.path


def history(view: View, parts: PluginParts) -> OfflineStore:
    """Return an offline store that holds a view's rows as they are now.

    Computed views: the store itself. Rows computed elsewhere: the file as it lies there, and what was pushed besides;
    where both have a row of one time, the file's counts. It is indexed once per state of both.
    """
    root = Path(parts.settings.repo)
    path = file_of(view, root=root)
    if view.source.kind != "rows" or not path.exists():
        return parts.offline
    files = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
    state = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    name = hashlib.sha256(repr((state, view.ref, parts.offline.version(view))).encode()).hexdigest()[:16]
    shelf = parts.settings.home / "feast_rows" / f"{parts.settings.project}.{view.name}"
    store = DeltaOfflineStore(str(shelf / name))
    if not (shelf / name / "complete").exists():
        shutil.rmtree(shelf, ignore_errors=True)  # earlier states: nobody reads them any more
        _fill(store, view, parts, root)
        (shelf / name).mkdir(parents=True, exist_ok=True)
        (shelf / name / "complete").touch()
    return store


def _fill(store: OfflineStore, view: View, parts: PluginParts, root: Path) -> None:
    """Write the file's rows, then those that only the store has."""
    identity = row_identity(view)
    seen: list[pa.Table] = []
    for number, table in enumerate(read_file(view, root=root)):
        store.write_rows(view, table, batch=f"file:{number}")
        seen.append(table.select(identity))
    if parts.offline.version(view) < 0:
        return
    ours = pa.concat_tables(seen) if seen else row_schema(view).empty_table().select(identity)
    for number, table in enumerate(parts.offline.read_rows(view)):
        rest = table.join(ours, keys=identity, join_type="left anti").select(table.column_names).cast(table.schema)
        if rest.num_rows:
            store.write_rows(view, rest, batch=f"store:{number}")


def _cast(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """Cast to the declared type; times without a zone are UTC, and nanoseconds are cut to microseconds."""
    if pa.types.is_timestamp(kind) and pa.types.is_timestamp(column.type):
        zoned = column if column.type.tz else pc.assume_timezone(column, "UTC")
        return zoned.cast(kind, safe=False)
    if pa.types.is_floating(kind):
        return column.cast(kind, safe=False)
    return column.cast(kind)
