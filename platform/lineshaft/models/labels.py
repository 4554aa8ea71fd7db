"""Labels: what happened after a moment, as far as it was known by another moment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lineshaft.errors import InputError
from lineshaft.models.events import FAR, known_events

LIFE = ("cycles", "rul")
"""In a table of ends of life: the units that a life was followed for, and those left after them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """Entity rows with a `label` column; `dropped` counts by reason the rows whose outcome cannot be known."""

    table: pa.Table
    dropped: dict[str, int]


def remaining_life(rows: pa.Table, truth: pa.Table, *, unit_us: int, clip: float | None = None) -> Labelled:
    """Label rows with the life left, in units of `unit_us`, from known ends of life.

    rows: `asset_id`, `event_time`; truth: `asset_id`, `end_time` (end of life; null where unknown). `clip` caps the
    label, because far from its end a healthy machine shows nothing of how far (125 cycles is usual for C-MAPSS).
    """
    ends = dict(zip(truth["asset_id"].to_pylist(), _us(truth["end_time"]), strict=True))
    known = np.array([ends.get(asset) is not None for asset in rows["asset_id"].to_pylist()], dtype=bool)
    kept = rows.filter(pa.array(known))
    end_us = np.array([ends[asset] for asset in kept["asset_id"].to_pylist()], dtype=np.int64)
    left = (end_us - np.array(_us(kept["event_time"]), dtype=np.int64)) / unit_us
    before = left >= 0
    label = left[before] if clip is None else np.minimum(left[before], clip)
    table = kept.filter(pa.array(before)).append_column("label", pa.array(label))
    return Labelled(table=table, dropped=_reasons(end_unknown=~known, after_end=~before))


def ends_within(rows: pa.Table, truth: pa.Table, *, horizon_us: int) -> Labelled:
    """Label rows 1 when life ends within the horizon, 0 when it goes on; tables as in `remaining_life`."""
    if horizon_us <= 0:
        raise InputError(f"a horizon of {horizon_us} us is none", fix="give microseconds, more than 0")
    counted = remaining_life(rows, truth, unit_us=1)
    label = pc.less_equal(counted.table["label"], float(horizon_us)).cast(pa.int8())
    place = counted.table.column_names.index("label")
    return Labelled(table=counted.table.set_column(place, "label", label), dropped=counted.dropped)


def ends_of_life(truth: pa.Table, *, epoch_us: int, unit_us: int) -> pa.Table:
    """Return `asset_id`, `end_time` from lives counted in units (C-MAPSS: `cycles` given, `rul` left after them)."""
    units = pc.add(*(truth[name].cast(pa.float64()) for name in LIFE))
    end_us = pc.add(pc.multiply(units, float(unit_us)), float(epoch_us)).cast(pa.int64())
    return pa.table({"asset_id": truth["asset_id"], "end_time": end_us.cast(pa.timestamp("us", tz="UTC"))})


def fails_within(
    rows: pa.Table, log: pa.Table, *, horizon_us: int, followed_until_us: int, known_us: int | None = None
) -> Labelled:
    """Label rows 1 when the asset's fate is next changed by a failure within the horizon, 0 when nothing changed it.

    rows: `asset_id`, `event_time`; log: as `known_events` reads it, as of `known_us` where that is given, so an old
    training set can be made again. What changes a fate is what outcomes are judged by: an inspection does not.
    Dropped, and counted: rows whose fate was changed within the horizon by what is no failure (the part was replaced in
    time; what would have been is unknown), and rows in whose horizon nothing happened as far as it was followed. Of the
    last horizon the failures alone stay: few, and all that a run to failure has; figures by asset hardly feel them.
    """
    if horizon_us <= 0:
        raise InputError(f"a horizon of {horizon_us} us is none", fix="give microseconds, more than 0")
    until = followed_until_us if known_us is None else min(followed_until_us, known_us)
    times = np.array(_us(rows["event_time"]), dtype=np.int64)
    events = known_events(log, at_us=FAR if known_us is None else known_us)
    failure_us, other_us = events.next_turn(rows["asset_id"], times)
    next_us, failed = np.minimum(failure_us, other_us), failure_us <= other_us
    within = next_us <= times + horizon_us
    replaced = within & ~failed
    unfollowed = ~within & (times + horizon_us > until)
    kept = ~(replaced | unfollowed)
    label = (within & failed)[kept].astype(np.int8)
    table = rows.filter(pa.array(kept)).append_column("label", pa.array(label))
    return Labelled(table=table, dropped=_reasons(replaced_in_time=replaced, horizon_not_over=unfollowed))


def _us(column: pa.ChunkedArray) -> list[int]:
    """Return timestamps as microseconds; null stays None."""
    values: list[int] = column.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()).to_pylist()
    return values


def _reasons(**flags: NDArray[np.bool_]) -> dict[str, int]:
    """Return the counts that are not zero."""
    return {name: int(flag.sum()) for name, flag in flags.items() if flag.any()}
