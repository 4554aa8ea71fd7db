"""Labels: what happened after a moment, as far as it was known by another moment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lineshaft.errors import InputError

FAILURE = "failure"
"""In a maintenance log, the kind of an event that is a failure. Any other kind changed the machine's fate: censored."""

LIFE = ("cycles", "rul")
"""In a table of ends of life: the units that a life was followed for, and those left after them."""

FAR = np.iinfo(np.int64).max
"""A time that never comes."""


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
    """Label rows 1 when the asset's next event is a failure within the horizon, 0 when none came in all of it.

    rows: `asset_id`, `event_time`; log: `asset_id`, `event_time`, `kind`, and optionally `known_at` (when the entry
    was written: entries later than `known_us` are not seen, so an old training set can be made again).
    Dropped, and counted: rows whose next event within the horizon is no failure (the part was replaced in time; what
    would have been is unknown), and rows whose horizon was not followed to its end.
    """
    if horizon_us <= 0:
        raise InputError(f"a horizon of {horizon_us} us is none", fix="give microseconds, more than 0")
    if known_us is not None and "known_at" in log.column_names:
        log = log.filter(pc.less_equal(log["known_at"].cast(pa.int64()), known_us))
    until = followed_until_us if known_us is None else min(followed_until_us, known_us)
    times = np.array(_us(rows["event_time"]), dtype=np.int64)
    log = log.filter(pc.is_valid(log["event_time"]))
    is_failure = pc.fill_null(pc.equal(log["kind"], FAILURE), fill_value=False)
    failure_us, other_us = (
        first_after(rows["asset_id"], times, part["asset_id"], np.array(_us(part["event_time"]), dtype=np.int64))
        for part in (log.filter(is_failure), log.filter(pc.invert(is_failure)))
    )
    next_us, failed = np.minimum(failure_us, other_us), failure_us <= other_us
    within = next_us <= times + horizon_us
    replaced = within & ~failed
    unfollowed = ~within & (times + horizon_us > until)
    kept = ~(replaced | unfollowed)
    label = (within & failed)[kept].astype(np.int8)
    table = rows.filter(pa.array(kept)).append_column("label", pa.array(label))
    return Labelled(table=table, dropped=_reasons(replaced_in_time=replaced, horizon_not_over=unfollowed))


def first_after(
    assets: pa.ChunkedArray, times: NDArray[np.int64], event_assets: pa.ChunkedArray, event_us: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return for each row the time of its asset's first event after it; FAR where there is none."""
    if not len(event_us):
        return np.full(len(times), FAR)
    names = pc.unique(event_assets)
    row_codes = np.asarray(pc.fill_null(pc.index_in(assets, value_set=names), -1).to_numpy(), dtype=np.int64)
    codes = np.asarray(pc.index_in(event_assets, value_set=names).to_numpy(), dtype=np.int64)
    # An asset and the rank of a time make one number, so that one search finds all.
    instants, rank = np.unique(np.concatenate([event_us, times]), return_inverse=True)
    order = np.lexsort((event_us, codes))
    places = (codes * len(instants) + rank[: len(event_us)])[order]
    found = np.searchsorted(places, row_codes * len(instants) + rank[len(event_us) :], side="right")
    nearest = order[np.minimum(found, len(order) - 1)]
    is_own = (found < len(order)) & (codes[nearest] == row_codes)
    return np.where(is_own, event_us[nearest], FAR)


def _us(column: pa.ChunkedArray) -> list[int]:
    """Return timestamps as microseconds; null stays None."""
    values: list[int] = column.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()).to_pylist()
    return values


def _reasons(**flags: NDArray[np.bool_]) -> dict[str, int]:
    """Return the counts that are not zero."""
    return {name: int(flag.sum()) for name, flag in flags.items() if flag.any()}
