"""NASA C-MAPSS: simulated turbofans, one row of 24 numbers a flight cycle, run to failure or cut before it."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa

from lineshaft.errors import InputError
from lineshaft.sources.blocks import Floats, Integers, blocks_table
from lineshaft.sources.catalogue import SOURCES
from lineshaft.sources.reading import Reading
from lineshaft.sources.tabular import files_in, utc_us

CYCLE_US = 3_600_000_000
SOURCE = SOURCES["turbofan_cycles"]
COLUMNS = 2 + len(SOURCE.channels)
EPOCH = "2000-01-01"
RESTORE = "restore the original file"


def read_cmapss(
    path: Path, *, subsets: Sequence[str] = (), splits: Sequence[str] = ("train", "test"), epoch: str = EPOCH
) -> Iterator[Reading]:
    """Read train and test files (.txt or .txt.gz), one asset an engine ("FD001-train-001").

    Cycle k is one block of one sample that spans hour k after the epoch, so "the last 30 cycles" is a window of 30 h.
    Table `truth` says for each engine how many cycles are given and how many remain (`rul`) after the last;
    it is 0 for engines run to failure, and null where the set's RUL file is absent.

    Raises
    ------
    InputError
        If a file does not have 26 columns, or its RUL file another number of engines.
    """
    fix = "name a folder with train_FD001.txt, test_FD001.txt, RUL_FD001.txt"
    done = set()
    for file in files_in(path, "train_FD*.txt", "train_FD*.txt.gz", "test_FD*.txt", "test_FD*.txt.gz", fix=fix):
        match = re.match(r"(train|test)_(FD\d+)", file.name)
        if match is None:
            raise InputError("this is not a C-MAPSS file", where=str(file), fix=fix)
        split, subset = match[1], match[2]
        if (split, subset) in done or split not in splits or (subsets and subset not in subsets):
            continue
        done.add((split, subset))
        yield _read_file(file, split=split, subset=subset, epoch_us=utc_us(epoch))


def _read_file(file: Path, *, split: str, subset: str, epoch_us: int) -> Reading:
    """Return one file's cycles and what is true of its engines."""
    rows = _numbers(file, ndmin=2)
    if rows.shape[1] != COLUMNS:
        raise InputError(f"has {rows.shape[1]} columns, not {COLUMNS}", where=str(file), fix=RESTORE)
    if not np.isfinite(rows[:, :2]).all():
        raise InputError("an engine or a cycle has no number", where=str(file), fix=RESTORE)
    units, cycles = rows[:, 0].astype(np.int64), rows[:, 1].astype(np.int64)
    if (rows[:, :2] != np.stack([units, cycles], axis=1)).any():
        raise InputError("an engine or a cycle is no whole number", where=str(file), fix=RESTORE)
    engines, places = np.unique(units, return_inverse=True)
    begins = np.full(len(engines), np.iinfo(np.int64).max)
    np.minimum.at(begins, places, cycles)
    if (begins != 1).any():
        late = int(np.argmax(begins != 1))
        raise InputError(
            f"engine {engines[late]} begins with cycle {begins[late]}, not 1", where=str(file), fix=RESTORE
        )
    names = {unit: f"{subset}-{split}-{unit:03d}" for unit in np.unique(units).tolist()}
    blocks = blocks_table(
        asset_id=[names[unit] for unit in units.tolist()],
        starts_us=epoch_us + (cycles - 1) * CYCLE_US,
        samples=rows[:, 2:, None],
        rate_hz=1e6 / CYCLE_US,
        dtype="f8",
    )
    jumps = int(((np.diff(units) == 0) & (np.diff(cycles) != 1)).sum())
    truth = _truth(units, cycles, names, _remaining(file, split, subset))
    return Reading(
        blocks={SOURCE.name: blocks}, tables={"truth": truth}, notes={"cycle_not_consecutive": jumps} if jumps else {}
    )


def _numbers(file: Path, *, ndmin: Literal[1, 2]) -> Floats:
    """Return the numbers of a file.

    Raises
    ------
    InputError
        If it is cut off, empty, or holds anything else.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # an empty file is an error below, not a warning
            rows: Floats = np.loadtxt(file, ndmin=ndmin)
    except (ValueError, EOFError, OSError) as error:
        raise InputError(f"cannot read numbers: {error}", where=str(file), fix=RESTORE) from error
    if not rows.size:
        raise InputError("holds no numbers", where=str(file), fix=RESTORE)
    return rows


def _truth(units: Integers, cycles: Integers, names: dict[int, str], remaining: Floats | None) -> pa.Table:
    """Return one row an engine: asset_id, subset, split, cycles, rul."""
    given = {unit: int(cycles[units == unit].max()) for unit in names}
    if remaining is not None and len(remaining) not in (0, len(names)):
        what = f"{len(remaining)} remaining lives for {len(names)} engines"
        raise InputError(what, where=next(iter(names.values())), fix="use RUL and test files of one subset")
    if remaining is None:
        rul: list[float | None] = [None] * len(names)
    else:
        rul = [float(value) for value in remaining] or [0.0] * len(names)
    subset, split, _ = zip(*(name.split("-") for name in names.values()), strict=True)
    return pa.table(
        {
            "asset_id": list(names.values()),
            "subset": list(subset),
            "split": list(split),
            "cycles": pa.array(list(given.values()), pa.int64()),
            "rul": pa.array(rul, pa.float64()),
        }
    )


def _remaining(file: Path, split: str, subset: str) -> Floats | None:
    """Return the remaining cycles of test engines; empty for engines run to failure; None if not known."""
    if split == "train":
        return np.zeros(0)
    found = [file.parent / f"RUL_{subset}.txt", file.parent / f"RUL_{subset}.txt.gz"]
    existing = [candidate for candidate in found if candidate.exists()]
    return _numbers(existing[0], ndmin=1) if existing else None
