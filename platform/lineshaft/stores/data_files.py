"""What is known of a table's files without opening it: its layout, what a file holds, what keeps it from being reached.

The log itself is read in `delta_log`, which stands on delta-rs; it is imported by the first call that needs a table, so
that a server which only answers from the online store does not hold it in memory.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pyarrow as pa

from lineshaft.errors import InputError, UnavailableError

_FIX = "make the folder writable and the disk less full, or point LINESHAFT_OFFLINE_URL elsewhere"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How a kind of table lies on disk."""

    schema: pa.Schema
    sort_by: tuple[str, ...]
    time: str  # the column of event time: timestamp[us, UTC] or int64 microseconds
    day: str  # the partition column: UTC date of `time`
    keys: tuple[str, ...] = ()  # the columns that name an entity
    text: str = ""  # what the table's description says
    versions: bool = True  # whether old versions are kept until `vacuum`


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFile:
    """One Parquet file of a table; the bounds are None where the log does not state them."""

    path: str
    rows: int
    size: int
    day: str | None = None
    oldest_us: int | None = None
    newest_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewFile:
    """A finished file that no log names yet."""

    path: str
    size: int
    stats: str
    day: str


@contextmanager
def reaching(where: str) -> Iterator[None]:
    """Turn what a full disk, a read-only folder or a dead object store raises into `UnavailableError`."""
    from deltalake.exceptions import DeltaError

    try:
        yield
    except (OSError, DeltaError) as error:
        raise UnavailableError(f"the offline store cannot be used: {error}", where=where, fix=_FIX) from error


def safe_name(name: str) -> str:
    """Return a name as it may stand in a path: `view@version` becomes `view.version`.

    >>> safe_name("motor@0123456789ab")
    'motor.0123456789ab'
    """
    safe = name.replace("@", ".")
    if not re.fullmatch(r"[A-Za-z0-9_.\-]+", safe) or safe.startswith((".", "_")):
        raise InputError(f"{name!r} cannot name a table", fix="use letters, digits, '_', '-', and start with a letter")
    return safe
