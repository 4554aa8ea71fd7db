"""The one way of feature rows into the offline store: repeats left out, the rest judged, what is refused kept aside."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from lineshaft.ops.jobs import COULD_NOT_RUN, Gate
from lineshaft.ops.quarantine import keep_aside, quarantine_folder
from lineshaft.ops.unstored import unstored
from lineshaft.specs import View
from lineshaft.stores.ports import OfflineStore
from lineshaft.tiles.comparison import sort_rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Landed:
    """What became of rows: `good` are stored now, `repeats` were before, `quarantined` are held back.

    `unchecked` of those are held only because their checkpoint could not be run.
    """

    good: pa.Table
    repeats: int
    quarantined: int
    unchecked: int = 0


def land(
    view: View, rows: pa.Table, *, batch: str, offline: OfflineStore, aside: Path, gate: Gate | None = None
) -> Landed:
    """Store a batch of rows, once per batch name; quarantined ones go to `<aside>/quarantine/<view>`."""
    fresh = unstored(view, sort_rows(view, rows), offline)
    repeats, quarantined, unchecked = rows.num_rows - fresh.num_rows, 0, 0
    if gate is not None and fresh.num_rows:
        verdict = gate(view, fresh)
        fresh, quarantined = verdict.good, verdict.quarantined.num_rows
        unchecked = quarantined if verdict.outcome == COULD_NOT_RUN else 0
        keep_aside(verdict.quarantined, quarantine_folder(aside, view), batch)
    if fresh.num_rows:
        offline.write_rows(view, fresh, batch=f"{batch}:{view.ref}")
    return Landed(good=fresh, repeats=repeats, quarantined=quarantined, unchecked=unchecked)
