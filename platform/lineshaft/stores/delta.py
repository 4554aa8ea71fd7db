"""The offline store: raw blocks and feature rows as Parquet in Delta tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow.fs import LocalFileSystem

from lineshaft.clock import Clock, SystemClock
from lineshaft.errors import InputError
from lineshaft.specs import BLOCK_SCHEMA, Source, View, row_identity, row_schema
from lineshaft.stores.amendment import amend_folder
from lineshaft.stores.compaction import compact_folder
from lineshaft.stores.data_files import Layout, safe_name
from lineshaft.stores.fetch import Budget
from lineshaft.stores.newest import newest
from lineshaft.stores.parquet_read import Snapshot
from lineshaft.stores.parquet_write import conform, write_files
from lineshaft.stores.point_in_time import join
from lineshaft.stores.ports import Found, Unneeded, Wanted
from lineshaft.stores.scan import scan

if TYPE_CHECKING:
    from lineshaft.stores.delta_log import DeltaFolder

Ints = NDArray[np.int64]


class DeltaOfflineStore:
    """All blocks and all feature rows with their history, in versioned tables under one folder or URL.

    `<root>/blocks/<source>` and `<root>/rows/<view>.<version>` are partitioned by UTC day and sorted by entity and
    time. Any Parquet reader can read them. Several processes may write at once; a batch name belongs to one writer at a
    time. `storage_options` are those of delta-rs for the URL's scheme (for S3: `AWS_REGION`, `AWS_ENDPOINT_URL`, ...);
    tested are folders and `file://`.
    """

    def __init__(
        self,
        root: str,
        *,
        storage_options: Mapping[str, str] | None = None,
        clock: Clock | None = None,
        budget: Budget | None = None,
    ) -> None:
        self._root = root.rstrip("/")
        self._options = storage_options
        self._clock: Clock = clock or SystemClock()
        self._budget = budget or Budget()

    # blocks

    def write_blocks(self, source: Source, blocks: pa.Table, *, batch: str) -> int:
        """Append raw blocks (BLOCK_SCHEMA) once per `batch` name; return a table version that holds them."""
        return self._write(self._blocks(source), blocks, batch)

    def read_blocks(
        self,
        source: Source,
        *,
        start_us: int | None = None,
        end_us: int | None = None,
        assets: Sequence[str] = (),
        version: int | None = None,
    ) -> Iterator[pa.Table]:
        """Return raw blocks whose start lies in [start, end), a row group at a time; no `assets` means all."""
        low = None if start_us is None else start_us - 1
        high = None if end_us is None else end_us - 1
        folder = self._blocks(source)
        snapshot = self._snapshot(folder, version)
        return scan(snapshot, folder.layout, columns=BLOCK_SCHEMA, after_us=low, until_us=high, first_key=assets)

    # feature rows

    def write_rows(self, view: View, rows: pa.Table, *, batch: str) -> int:
        """Append feature rows (`row_schema(view)`) once per `batch` name; return a table version that holds them."""
        return self._write(self._rows(view), rows, batch)

    def amend_rows(self, view: View, rows: pa.Table, *, batch: str) -> int:
        """Put rows in the place of those of their identity, and add the others; once per `batch` name."""
        return amend_folder(self._rows(view), rows, identity=row_identity(view), batch=batch)

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
        """Return feature rows with event_time in (start, end], a row group at a time.

        `assets` are values of the view's first join key; none means all.
        """
        folder = self._rows(view)
        columns = row_schema(view, features)
        snapshot = self._snapshot(folder, version)
        return scan(snapshot, folder.layout, columns=columns, after_us=start_us, until_us=end_us, first_key=assets)

    def latest(self, view: View, *, version: int | None = None) -> Iterator[pa.Table]:
        """Return the newest row of each entity by (event_time, known_at): what the online store must hold."""
        return newest(self._snapshot(self._rows(view), version), row_schema(view))

    def as_of(
        self, wanted: Wanted, at_us: Ints, *, known_us: Ints | None = None, version: int | None = None
    ) -> Iterator[Found]:
        """Return, per entity row in order, the newest row with event_time <= at and known_at <= known (default at).

        Chunks of consecutive entity rows; what is held grows by about 100 bytes per entity row and by no more.

        Raises
        ------
        InputError
            If keys and times differ in length, or a key or feature is not the view's.
        """
        known_us = at_us if known_us is None else known_us
        if not len(at_us) == len(known_us) == wanted.keys.num_rows:
            raise InputError(
                "one time per entity row is needed", where=wanted.view.ref, fix="pass arrays of one length"
            )
        snapshot = self._snapshot(self._rows(wanted.view), version)
        return join(snapshot, wanted, at_us=at_us, known_us=known_us, budget=self._budget)

    def version(self, view: View) -> int:
        """Return the current table version of a view's rows; -1 when nothing was written."""
        return self._rows(view).version()

    def newest_us(self, view: View) -> int | None:
        """Return the event time of the newest row of a view, as the table's log states it; None without rows."""
        files = self._rows(view).files()
        return files[0].newest_us if files else None

    # upkeep

    def stored(self, what: View | Source) -> int:
        """Return how many rows or blocks are there; no file is opened for it."""
        return sum(file.rows for file in self._table(what).files())

    def compact(self, what: View | Source) -> int:
        """Merge small files of each day into sorted ones; return the version. Older versions stay readable."""
        return compact_folder(self._table(what))

    def vacuum(
        self, what: View | Source, *, retention_hours: int, keep_versions: Sequence[int], delete: bool = False
    ) -> list[Unneeded]:
        """Return the files that neither the current version nor a kept one needs, once older than the retention.

        With `delete` they are gone then. Raises `ConflictError`, and deletes nothing, where a kept version is broken.
        """
        folder = self._table(what)
        return folder.vacuum(retention_hours=retention_hours, keep_versions=keep_versions, delete=delete)

    def _table(self, what: View | Source) -> DeltaFolder:
        return self._rows(what) if isinstance(what, View) else self._blocks(what)

    def _blocks(self, source: Source) -> DeltaFolder:
        order = ("asset_id", "position", "start_us", "sequence", "known_us")
        layout = Layout(schema=BLOCK_SCHEMA, sort_by=order, time="start_us", day="start_date")
        return self._folder("blocks", source.name, layout)

    def _rows(self, view: View) -> DeltaFolder:
        keys = tuple(name for name, _ in view.entity_keys)
        order = tuple(row_identity(view))
        layout = Layout(schema=row_schema(view), sort_by=order, time="event_time", day="event_date", keys=keys)
        return self._folder("rows", view.ref, layout)

    def _folder(self, kind: str, name: str, layout: Layout) -> DeltaFolder:
        from lineshaft.stores.delta_log import DeltaFolder

        uri = f"{self._root}/{kind}/{safe_name(name)}"
        return DeltaFolder(uri, layout=layout, clock=self._clock, options=self._options)

    def _write(self, folder: DeltaFolder, table: pa.Table, batch: str) -> int:
        table = conform(table, folder.layout.schema, where=folder.uri)
        if not table.num_rows:
            return folder.version()
        opened = folder.ensured()
        if opened.transaction_version(batch) is not None:
            return int(opened.version())
        return folder.append(opened, write_files(folder, table), batch=batch)

    def _snapshot(self, folder: DeltaFolder, version: int | None) -> Snapshot:
        files = tuple(folder.files(version))
        keys = folder.layout.keys
        # delta-rs opens no file system where there is no folder yet; without files none is needed.
        source = folder.filesystem if files else LocalFileSystem()
        return Snapshot(source=source, where=folder.uri, files=files, keys=keys)
