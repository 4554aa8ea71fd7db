"""A user's own files, CSV or Parquet: waveform blocks, or readings in a wide or a long table.

Waveforms: asset_id, start, rate_hz, samples (a list; in CSV numbers separated by blanks or ';'), one line a block;
a source of several channels has a column a channel instead of `samples`. Wide: asset_id, event_time, a column a
channel. Long: asset_id, event_time, channel, value. Optional everywhere: position, known_at, sequence; for waveforms
also shaft_hz, bearing, full_scale.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lineshaft.errors import InputError, close_to
from lineshaft.sources.blocks import Floats, Integers, blocks_table, reading_blocks
from lineshaft.sources.catalogue import SOURCES
from lineshaft.sources.checks import REASONS
from lineshaft.sources.reading import Reading, gather, reject_rows
from lineshaft.sources.rules import RepeatRule
from lineshaft.sources.tabular import files_in, floats, numbers, read_csv, read_parquet, stamps, times_us
from lineshaft.specs import Source

EVERYWHERE = ("asset_id", "position", "known_at", "sequence")
OF_WAVEFORMS = ("start", "rate_hz", "shaft_hz", "bearing", "full_scale")
_ALL_CHANNELS = sorted({channel for source in SOURCES.values() for channel in source.channels})
TEXT = ("asset_id", "position", "bearing", "samples", "channel")


def read_files(
    path: Path, *, source: Source | None = None, period_s: float = 1.0, ignore: Sequence[str] = ()
) -> Iterator[Reading]:
    """Read a user's CSV and Parquet files as blocks of `source`, one reading a file.

    Unset, the source is the catalogue's that has every channel the file names (waveforms: `vibration_blocks`).

    `period_s` is how long one reading of a wide or long table speaks for (readings so far apart share blocks);
    `ignore` names columns to leave out. A reading stamped t closes the period that ends at t.

    Raises
    ------
    InputError
        If a file has not the columns of any layout, or a cell is not what its column needs; says file, line, column.
    """
    fix = "name a .csv, .csv.gz or .parquet file, or a folder of them"
    for file in files_in(path, "*.csv", "*.csv.gz", "*.parquet", fix=fix):
        table = _texts(read_parquet(file)) if file.suffix == ".parquet" else read_csv(file, text=TEXT)
        table = table.drop_columns([name for name in ignore if name in table.column_names])
        names = set(table.column_names)
        mine = source or guess_source(table, path=file)
        if "rate_hz" in names:
            yield _waveforms(_as_text(table, mine, file), mine, path=file)
        elif {"channel", "value"} <= names:
            yield _readings(_widened(table, mine, path=file), mine, period_s, path=file)
        else:
            yield _readings(table, mine, period_s, path=file)


def guess_source(table: pa.Table, *, path: Path) -> Source:
    """Return the one source of the catalogue that has every channel a file names.

    Raises
    ------
    InputError
        If none has, or several have.
    """
    if {"rate_hz", "samples"} <= set(table.column_names):
        return SOURCES["vibration_blocks"]
    if {"channel", "value"} <= set(table.column_names):
        named = set(table["channel"].to_pylist())
    else:
        named = set(table.column_names) - {*EVERYWHERE, *OF_WAVEFORMS, "event_time"}
    fitting = [source for source in SOURCES.values() if named and named <= set(source.channels)]
    if len(fitting) == 1:
        return fitting[0]
    words = {name: close_to(str(name), _ALL_CHANNELS, most=1) for name in sorted(named, key=str)}
    near = [f"did you mean {found[0]!r} for {name!r}?" for name, found in words.items() if found and found[0] != name]
    what = f"{'no' if not fitting else 'more than one'} source has the channels {', '.join(map(str, words))}"
    fix = (
        near[0]
        if near and not fitting
        else f"name the source: {', '.join(s.name for s in fitting) or ', '.join(SOURCES)}"
    )
    raise InputError(what, where=f"{path}:1", fix=fix)


def _as_text(table: pa.Table, source: Source, file: Path) -> pa.Table:
    """Return a table of waveforms with every channel's samples still as written, CSV's guesses undone."""
    if file.suffix == ".parquet" or len(source.channels) == 1:
        return table
    return read_csv(file, text=(*TEXT, *source.channels)).select(table.column_names)


def _texts(table: pa.Table) -> pa.Table:
    """Return a Parquet table whose names are strings, though they were written as numbers or categories."""
    for name in set(table.column_names) & {"asset_id", "position", "bearing", "channel"}:
        table = table.set_column(table.column_names.index(name), name, table[name].cast(pa.string()))
    return table


def _require(table: pa.Table, needed: Sequence[str], allowed: Sequence[str], *, path: Path) -> None:
    """Refuse a table that lacks a column or has one we cannot place."""
    for name in needed:
        if name not in table.column_names:
            fix = (
                f"add it; the layout is {', '.join(needed)} (optional: {', '.join(sorted(set(allowed) - set(needed)))})"
            )
            raise InputError(f"there is no column {name!r}", where=f"{path}:1", fix=fix)
        if name in ("asset_id", "channel") and table[name].null_count:
            line = pc.index(pc.is_null(table[name]), value=True).as_py() + 2
            raise InputError(f"column {name!r} is empty", where=f"{path}:{line}", fix="fill it or leave the line out")
    for name in table.column_names:
        if name not in allowed:
            near = close_to(name, allowed, most=1)
            fix = f"did you mean {near[0]!r}?" if near else f"leave it out with ignore=({name!r},)"
            raise InputError(f"column {name!r} has no place in this source", where=f"{path}:1", fix=fix)


def _waveforms(table: pa.Table, source: Source, *, path: Path) -> Reading:
    """Return one block a line; lines of one length are built together, order kept."""
    lists = ("samples",) if len(source.channels) == 1 else source.channels
    _require(table, ("asset_id", "start", "rate_hz", *lists), (*EVERYWHERE, *OF_WAVEFORMS, *lists), path=path)
    starts = times_us(table["start"], path=path, name="start")
    cells = [_samples(table[name], path=path, name=name) for name in lists]
    sizes = np.array([[len(cell) for cell in column] for column in cells], dtype=np.int64).reshape(len(lists), -1)
    rates = floats(table, ["rate_hz"], path=path)[:, 0]
    uneven = (sizes != sizes[0]).any(axis=0) | (sizes[0] == 0)
    unpaced = ~uneven & ~(np.isfinite(rates) & (rates > 0))
    bad = np.flatnonzero(uneven | unpaced)
    faults = (("uneven_channels", "no samples, or unequal", uneven), ("bad_rate", REASONS["bad_rate"], unpaced))
    rejects = pa.concat_tables(
        reject_rows(source=source.name, reason=reason, rows=_told(table, starts, flags), detail=detail)
        for reason, detail, flags in faults
    )
    columns = _optional(table, path=path)
    parts, order = [], []
    for size in np.unique(sizes[0]).tolist():
        mine = np.setdiff1d(np.flatnonzero(sizes[0] == size), bad)
        if len(mine) == 0:
            continue
        samples = np.stack([np.stack([column[row] for row in mine]) for column in cells], axis=1)
        chosen = {name: found.take(pa.array(mine)).combine_chunks() for name, found in columns.items()}
        parts.append(blocks_table(starts_us=starts[mine], samples=samples, rate_hz=rates[mine], dtype="f4", **chosen))
        order.append(mine)
    if not parts:
        return Reading(rejects=rejects)
    back = pa.array(np.argsort(np.concatenate(order), kind="stable"))
    return Reading(blocks={source.name: pa.concat_tables(parts).take(back)}, rejects=rejects)


def _told(table: pa.Table, starts: Integers, flags: npt.NDArray[np.bool_]) -> list[dict[str, Any]]:
    """Return what to keep of lines that are put aside."""
    rows = np.flatnonzero(flags).tolist()
    return [{"asset_id": table["asset_id"][row].as_py(), "line": row + 2, "start_us": int(starts[row])} for row in rows]


def _samples(column: pa.ChunkedArray, *, path: Path, name: str) -> list[npt.NDArray[np.float32]]:
    """Return each cell's samples; text is split at blanks and ';'."""
    if not pa.types.is_string(column.type):
        return [np.asarray(cell if cell is not None else [], dtype=np.float32) for cell in column.to_pylist()]
    cells = []
    for row, text in enumerate(column.to_pylist()):
        try:
            cells.append(np.array((text or "").replace(";", " ").split(), dtype=np.float32))
        except ValueError as error:
            fix = "write numbers separated by blanks"
            raise InputError(f"column {name!r}: {error}", where=f"{path}:{row + 2}", fix=fix) from error
    return cells


