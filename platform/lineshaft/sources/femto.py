"""FEMTO-ST / PRONOSTIA: accelerated bearing lives, 0.1 s of 25.6 kHz vibration on two axes every 10 s.

The raw files come in two dialects (',' and ';'), without a date, and print microseconds to five digits, so that only
the first sample's time is used and the rest follow from the rate.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import pyarrow as pa

from lineshaft.errors import InputError
from lineshaft.sources.blocks import Floats, Integers, blocks_table, reading_blocks
from lineshaft.sources.catalogue import SOURCES
from lineshaft.sources.reading import Reading, gather, reject_rows
from lineshaft.sources.tabular import files_in, read_csv, utc_us

RATE_HZ = 25_600.0
BEARING = "13,3.5,25.6,0"  # rollers, roller and pitch diameter in mm, angle: the challenge's description, Nectoux 2012
SHAFT_HZ = {"1": 1800 / 60, "2": 1650 / 60, "3": 1500 / 60}  # by operating condition, same source
POSITIONS = ("horizontal", "vertical")
DAY_S = 86_400
TEMPERATURE_PERIOD_US = 100_000
FILES_A_READING = 256


def read_femto(path: Path, *, date: str = "2012-01-01", full_scale: float | None = None) -> Iterator[Reading]:
    """Read packed lives (.npz) or raw files (`acc_*.csv`, `temp_*.csv`), one asset a bearing.

    `date` is the day the first snapshot of every bearing is put on, because the files carry none; passing midnight
    is unwrapped. `full_scale` is the sensor's range in g, if you know it.

    Raises
    ------
    InputError
        If the folder holds neither form, or `date` is no date.
    """
    fix = "name a folder of Bearing*.npz, or of acc_*.csv as the challenge packs them"
    files = files_in(path, "Bearing*.npz", "*acc_*.csv", "*temp_*.csv", fix=fix)
    day_us = utc_us(date)
    for asset, group in groupby(files, key=_asset):
        mine = list(group)
        packed = [file for file in mine if file.suffix == ".npz"]
        for file in packed:
            yield _read_packed(asset, file, day_us, full_scale)
        if packed and len(mine) > len(packed):
            yield Reading(notes={"raw_file_also_packed": len(mine) - len(packed)})
        elif not packed:
            yield from _read_raw(asset, mine, day_us, full_scale)


def _asset(file: Path) -> str:
    """Return the bearing a file speaks of: by its own name, or by its folder's."""
    for text in (file.name, file.parent.name):
        if match := re.match(r"Bearing\d_\d", text):
            return match[0]
    raise InputError("cannot tell which bearing this is", where=str(file), fix="keep the folder name, e.g. Bearing1_2")


def _snapshots(asset: str, seconds: Floats, samples: Floats, day_us: int, full_scale: float | None) -> pa.Table:
    """Return two blocks a snapshot, from samples of (snapshots, axes, n) in g."""
    starts = day_us + np.rint(unwrap_midnight(seconds) * 1e6).astype(np.int64)
    return blocks_table(
        asset_id=asset,
        position=list(POSITIONS) * len(starts),
        starts_us=np.repeat(starts, 2),
        samples=samples.reshape(-1, 1, samples.shape[2]),
        rate_hz=RATE_HZ,
        dtype="f4",
        shaft_hz=SHAFT_HZ.get(asset[len("Bearing")]),
        bearing=BEARING,
        full_scale=full_scale,
    )


def unwrap_midnight(seconds: Floats) -> Floats:
    """Return seconds since the first day began, given seconds of each sample's own day.

    >>> unwrap_midnight(np.array([86390.0, 0.0, 10.0])).tolist()
    [86390.0, 86400.0, 86410.0]
    """
    back = np.diff(seconds, prepend=seconds[:1]) < -DAY_S / 2
    unwrapped: Floats = seconds + DAY_S * np.cumsum(back)
    return unwrapped


