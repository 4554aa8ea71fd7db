"""Logs of scalar readings: the IMS extract, NAB temperatures, SKAB's water loop, AI4I's rows.

A reading stamped t speaks of the period that ends at t. Times without a zone are read as UTC.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from lineshaft.errors import InputError
from lineshaft.sources.blocks import Floats, Integers, reading_blocks
from lineshaft.sources.catalogue import SOURCES
from lineshaft.sources.reading import Reading, reject_rows
from lineshaft.sources.rules import RepeatRule, TemperatureRule
from lineshaft.sources.tabular import column, files_in, floats, read_csv, stamps, times_us, utc_us, wholes

MINUTE_US = 60_000_000
MACHINE_OFF_G = 0.004
EPOCH = "2000-01-01"
SKAB_COLUMNS = (
    *("Accelerometer1RMS", "Accelerometer2RMS", "Current", "Pressure", "Temperature", "Thermocouple", "Voltage"),
    "Volume Flow RateRMS",
)
"""The columns of SKAB's files, in the order of the channels of `skab_loop`."""
NAB_UNIT = TemperatureRule(sent="degF")
"""NAB states no unit. Its office reads 57 to 86: in degC nobody could work there, in degF it is 14 to 30 degC."""


def read_ims(path: Path, *, off_below_g: float = MACHINE_OFF_G) -> Iterator[Reading]:
    """Read the extract of IMS set 2: mean |a| of four bearings every 10 minutes, assets bearing-1 to bearing-4.

    A row whose every channel lies below `off_below_g` is a stopped machine: rejected as `machine_off`, since it
    is neither healthy nor failed but no data.
    """
    for file in files_in(path, "ims_*.csv", fix="name the folder of ims_set2_meanabs_10min.csv"):
        table = read_csv(file)
        ends = times_us(table.column(0), path=file, name=table.column_names[0])
        names = table.column_names[1:]
        if not names:
            raise InputError("there is no column but the time", where=f"{file}:1", fix="give a column a bearing")
        values = floats(table, names, path=file)
        off = (values < off_below_g).all(axis=1)
        source = SOURCES["ims_level"]
        blocks = [
            reading_blocks(
                asset_id=f"bearing-{number + 1}",
                ends_us=ends[~off],
                values=values[~off, number : number + 1],
                period_us=10 * MINUTE_US,
                tile_us=10 * MINUTE_US,
            )
            for number in range(len(names))
        ]
        rows = [
            {"start_us": int(ends[row]) - 10 * MINUTE_US, **_cells(table, row)} for row in np.flatnonzero(off).tolist()
        ]
        detail = f"every channel below {off_below_g} g"
        rejects = reject_rows(source=source.name, reason="machine_off", rows=rows, detail=detail)
        yield Reading(blocks={source.name: pa.concat_tables(blocks)}, rejects=rejects)


def read_nab(path: Path, *, repeats: RepeatRule | None = None, unit: TemperatureRule = NAB_UNIT) -> Iterator[Reading]:
    """Read NAB's two temperatures: asset machine (every 5 minutes) and asset office (hourly, channel ambient).

    The machine's clock goes back once, so that 12 times come twice with different values: `repeats` says what to
    do (unset: keep both, told apart by `sequence`) and they are counted under `repeated_time`. The set states no unit:
    `unit` says what its numbers are taken for, and each one read by it is counted under `unit_taken_for_degF` (or
    degC). Table `windows` holds the labelled ones.
    """
    rule = repeats or RepeatRule()
    series = {"machine_temperature": ("machine", "temperature", 5), "ambient_temperature": ("office", "ambient", 60)}
    fix = "name the folder of NAB's temperature files"
    for file in files_in(path, *(f"{kind}_system_failure.csv" for kind in series), fix=fix):
        kind = file.name.removesuffix("_system_failure.csv")
        if kind not in series:
            raise InputError(f"this is none of {', '.join(series)}", where=str(file), fix=fix)
        asset, channel, minutes = series[kind]
        table = read_csv(file)
        ends = times_us(column(table, "timestamp", path=file), path=file, name="timestamp")
        source = SOURCES["process_readings"]
        values = np.full((len(ends), len(source.channels)), np.nan)
        values[:, source.channels.index(channel)] = unit.apply(floats(table, ["value"], path=file)[:, 0])
        kept, sequence = rule.apply(ends)
        dropped = np.flatnonzero(~kept).tolist()
        period_us = minutes * MINUTE_US
        blocks = _ordered_blocks(asset, ends[kept], values[kept], period_us, sequence[kept])
        rows = [{"asset_id": asset, "start_us": int(ends[row]) - period_us, **_cells(table, row)} for row in dropped]
        rejects = reject_rows(source=source.name, reason="repeated_time", rows=rows, detail=f"rule: {rule.keep}")
        twice = len(ends) - len(np.unique(ends))
        notes = {f"unit_taken_for_{unit.sent}": int(kept.sum())} | ({"repeated_time": twice} if twice else {})
        yield Reading(
            blocks={source.name: blocks}, rejects=rejects, notes=notes, tables={"windows": _nab_windows(file, asset)}
        )