def _optional(table: pa.Table, *, path: Path) -> dict[str, pa.ChunkedArray]:
    """Return the block columns a table may give, under the names `blocks_table` knows."""
    found = {name: table[name] for name in ("asset_id", "position", "bearing") if name in table.column_names}
    if "sequence" in table.column_names:
        found["sequence"] = numbers(table, "sequence", path=path, kind=pa.int64())
    for name in ("shaft_hz", "full_scale"):
        if name in table.column_names:
            cells = numbers(table, name, path=path)
            found[name] = pc.if_else(pc.is_nan(cells), pa.scalar(None, pa.float64()), cells)  # unknown is null
    if "known_at" in table.column_names:
        found["known_us"] = pa.chunked_array([times_us(table["known_at"], path=path, name="known_at")])
    return {name: _filled(column, name) for name, column in found.items()}


def _filled(column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    """Return a column without nulls where a block may have none."""
    return pc.fill_null(column, {"position": "", "sequence": 0}[name]) if name in ("position", "sequence") else column


def _widened(table: pa.Table, source: Source, *, path: Path) -> pa.Table:
    """Return a long table as a wide one: lines of one asset, position and time become one."""
    _require(
        table,
        ("asset_id", "event_time", "channel", "value"),
        (*EVERYWHERE, "event_time", "channel", "value"),
        path=path,
    )
    unknown = sorted(set(table["channel"].to_pylist()) - set(source.channels))
    if unknown:
        line = pc.index(table["channel"], unknown[0]).as_py() + 2
        fix = f"channels of {source.name}: {', '.join(source.channels)}"
        raise InputError(f"there is no channel {unknown[0]!r}", where=f"{path}:{line}", fix=fix)
    values = floats(table, ["value"], path=path)[:, 0]
    given = _optional(table, path=path)
    known = given.pop("known_us", None)
    keys = {**given, "event_time": stamps(times_us(table["event_time"], path=path, name="event_time"))}
    lines, firsts = _merged(list(keys.values()), table["channel"])
    wide = np.full((len(firsts), len(source.channels)), np.nan)
    wide[lines, [source.channels.index(name) for name in table["channel"].to_pylist()]] = values
    columns: dict[str, Any] = {name: cells.take(pa.array(firsts, pa.int64())) for name, cells in keys.items()}
    if known is not None:
        latest = np.full(len(firsts), np.iinfo(np.int64).min)
        np.maximum.at(latest, lines, known.to_numpy())
        columns["known_at"] = stamps(latest)
    return pa.table({**columns, **{name: wide[:, number] for number, name in enumerate(source.channels)}})


def _merged(keys: Sequence[Any], channels: pa.ChunkedArray) -> tuple[Integers, list[int]]:
    """Return the wide line of each long one, and the first long line of each wide one.

    A channel told again under one key opens another line, so that both readings are kept, as in a wide table.
    """
    lines: dict[tuple[Any, ...], int] = {}
    firsts: list[int] = []
    told: Counter[tuple[Any, ...]] = Counter()
    place = np.empty(len(channels), dtype=np.int64)
    for row, (channel, *key) in enumerate(zip(channels.to_pylist(), *(k.to_pylist() for k in keys), strict=True)):
        again = told[channel, *key]
        told[channel, *key] += 1
        place[row] = lines.setdefault((again, *key), len(firsts))
        if place[row] == len(firsts):
            firsts.append(row)
    return place, firsts


def _readings(table: pa.Table, source: Source, period_s: float, *, path: Path) -> Reading:
    """Return a wide table's readings as blocks, asset by asset; channels the file lacks are NaN."""
    _require(table, ("asset_id", "event_time"), (*EVERYWHERE, "event_time", *source.channels), path=path)
    present = [name for name in source.channels if name in table.column_names]
    if not present:
        fix = f"name columns after the channels of {source.name}: {', '.join(source.channels)}"
        raise InputError("there is no column of any channel", where=f"{path}:1", fix=fix)
    values = np.full((len(table), len(source.channels)), np.nan)
    values[:, [source.channels.index(name) for name in present]] = floats(table, present, path=path)
    ends = times_us(table["event_time"], path=path, name="event_time")
    columns = _optional(table, path=path)
    known = columns["known_us"].to_numpy() if "known_us" in columns else ends
    given = columns["sequence"].to_numpy().astype(np.int64) if "sequence" in columns else None
    places = zip(
        columns["asset_id"].to_pylist(), columns.get("position", pa.repeat("", len(ends))).to_pylist(), strict=True
    )
    rows: dict[tuple[str, str], list[int]] = {}
    for row, place in enumerate(places):
        rows.setdefault(place, []).append(row)
    parts = []
    for (asset, position), found in rows.items():
        mine = np.array(found)
        sequence = RepeatRule().apply(ends[mine])[1] if given is None else given[mine]
        parts.append(_place(asset, position, ends[mine], values[mine], known[mine], sequence, round(period_s * 1e6)))
    return gather(
        Reading(blocks={source.name: part}, notes={"repeated_time": twice} if twice else {}) for part, twice in parts
    )


def _place(
    asset: str, position: str, ends: Integers, values: Floats, known: Integers, sequence: Integers, period_us: int
) -> tuple[pa.Table, int]:
    """Return the blocks of one asset and position, and how many of its times came again."""
    order = np.lexsort((sequence, ends))
    blocks = reading_blocks(
        asset_id=asset,
        position=position,
        ends_us=ends[order],
        values=values[order],
        period_us=period_us,
        known_us=known[order],
        sequence=sequence[order],
    )
    return blocks, len(ends) - len(np.unique(ends))
