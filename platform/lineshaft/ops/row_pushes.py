"""Rows of features computed elsewhere that services push: online at once, offline behind the checkpoint.

A push is kept as a file before it is served, and landed by a process that can run checkpoints: `lineshaft up`, or
`lineshaft land` beside a server. A refused row is taken back online, as a stream's is.
"""

from __future__ import annotations

import fcntl
import hashlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from lineshaft.access.guard import LOCAL, Caller
from lineshaft.clock import Clock
from lineshaft.errors import InputError
from lineshaft.ops.inbox import write_file
from lineshaft.ops.ingest import keep_rejects
from lineshaft.ops.jobs import JobResult, Target
from lineshaft.ops.landing import land
from lineshaft.ops.pushes import Pushed, refuse_all
from lineshaft.registry.catalog_values import Catalog
from lineshaft.sources.pushed import Columns
from lineshaft.sources.pushed_rows import pushed_rows
from lineshaft.specs import View
from lineshaft.stores.ports import OnlineStore

REMEMBERED_US = 7 * 86_400_000_000
"""How long a push that has landed is known by its content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowPushes:
    """Take rows of views whose features are computed elsewhere. `folder` has one of waiting files for each view."""

    catalog: Catalog
    clock: Clock
    online: OnlineStore
    folder: Path
    rejects: Path

    def push(self, name: str, columns: Columns, *, caller: Caller = LOCAL) -> Pushed:
        """Take one push, if the caller may write for the view's team; the same again, whole, changes nothing.

        Raises `NotFoundError` for no such view, `InputError` for one whose features are computed here, for columns that
        do not fit, and where every row is rejected; `UnavailableError` where the online store cannot be asked: the rows
        are kept then all the same, and a push of them again is harmless.
        """
        view = self._view(name)
        caller.must_write(name, [view.team])
        rows, rejects = pushed_rows(columns, view, received_us=self.clock.now_us())
        keep_rejects(rejects, self.rejects)
        rejected = dict(Counter(rejects["reason"].to_pylist()))
        if not rows.num_rows:
            refuse_all(name, rejected)
        path = self.folder / view.ref / f"{_content(columns)}.parquet"
        landed = _landed(path).exists()
        path.parent.mkdir(parents=True, exist_ok=True)
        first = not landed and write_file(rows, path, once=True)
        if view.online and not landed:
            self.online.write(view, rows if first else _read(path, rows))
        return Pushed(source=name, accepted=rows.num_rows, rejected=rejected, repeat=not first)

    def _view(self, name: str) -> View:
        view = self.catalog.view(name)
        if view.source.kind != "rows":
            what = f"features of {name} are computed here, from {view.source.name}"
            raise InputError(what, fix=f"push readings to {view.source.name}, not features")
        return view


def land_pushes(folder: Path, *, catalog: Catalog, target: Target, online: OnlineStore, clock: Clock) -> JobResult:
    """Land every push that waits, a batch for each view; return what was done. Where another does it, nothing is."""
    result = JobResult()
    with _alone(folder) as alone:
        refs = sorted({path.parent.name for path in folder.glob("*/[!.]*.parquet")}) if alone else []
        for ref in refs:
            name, _, version = ref.rpartition("@")
            view = catalog.view(name, version)
            paths = sorted((folder / ref).glob("[!.]*.parquet"))
            rows = pa.concat_tables(pq.read_table(path, partitioning=None) for path in paths)
            batch = (
                f"pushed:{hashlib.blake2b(repr([path.name for path in paths]).encode(), digest_size=12).hexdigest()}"
            )
            done = land(view, rows, batch=batch, offline=target.offline, gate=target.gate, aside=target.work)
            if view.online and done.good.num_rows:
                online.write(view, done.good)  # a push that could not reach the online store is put right here
            for path in paths:
                _landed(path).parent.mkdir(exist_ok=True)
                _landed(path).touch()
                path.unlink()
            _forget(folder / ref, before_us=clock.now_us() - REMEMBERED_US)
            result += JobResult(
                rows={ref: done.good.num_rows},
                repeats={ref: done.repeats} if done.repeats else {},
                quarantined={ref: done.quarantined} if done.quarantined else {},
                unchecked={ref: done.unchecked} if done.unchecked else {},
            )
    return result


def _content(columns: Columns) -> str:
    """Return a name that depends on what was pushed alone, not on when."""
    return hashlib.blake2b(repr(sorted(columns.items())).encode(), digest_size=16).hexdigest()


def _landed(path: Path) -> Path:
    """Return the mark that a push has landed."""
    return path.parent / "landed" / path.stem


def _read(path: Path, rows: pa.Table) -> pa.Table:
    """Return the rows as they were first received; those just received if they have landed meanwhile."""
    try:
        return pq.read_table(path, partitioning=None)
    except FileNotFoundError:
        return rows.slice(0, 0)


def _forget(folder: Path, *, before_us: int) -> None:
    for mark in (folder / "landed").iterdir():
        if mark.stat().st_mtime_ns // 1000 < before_us:
            mark.unlink()


@contextmanager
def _alone(folder: Path) -> Iterator[bool]:
    """Hold the folder's lock, which ends with the process; yield whether nobody else holds it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w", encoding="utf-8") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