def read_skab(path: Path) -> Iterator[Reading]:
    """Read SKAB's water loop, 8 channels at 1 Hz, one asset a file ("valve1-0", "other-3", "anomaly-free").

    Steps of 2 s and more are gaps: a block ends there, and where ten seconds end. Table `labels` has anomaly and
    changepoint a row, where given.
    """
    root = path if path.is_dir() else path.parent
    for file in files_in(path, "*/*.csv", "[0-9]*.csv", "anomaly-free.csv", fix="name SKAB's data folder"):
        table = read_csv(file, delimiter=";")
        ends = times_us(column(table, "datetime", path=file), path=file, name="datetime")
        values = floats(table, SKAB_COLUMNS, path=file)
        folder = file.parent.name if file.parent != root or root.name in ("valve1", "valve2", "other") else ""
        asset = file.stem if folder in ("", "anomaly-free") else f"{folder}-{file.stem}"
        blocks = reading_blocks(asset_id=asset, ends_us=ends, values=values, period_us=1_000_000, tile_us=10_000_000)
        gaps = int((np.diff(ends) > 1_000_000).sum())
        yield Reading(
            blocks={"skab_loop": blocks},
            notes={"gap": gaps} if gaps else {},
            tables={"labels": _skab_labels(table, asset, ends)},
        )


def read_ai4i(path: Path, *, epoch: str = EPOCH) -> Iterator[Reading]:
    """Read AI4I's rows as one machine's minutes: the set has no time, so row UDI is put at minute UDI after `epoch`.

    Table `labels` has the failure and its modes a row; rows whose modes contradict their failure are counted.
    """
    source = SOURCES["ai4i_rows"]
    modes = ["TWF", "HDF", "PWF", "OSF", "RNF"]
    for file in files_in(path, "ai4i*.csv", fix="name the folder of ai4i2020.csv"):
        table = read_csv(file)
        ends = utc_us(epoch) + MINUTE_US * wholes(table, "UDI", path=file)
        columns = ["Air temperature [K]", "Process temperature [K]", "Rotational speed [rpm]", "Torque [Nm]"]
        values = floats(table, [*columns, "Tool wear [min]"], path=file)
        failed = floats(table, ["Machine failure"], path=file)[:, 0] > 0
        known = floats(table, modes, path=file).any(axis=1)
        labels = pa.table(
            {
                "asset_id": pa.repeat("mill", len(ends)),
                "event_time": stamps(ends),
                "product_id": column(table, "Product ID", path=file),
                "type": column(table, "Type", path=file),
                "failure": pa.array(failed),
                **{mode: column(table, mode, path=file).cast(pa.bool_()) for mode in modes},
            }
        )
        notes = {
            "failure_without_mode": int((failed & ~known).sum()),
            "mode_without_failure": int((known & ~failed).sum()),
        }
        blocks = reading_blocks(asset_id="mill", ends_us=ends, values=values, period_us=MINUTE_US)
        yield Reading(blocks={source.name: blocks}, notes=notes, tables={"labels": labels})


def _cells(table: pa.Table, row: int) -> dict[str, object]:
    """Return one row as a record."""
    record: dict[str, object] = table.slice(int(row), 1).to_pylist()[0]
    return record


def _ordered_blocks(asset: str, ends: Integers, values: Floats, period_us: int, sequence: Integers) -> pa.Table:
    """Return blocks of readings whose times may go back, in order of time and then of sequence."""
    order = np.lexsort((sequence, ends))
    return reading_blocks(
        asset_id=asset, ends_us=ends[order], values=values[order], period_us=period_us, sequence=sequence[order]
    )


def _nab_windows(file: Path, asset: str) -> pa.Table:
    """Return the labelled windows of a series; none where windows.json is absent."""
    listing = file.parent / "windows.json"
    try:
        pairs = json.loads(listing.read_text()).get(f"realKnownCause/{file.name}", []) if listing.exists() else []
        begin, end = ([utc_us(pair[side]) for pair in pairs] for side in (0, 1))
    except (ValueError, TypeError, AttributeError, IndexError) as error:
        what = f"cannot read the labelled windows: {error}"
        raise InputError(what, where=str(listing), fix="restore the original file, or take it away") from error
    return pa.table(
        {
            "asset_id": pa.array([asset] * len(pairs), pa.string()),
            "start_time": stamps(np.array(begin, dtype=np.int64)),
            "end_time": stamps(np.array(end, dtype=np.int64)),
        }
    )


def _skab_labels(table: pa.Table, asset: str, ends: Integers) -> pa.Table:
    """Return anomaly and changepoint flags a row, null where the file has no such columns."""
    names = ("anomaly", "changepoint")
    flags = [
        table[name].cast(pa.int64()).cast(pa.bool_()) if name in table.column_names else pa.nulls(len(ends), pa.bool_())
        for name in names
    ]
    columns = {"asset_id": pa.repeat(asset, len(ends)), "event_time": stamps(ends)}
    return pa.table({**columns, **dict(zip(names, flags, strict=True))})
