"""The last hours of a view as one batch: what no small batch shows, such as a share of nulls, or that nothing came."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from lineshaft.ops.jobs import PASSED, Gate
from lineshaft.specs import View, row_schema
from lineshaft.stores.ports import OfflineStore

HOUR_US = 3_600_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """How a view's last hours fared: the outcome of its checkpoint, and how old its newest row is."""

    view: str
    owner: str
    outcome: str
    rows: int
    failing: int
    why: str
    newest_us: int | None
    stale: bool


def last_rows(view: View, offline: OfflineStore, *, hours: float) -> pa.Table:
    """Return the stored rows of the last hours before the newest."""
    newest = [pc.max(part["event_time"].cast(pa.int64())).as_py() for part in offline.latest(view)]
    if not newest:
        return row_schema(view).empty_table()
    end_us = max(newest)
    start_us = end_us - round(hours * HOUR_US)
    return pa.concat_tables(
        [row_schema(view).empty_table(), *offline.read_rows(view, start_us=start_us, end_us=end_us)]
    )


def check_slice(view: View, offline: OfflineStore, gate: Gate, *, hours: float, now_us: int) -> Slice:
    """Hold the last hours of a view to its suite; what fails is told and stays: each row passed when it came."""
    rows = last_rows(view, offline, hours=hours)
    verdict = gate(view, rows)
    newest_us = pc.max(rows["event_time"].cast(pa.int64())).as_py()
    reasons = verdict.quarantined["reason"].to_pylist() if verdict.outcome != PASSED else []
    return Slice(
        view=view.name,
        owner=view.owner,
        outcome=verdict.outcome,
        rows=rows.num_rows,
        failing=verdict.quarantined.num_rows,
        why=reasons[0] if reasons else "",
        newest_us=newest_us,
        stale=bool(view.ttl_us and newest_us is not None and now_us - newest_us > view.ttl_us),
    )
