"""One Delta table: its log, its files, and commits that happen once and whole.

A data file is written under a name nobody knows, then named in the log by one put-if-absent; readers follow the log,
so a torn write is never seen. Each append carries the name of its batch as an application transaction: Delta refuses
the second of two racing commits of one batch, and a batch that is already there is not written again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from urllib.parse import unquote

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.fs import DeltaStorageHandler
from deltalake.transaction import AddAction, RemoveAction
from pyarrow import fs

from lineshaft.clock import Clock
from lineshaft.errors import ConflictError, NotFoundError
from lineshaft.stores.data_files import DataFile, Layout, NewFile, reaching
from lineshaft.stores.ports import Unneeded

_RETRIES = 200  # rival appends do not conflict; they only take version numbers from one another
_RIVALRY = ("oncurrent", "attempts", "changed since last commit")  # as the log's reader words a lost race
_REARRANGE = "lineshaft.compaction"
_KEEP = {"delta.deletedFileRetentionDuration": "interval 7 days"}
# Old versions are pins of training sets: they go when `vacuum` is told so, not by themselves.
_KEEP_VERSIONS = {"delta.logRetentionDuration": "interval 36500 days"}


def tables_below(uri: str, options: Mapping[str, str] | None = None) -> list[str]:
    """Return the names of the folders in a folder or URL, sorted; none where there is no such folder."""
    with reaching(uri):
        try:
            found = _file_system(uri, options).get_file_info(fs.FileSelector("", allow_not_found=True))
        except TableNotFoundError:
            return []
    return sorted(entry.base_name for entry in found if entry.type == fs.FileType.Directory)


def _file_system(uri: str, options: Mapping[str, str] | None) -> fs.FileSystem:
    if "://" in uri:
        return fs.PyFileSystem(DeltaStorageHandler(uri, dict(options or {}) or None))
    return fs.SubTreeFileSystem(uri, fs.LocalFileSystem())


class DeltaFolder:
    """One Delta table at a folder or URL."""

    def __init__(self, uri: str, *, layout: Layout, clock: Clock, options: Mapping[str, str] | None = None) -> None:
        self.uri, self.layout = uri, layout
        self._options, self._clock = dict(options or {}) or None, clock

    @property
    def filesystem(self) -> fs.FileSystem:
        """Return a file system whose paths start at the table."""
        return _file_system(self.uri, self._options)

    def open(self, version: int | None = None) -> DeltaTable | None:
        """Return the table, or None when nothing was ever written; version -1 is the time before that.

        Raises
        ------
        NotFoundError
            If the table has no such version.
        """
        with reaching(self.uri):
            if version == -1:
                return None
            try:
                table = DeltaTable(self.uri, storage_options=self._options)
            except TableNotFoundError:
                if version is None:
                    return None
                raise NotFoundError(
                    f"there is no version {version}", where=self.uri, fix="nothing was written yet"
                ) from None
            if version is None or version == table.version():
                return table
            if 0 <= version < table.version():
                return DeltaTable(self.uri, version=version, storage_options=self._options)
        raise NotFoundError(f"there is no version {version}", where=self.uri, fix=f"the newest is {table.version()}")

    def version(self) -> int:
        """Return the newest version; -1 when nothing was written."""
        table = self.open()
        return -1 if table is None else int(table.version())

    def files(self, version: int | None = None) -> list[DataFile]:
        """Return the files of a version, those with the newest rows first."""
        table = self.open(version)
        return [] if table is None else self.files_of(table)

    def files_of(self, table: DeltaTable) -> list[DataFile]:
        """Return the files of an open table, those with the newest rows first."""
        actions = pa.table(table.get_add_actions(flatten=True)).to_pydict()
        count = len(actions["path"])
        column = {name: actions.get(name) or [None] * count for name in self._bounds()}
        low, high, day = column.values()
        files = [
            DataFile(
                path=unquote(actions["path"][i]),
                rows=actions["num_records"][i] or 0,
                size=actions["size_bytes"][i],
                day=None if day[i] is None else str(day[i]),
                oldest_us=_micros(low[i]),
                newest_us=_micros(high[i]),
            )
            for i in range(count)
        ]
        return sorted(files, key=lambda f: (f.newest_us is None, f.newest_us or 0, f.path), reverse=True)

    def _bounds(self) -> tuple[str, str, str]:
        return f"min.{self.layout.time}", f"max.{self.layout.time}", f"partition.{self.layout.day}"

    def ensured(self) -> DeltaTable:
        """Return the table, created if need be; losing the race to another creator is as good as winning."""
        layout = self.layout
        schema = layout.schema.append(pa.field(layout.day, pa.date32(), nullable=False))
        with reaching(self.uri):
            if DeltaTable.is_deltatable(self.uri, self._options):
                return DeltaTable(self.uri, storage_options=self._options)
            try:
                return DeltaTable.create(
                    self.uri,
                    schema,
                    mode="ignore",
                    partition_by=[layout.day],
                    configuration={**_KEEP, **(_KEEP_VERSIONS if layout.versions else {})},
                    description=layout.text or None,
                    storage_options=self._options,
                )
            except DeltaError:
                if not DeltaTable.is_deltatable(self.uri, self._options):
                    raise
            return DeltaTable(self.uri, storage_options=self._options)

    def append(self, table: DeltaTable, files: Sequence[NewFile], *, batch: str, turn: int = 1) -> int:
        """Commit finished files once under the name of their batch, or of a writer and its turn.

        Returns a version that holds them.

        Raises
        ------
        ConflictError
            If other committers never let this one through.
        """
        actions = [self._add(file, change=True) for file in files]
        for _ in range(3):
            if (table.transaction_version(batch) or 0) >= turn:
                return int(table.version())
            if self._commit(table, actions, Transaction(batch, turn)):
                return self.version()
            table = self.ensured()
        raise ConflictError(f"batch {batch!r} was not committed", where=self.uri, fix="write it again: it is safe")

    def rearrange(
        self, table: DeltaTable, *, remove: Sequence[DataFile], add: Sequence[NewFile], batch: str = ""
    ) -> int:
        """Put files in the place of others: of the same rows or, under the name of a batch, of amended ones.

        Delta takes removals on trust, so two rearrangements at once would double rows: they share one application
        transaction, and the second is refused.

        Raises
        ------
        ConflictError
            If somebody else rearranged the table since `table` was opened.
        """
        turns = [Transaction(_REARRANGE, (table.transaction_version(_REARRANGE) or 0) + 1)]
        turns += [Transaction(batch, 1)] if batch else []
        now_ms = self._clock.now_us() // 1000
        gone = [
            RemoveAction(
                path=file.path,
                data_change=bool(batch),
                deletion_timestamp=now_ms,
                size=file.size,
                partition_values=self._partition(file.day),
            )
            for file in remove
        ]
        if not self._commit(table, [*gone, *(self._add(file, change=bool(batch)) for file in add)], *turns):
            raise ConflictError(
                "the table was compacted or amended by somebody else meanwhile", where=self.uri, fix="run it again"
            )
        return self.version()

    def vacuum(self, *, retention_hours: int, keep_versions: Sequence[int], delete: bool) -> list[Unneeded]:
        """Return the files that neither the current version nor a kept one needs, once older than the retention.

        With `delete` they are gone then.

        Raises
        ------
        ConflictError
            If a kept version is not whole, or would not be without these files; then nothing is deleted.
        """
        table = self.open()
        if table is None:
            return []
        kept = {path: version for version in keep_versions for path in self._paths(version)}
        sweep = partial(
            table.vacuum,
            retention_hours=retention_hours,
            enforce_retention_duration=False,
            full=True,
            keep_versions=list(keep_versions) or None,
        )
        with reaching(self.uri):
            names = [unquote(path) for path in sweep(dry_run=True)]
            found = self.filesystem.get_file_info(names)
            gone = [Unneeded(path=one.path, size=one.size) for one in found if one.type == fs.FileType.File]
            missing = {path for path in kept if self.filesystem.get_file_info(path).type != fs.FileType.File}
            broken = sorted({kept[path] for path in missing | (kept.keys() & {one.path for one in gone})})
            if broken:
                raise ConflictError(
                    f"version {broken[0]} is pinned, and has files that are gone or would go: nothing is deleted",
                    where=self.uri,
                    fix="restore them from a backup",
                )
            if delete and gone:
                sweep(dry_run=False)
        return gone

    def _paths(self, version: int) -> list[str]:
        """Return the files of a version; `ConflictError` where there is no such version."""
        try:
            return [file.path for file in self.files(version)]
        except NotFoundError as error:
            what = f"version {version} is pinned, and the table has none: nothing is deleted"
            raise ConflictError(what, where=self.uri, fix="restore the table from a backup") from error

    def _commit(self, table: DeltaTable, actions: Sequence[AddAction | RemoveAction], *turns: Transaction) -> bool:
        """Commit; return False where a rival with the same application transaction, or too many others, won."""
        with reaching(self.uri):
            try:
                table.create_write_transaction(
                    list(actions),
                    mode="append",
                    schema=table.schema(),
                    partition_by=[self.layout.day],
                    commit_properties=CommitProperties(max_commit_retries=_RETRIES, app_transactions=list(turns)),
                )
            except CommitFailedError as error:
                if any(word in str(error) for word in _RIVALRY):
                    return False
                raise
        return True

    def _partition(self, day: str | None) -> dict[str, str | None]:
        return {self.layout.day: day}

    def _add(self, file: NewFile, *, change: bool) -> AddAction:
        return AddAction(
            path=file.path,
            size=file.size,
            partition_values=self._partition(file.day),
            modification_time=self._clock.now_us() // 1000,
            data_change=change,
            stats=file.stats,
        )


def _micros(bound: object) -> int | None:
    """Read a bound of event time from the log: a timestamp or plain microseconds."""
    if bound is None or isinstance(bound, int):
        return bound
    return int(pa.scalar(bound, pa.timestamp("us", tz="UTC")).value)
