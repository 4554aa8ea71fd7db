"""Long waveform records in MATLAB files: CWRU and MFPT."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from scipy import io
from scipy.io.matlab import MatReadError

from lineshaft.errors import InputError
from lineshaft.sources.blocks import Floats, blocks_table
from lineshaft.sources.reading import Reading
from lineshaft.sources.tabular import files_in, utc_us
from lineshaft.specs.bearings import Bearing

CWRU_RATE_HZ = 12_000.0
CWRU_BEARING = "9,0.3126,1.537,0"  # SKF 6205-2RS, inches: CWRU Bearing Data Center, "Bearing Information"
CWRU_POSITIONS = {"DE": "drive_end", "FE": "fan_end", "BA": "base"}
MFPT_BEARING = "8,0.235,1.245,0"  # NICE bearing, inches: MFPT fault data set description
EPOCH = "2000-01-01"


def read_cwru(
    path: Path,
    *,
    block_samples: int | None = None,
    limit_samples: int | None = None,
    positions: Sequence[str] = ("drive_end",),
    epoch: str = EPOCH,
) -> Iterator[Reading]:
    """Read CWRU records at 12 kHz, one asset a file ("IR_105", "normal_97"), starting at a declared epoch.

    `block_samples` cuts records into blocks (unset: a whole record is one block), `limit_samples` reads only so
    many samples of each. Samples stay float64: few of them fit float32.
    The fan-end bearing is another (6203), so other positions carry no geometry.
    """
    for file in files_in(path, "*.mat", fix="name a folder of CWRU .mat files"):
        arrays = _load(file)
        speeds = [np.ravel(value)[0] for name, value in arrays.items() if name.endswith("RPM") and np.size(value)]
        tables = []
        for name, value in arrays.items():
            match = re.fullmatch(r"X\d+_(DE|FE|BA)_time", name)
            position = CWRU_POSITIONS[match[1]] if match and np.size(value) else ""
            if position in positions:
                tables.append(
                    _record_blocks(
                        np.ravel(value)[:limit_samples],
                        block_samples,
                        asset_id=_cwru_asset(file),
                        position=position,
                        start_us=utc_us(epoch),
                        rate_hz=CWRU_RATE_HZ,
                        shaft_hz=float(speeds[0]) / 60 if speeds else None,
                        bearing=CWRU_BEARING if position == "drive_end" else None,
                    )
                )
        if not tables:
            raise InputError("holds none of the positions asked for", where=str(file), fix=f"asked: {tuple(positions)}")
        yield Reading(blocks={"vibration_blocks": pa.concat_tables(tables)}, notes={} if speeds else {"no_speed": 1})


def read_mfpt(
    path: Path, *, block_samples: int | None = None, limit_samples: int | None = None, epoch: str = EPOCH
) -> Iterator[Reading]:
    """Read MFPT records, one asset a file, with the rate and shaft speed stored in them.

    The fault frequencies stored beside them are not used: where the cage's disagrees with the geometry by more
    than 2 %, the file is counted under `stored_ftf_disagrees`.
    """
    cage_order = Bearing.parse(MFPT_BEARING).ftf
    for file in files_in(path, "*.mat", fix="name a folder of MFPT .mat files"):
        arrays = _load(file)
        if "bearing" not in arrays:
            raise InputError("there is no struct 'bearing'", where=str(file), fix="name a folder of MFPT .mat files")
        record = arrays["bearing"][0, 0]
        held = record.dtype.names or ()
        lacking = [name for name in ("gs", "sr", "rate") if name not in held or not np.size(record[name])]
        shaft_hz = 0.0 if lacking else float(record["rate"].item())
        if shaft_hz <= 0:
            what = f"struct 'bearing' has no {', '.join(lacking) or 'shaft speed'}"
            raise InputError(what, where=str(file), fix="name a folder of MFPT .mat files")
        stored = float(arrays["FTF"].item()) if "FTF" in arrays else shaft_hz * cage_order
        wrong = abs(stored / (shaft_hz * cage_order) - 1) > 0.02
        blocks = _record_blocks(
            np.ravel(record["gs"])[:limit_samples],
            block_samples,
            asset_id=file.stem,
            position="housing",
            start_us=utc_us(epoch),
            rate_hz=float(record["sr"].item()),
            shaft_hz=shaft_hz,
            bearing=MFPT_BEARING,
        )
        yield Reading(blocks={"vibration_blocks": blocks}, notes={"stored_ftf_disagrees": 1} if wrong else {})


def _load(file: Path) -> dict[str, Any]:
    """Return the variables of a MATLAB file."""
    try:
        arrays: dict[str, Any] = io.loadmat(str(file))
    except (ValueError, NotImplementedError, OSError, IndexError, TypeError, MatReadError, zlib.error) as error:
        raise InputError(
            f"cannot read MATLAB data: {error}", where=str(file), fix="save it as version 7 or older"
        ) from error
    return arrays


def _cwru_asset(file: Path) -> str:
    """Return "normal_97" for normal_0_97.mat, "IR_105" for 12k_Drive_End_IR007_0_105.mat, else the file's name."""
    match = re.search(r"(normal|IR|OR|B)(?:\d{3})?(?:@\d+)?_\d+_(\d+)$", file.stem)
    return f"{match[1]}_{match[2]}" if match else file.stem


def _record_blocks(
    samples: Floats, block_samples: int | None, *, start_us: int, rate_hz: float, **block: Any
) -> pa.Table:
    """Return a record cut into consecutive blocks; what is left at the end is a shorter block."""
    size = min(block_samples or len(samples), len(samples))
    whole = len(samples) // size * size
    tables = []
    for first, piece in ((0, samples[:whole].reshape(-1, 1, size)), (whole, samples[whole:].reshape(1, 1, -1))):
        if piece.size:
            at = first + size * np.arange(len(piece))
            starts = start_us + np.rint(at * 1e6 / rate_hz).astype(np.int64)
            tables.append(blocks_table(starts_us=starts, samples=piece, rate_hz=rate_hz, dtype="f8", **block))
    return pa.concat_tables(tables)
