"""Side tables beside the blocks: labels, truth, maintenance events. Small, kept as Parquet by name."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from lineshaft.errors import CorruptError, NotFoundError
from lineshaft.stores.whole_files import write_whole


def keep_tables(tables: Mapping[str, pa.Table], folder: Path) -> None:
    """Write each table under its name, replacing what was there in one step."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        write_whole(table, folder / f"{name}.parquet")


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedTable:
    """A table with the SHA-256 of its file."""

    sha256: str
    table: pa.Table


def read_table(name: str, folder: Path) -> pa.Table:
    """Return a kept table.

    Raises `NotFoundError` naming those that are there.
    """
    return pq.read_table(pa.BufferReader(_content(name, folder)))


def table_sha256(name: str, folder: Path) -> str:
    """Return the SHA-256 of a kept table's file; raises `NotFoundError` as `read_table` does."""
    return hashlib.sha256(_content(name, folder)).hexdigest()


def pin_table(name: str, folder: Path) -> PinnedTable:
    """Return a kept table, and keep this content of it whatever takes its place."""
    content = _content(name, folder)
    digest = hashlib.sha256(content).hexdigest()
    path = _pinned(digest, folder)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        hidden = path.with_name(f".{digest}.partial")
        hidden.write_bytes(content)
        hidden.replace(path)
    return PinnedTable(sha256=digest, table=pq.read_table(pa.BufferReader(content)))


def read_pinned(digest: str, folder: Path) -> pa.Table:
    """Return the table whose file had this SHA-256.

    Raises
    ------
    NotFoundError
        If it is gone.
    CorruptError
        If it is another by now.
    """
    path = _pinned(digest, folder)
    if not path.is_file():
        raise NotFoundError(f"the pinned table {digest[:12]}… is gone", where=str(path), fix="restore it from a backup")
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != digest:
        what = f"the pinned table {digest[:12]}… was altered: its content is {found[:12]}…"
        raise CorruptError(what, where=str(path), fix="restore it from a backup")
    return pq.read_table(pa.BufferReader(content))


def _pinned(digest: str, folder: Path) -> Path:
    return folder / "pinned" / f"{digest}.parquet"


def _content(name: str, folder: Path) -> bytes:
    path = folder / f"{name}.parquet"
    if not path.is_file():
        there = ", ".join(sorted(p.stem for p in folder.glob("[!.]*.parquet"))) or "none"
        raise NotFoundError(f"no table {name!r} was ingested", where=str(folder), fix=f"tables there: {there}")
    return path.read_bytes()
