"""Reading small text tables into Arrow and NumPy, with errors that name the file and the column."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv, parquet

from lineshaft.errors import InputError

FLOAT = pa.float64()
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TIMES_FIX = "write times as 2024-05-06 07:08:09.123 (read as UTC), or with an offset"

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def files_in(path: Path, *patterns: str, fix: str = "") -> list[Path]:
    """Return `path` itself if it is a file, else the files of that folder that match, in order of name.

    The folder's own files win; only where it has none are its subfolders searched.

    Raises
    ------
    InputError
        If nothing matches.
    """
    if path.is_file():
        return [path]
    for prefix in ("", "**/"):
        found = sorted({file for pattern in patterns for file in path.glob(prefix + pattern)})
        if found:
            return found
    raise InputError(
        f"no file matches {' or '.join(patterns)}", where=str(path), fix=fix or "name the folder of the set"
    )


def read_csv(path: Path, *, delimiter: str = ",", names: Sequence[str] = (), text: Sequence[str] = ()) -> pa.Table:
    """Return a delimited file as a table; gzip and a byte-order mark are taken in stride.

    `names` are the columns of a file that has no header; columns named in `text` stay strings.

    Raises
    ------
    InputError
        If the file is absent, cut off or cannot be parsed, or names a column twice.
    """
    try:
        table = csv.read_csv(
            path,
            read_options=csv.ReadOptions(column_names=list(names) or None),
            parse_options=csv.ParseOptions(delimiter=delimiter),
            convert_options=csv.ConvertOptions(column_types=dict.fromkeys(text, pa.string())),
        )
        return _distinct(table, path)
    except (pa.ArrowInvalid, pa.ArrowKeyError, OSError, UnicodeDecodeError) as error:
        fix = f"make it a whole UTF-8 text table separated by {delimiter!r}, every line with the same number of fields"
        raise InputError(f"cannot read a table: {error}", where=str(path), fix=fix) from error


def read_parquet(path: Path) -> pa.Table:
    """Return a Parquet file as a table.

    Raises
    ------
    InputError
        If the file is cut off or no Parquet, or names a column twice.
    """
    try:
        return _distinct(parquet.read_table(path), path)
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"cannot read Parquet: {error}", where=str(path), fix="write or fetch it anew") from error


def _distinct(table: pa.Table, path: Path) -> pa.Table:
    """Refuse a table in which a name may mean either of two columns."""
    names = table.column_names
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"column {twice[0]!r} stands there twice", where=f"{path}:1", fix="rename or remove one")
    return table


def column(table: pa.Table, name: str, *, path: Path) -> pa.ChunkedArray:
    """Return a column.

    Raises
    ------
    InputError
        If the table lacks it.
    """
    if name not in table.column_names:
        raise InputError(
            f"there is no column {name!r}", where=f"{path}:1", fix=f"found: {', '.join(table.column_names)}"
        )
    return table[name]


def floats(table: pa.Table, names: Sequence[str], *, path: Path) -> Floats:
    """Return columns as float64 of (rows, columns); empty cells are NaN.

    Raises
    ------
    InputError
        If a column is absent or holds text.
    """
    values = np.empty((len(table), len(names)))
    for number, name in enumerate(names):
        values[:, number] = pc.fill_null(numbers(table, name, path=path), np.nan).to_numpy()
    return values


def numbers(table: pa.Table, name: str, *, path: Path, kind: pa.DataType = FLOAT) -> pa.ChunkedArray:
    """Return a column as numbers, of float64 or of int64; empty cells are null.

    Raises
    ------
    InputError
        If the column is absent or holds text, or parts of numbers where whole ones are asked for; says the line.
    """
    found = column(table, name, path=path)
    try:
        return found.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        what = "numbers" if kind == FLOAT else "whole numbers"
        fix = f"write {what} only; leave a cell empty where nothing was measured"
        where = f"{path}:{_first_odd(found, kind) + 2}"
        raise InputError(f"column {name!r} holds more than {what}", where=where, fix=fix) from error


def wholes(table: pa.Table, name: str, *, path: Path) -> Integers:
    """Return a column of whole numbers, none of them absent.

    Raises
    ------
    InputError
        If a cell is empty or holds anything else; says the line.
    """
    found = numbers(table, name, path=path, kind=pa.int64())
    if found.null_count:
        line = pc.index(pc.is_null(found), value=True).as_py() + 2
        raise InputError(f"column {name!r} is empty", where=f"{path}:{line}", fix="fill it or leave the line out")
    return np.asarray(found.to_numpy())


def _first_odd(cells: pa.ChunkedArray, kind: pa.DataType) -> int:
    """Return the first row whose cell cannot be cast; halved, so that a million rows take twenty casts."""
    low, high = 0, len(cells)
    while high - low > 1:
        middle = (low + high) // 2
        try:
            cells.slice(low, middle - low).cast(kind)
            low = middle
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            high = middle
    return low


def times_us(times: Any, *, path: Path, name: str) -> Integers:
    """Return a column of times as int64 microseconds; times without a zone are read as UTC.

    Raises
    ------
    InputError
        If the column is not made of times, or one is absent.
    """
    if pa.types.is_string(times.type):
        times = pa.chunked_array([_told(times, path=path, name=name)])
    try:
        stamps = times.cast(pa.timestamp("us", tz=getattr(times.type, "tz", None)))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InputError(f"column {name!r} holds no times: {error}", where=str(path), fix=TIMES_FIX) from error
    if stamps.null_count:
        row = pc.index(pc.is_null(stamps), value=True).as_py()
        raise InputError(f"column {name!r} has no time", where=f"{path}:{row + 2}", fix="fill it or leave the line out")
    return np.asarray(stamps.cast(pa.int64()).to_numpy())


def _told(times: pa.ChunkedArray, *, path: Path, name: str) -> pa.Array:
    """Return times written in more than one way; cell by cell, so that the line of a bad one can be told."""
    told = []
    for row, text in enumerate(times.to_pylist()):
        try:
            told.append(utc_us(text) if text else None)
        except ValueError as error:
            what = f"column {name!r} holds {text!r}, which is no time"
            raise InputError(what, where=f"{path}:{row + 2}", fix=TIMES_FIX) from error
    return pa.array(told, pa.timestamp("us", tz="UTC"))


def utc_us(text: str) -> int:
    """Return an ISO time, read as UTC unless it says otherwise, as microseconds.

    >>> utc_us("2000-01-01"), utc_us("2000-01-01T01:00:00+01:00")
    (946684800000000, 946684800000000)
    """
    stamp = datetime.fromisoformat(text)
    if stamp.tzinfo is None:
        stamp = stamp.replace(tzinfo=UTC)
    return (stamp - _EPOCH) // timedelta(microseconds=1)  # whole numbers: a float of seconds is off by one in 2200


def stamps(times: Integers) -> pa.Array:
    """Return microseconds as an Arrow column of UTC timestamps."""
    return pa.array(times, pa.int64()).cast(pa.timestamp("us", tz="UTC"))
