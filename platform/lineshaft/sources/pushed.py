"""Readings that a service pushes: columns of plain values, a row a reading, made into one block each.

One block each, so that it does not matter how a caller cuts its readings into pushes: a reading that comes again,
alone or among others, is the same block, and a repeat changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from lineshaft.errors import InputError
from lineshaft.sources.blocks import blocks_table
from lineshaft.sources.checks import validate_blocks
from lineshaft.sources.reading import REJECT_SCHEMA, Reading, gather, reject_rows
from lineshaft.sources.tabular import utc_us
from lineshaft.specs import Source

MOST_ROWS = 10_000
PERIOD_US = 1_000_000
"""A reading stamped t speaks of the second that ends at t."""

TIMES = ("event_time", "event_timestamp")
REASONS: dict[str, str] = {
    "bad_key": "a key is empty or of another type",
    "bad_time": "the event time is no moment in ISO form",
    "bad_value": "a value is not of its column's type",
    "before_history": "the event time is before the first one believed",
    "from_the_future": "a time is further after the receipt than any clock error explains",
}
"""Why a pushed row is rejected, by slug; readings that become blocks are judged as any block is besides."""

Columns = Mapping[str, Sequence[Any]]


def pushed_reading(columns: Columns, source: Source, *, received_us: int) -> Reading:
    """Return pushed rows as blocks that were known when they were received, and the rows that cannot be blocks.

    columns: `asset_id`, `event_time` in ISO form (UTC unless it says otherwise), `position` where there is one, and
    channels of the source: numbers, also written as text; None is not measured. Raises `InputError` for columns that
    are missing, unknown or of different lengths.
    """
    rows = _checked(columns, source)
    time = next(name for name in TIMES if name in columns)
    channels = [name for name in source.channels if name in columns]
    kept: list[tuple[str, str, int, list[float]]] = []
    refused: list[tuple[str, Mapping[str, Any]]] = []
    for place in range(rows):
        row = {name: values[place] for name, values in columns.items()}
        read = _row(row, time, channels)
        if isinstance(read, str):
            refused.append((read, row))
        else:
            kept.append(read)
    readings = [Reading(rejects=refused_rows(source.name, refused))]
    if kept:
        samples = np.full((len(kept), len(source.channels), 1), np.nan)
        samples[:, [source.channels.index(name) for name in channels], 0] = [values for *_, values in kept]
        blocks = blocks_table(
            asset_id=[asset for asset, *_ in kept],
            position=[position for _, position, *_ in kept],
            starts_us=np.array([us for _, _, us, _ in kept], np.int64) - PERIOD_US,
            samples=samples,
            rate_hz=1e6 / PERIOD_US,
            dtype="f8",
            known_us=received_us,
        )
        good, bad = validate_blocks(blocks, source)
        readings.append(Reading(blocks={source.name: good}, rejects=bad))
    return gather(readings)


def row_count(columns: Columns, *, where: str) -> int:
    """Return how many rows the columns of a push have; raises `InputError` for none, too many, or several lengths."""
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) != 1 or not 0 < max(lengths.values()) <= MOST_ROWS:
        what = f"columns of {lengths} rows"
        raise InputError(what, where=where, fix=f"give every column one value a row, 1 to {MOST_ROWS} rows")
    return max(lengths.values())


def refused_rows(source: str, refused: Sequence[tuple[str, Mapping[str, Any]]]) -> pa.Table:
    """Return refused rows, each with the slug of its reason, as rejects."""
    told = [
        (reason, {**row, "asset_id": str(row.get("asset_id") or ""), "position": str(row.get("position") or "")})
        for reason, row in refused
    ]
    parts = [reject_rows(source=source, reason=reason, detail=REASONS[reason], rows=[row]) for reason, row in told]
    return pa.concat_tables([REJECT_SCHEMA.empty_table(), *parts])


def _checked(columns: Columns, source: Source) -> int:
    """Return the number of rows of columns that fit together."""
    rows = row_count(columns, where=source.name)
    known = {"asset_id", "position", *TIMES, *source.channels}
    unknown = [name for name in columns if name not in known]
    times = [name for name in TIMES if name in columns]
    if "asset_id" not in columns or len(times) != 1 or unknown or not set(columns) & set(source.channels):
        what = f"columns {', '.join(columns)} are no readings of {source.name}"
        fix = f"give asset_id, event_time, position where there is one, and any of {', '.join(source.channels)}"
        raise InputError(what, where=f"not known: {', '.join(unknown)}" if unknown else "", fix=fix)
    return rows


def _row(row: Mapping[str, Any], time: str, channels: Sequence[str]) -> tuple[str, str, int, list[float]] | str:
    """Return asset, position, event time and values of a row, or why it cannot be read."""
    asset, position = row["asset_id"], row.get("position") or ""
    if not isinstance(asset, str) or not asset or not isinstance(position, str):
        return "bad_key"
    try:
        event_us = utc_us(row[time])
    except (TypeError, ValueError, OverflowError):
        return "bad_time"
    try:
        values = [float("nan") if row[name] is None else plain_number(row[name]) for name in channels]
    except (TypeError, ValueError, OverflowError):
        return "bad_value"
    return asset, position, event_us, values


def plain_number(value: Any) -> float:
    """Return a number, also one written as text; raises `TypeError` or `ValueError` for what is none."""
    if isinstance(value, bool):
        raise TypeError(value)
    return float(value)