def _read_packed(asset: str, file: Path, day_us: int, full_scale: float | None) -> Reading:
    """Return a packed life, or a reading that rejects it."""
    try:
        with file.open("rb") as opened, np.load(opened) as arrays:
            samples, seconds = np.moveaxis(arrays["acc_milli_g"], 2, 1) / 1000.0, arrays["t_first_sample_s_of_day"]
        return _vibration(asset, seconds, samples, day_us, full_scale)
    except (ValueError, KeyError, EOFError, OSError, BadZipFile, InputError) as error:
        row = {"asset_id": asset, "file": file.name}
        return Reading(rejects=reject_rows(source="femto", reason="unreadable_file", rows=[row], detail=str(error)))


def _read_raw(asset: str, files: list[Path], day_us: int, full_scale: float | None) -> Iterator[Reading]:
    """Read the challenge's own files of one bearing, in order of name."""
    accelerations = [file for file in files if "acc_" in file.name]
    days, last = 0, -np.inf
    for first in range(0, len(accelerations), FILES_A_READING):
        parts = []
        for file in accelerations[first : first + FILES_A_READING]:
            rows = _rows(file, 6)
            if isinstance(rows, Reading):
                parts.append(rows)
                continue
            second = _second_of_day(rows[:1], 1e6)[0]
            days += int(second < last - DAY_S / 2)
            last = second
            # the files print -0.000 where the packed integers hold 0: adding 0 makes both +0, bit for bit
            samples = rows[:, 4:6].T[None] + 0.0
            parts.append(_vibration(asset, np.array([second + DAY_S * days]), samples, day_us, full_scale))
        yield gather(parts)
    for file in (file for file in files if "temp_" in file.name):
        rows = _rows(file, 5)
        yield rows if isinstance(rows, Reading) else _temperature(asset, rows, day_us)


def _vibration(asset: str, seconds: Floats, samples: Floats, day_us: int, full_scale: float | None) -> Reading:
    """Return snapshots as a reading."""
    return Reading(blocks={"vibration_blocks": _snapshots(asset, seconds, samples, day_us, full_scale)})


def _temperature(asset: str, rows: Floats, day_us: int) -> Reading:
    """Return a temperature file (hour, minute, second, tenths, degC) as process readings."""
    source = SOURCES["process_readings"]
    values = np.full((len(rows), len(source.channels)), np.nan)
    values[:, source.channels.index("temperature")] = rows[:, 4]
    ends: Integers = day_us + np.rint(unwrap_midnight(_second_of_day(rows, 10.0)) * 1e6).astype(np.int64)
    blocks = reading_blocks(asset_id=asset, ends_us=ends, values=values, period_us=TEMPERATURE_PERIOD_US)
    return Reading(blocks={source.name: blocks})


def _second_of_day(rows: Floats, parts: float) -> Floats:
    """Return seconds of the day from columns hour, minute, second and a fraction in `parts` a second."""
    seconds: Floats = rows[:, 0] * 3600 + rows[:, 1] * 60 + rows[:, 2] + rows[:, 3] / parts
    return seconds


def _rows(file: Path, columns: int) -> Floats | Reading:
    """Return a raw file's numbers, or a reading that rejects it."""
    head = file.read_bytes()[:200]
    delimiter = ";" if b";" in head else ","
    try:
        table = read_csv(file, delimiter=delimiter, names=[str(number) for number in range(columns)])
        rows = np.column_stack([found.cast(pa.float64()).to_numpy() for found in table.columns])
    except (InputError, pa.ArrowInvalid) as error:
        row = {"file": file.name}
        return Reading(rejects=reject_rows(source="femto", reason="unreadable_file", rows=[row], detail=str(error)))
    if not np.isfinite(rows).all():
        row = {"file": file.name, "rows": str(len(rows))}
        return Reading(rejects=reject_rows(source="femto", reason="incomplete_file", rows=[row]))
    return rows
