"""What happened to assets, as far as it was known by a moment: the maintenance log read bitemporally."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Ints = NDArray[np.int64]
FAR = np.iinfo(np.int64).max
"""A time that never comes."""


class Finding(IntEnum):
    """What an entry of the log says of an asset. Of several at one moment the first of these counts."""

    FAILED = 0
    DAMAGED = 1  # somebody looked, and it would have failed: repaired in time
    ACTED = 2  # somebody acted, and what would have been is not written down
    PLANNED = 3  # renewed whatever a model said: what would have been is not known
    SOUND = 4  # somebody looked, and it had nothing


FATE = (Finding.FAILED, Finding.DAMAGED, Finding.ACTED, Finding.PLANNED)
"""Findings after which an asset is another one than was predicted of; SOUND leaves it as it is."""

KINDS: Mapping[str, Finding] = {
    "failure": Finding.FAILED,
    "inspection_damage": Finding.DAMAGED,
    "intervention_damage": Finding.DAMAGED,
    "intervention": Finding.ACTED,
    "planned": Finding.PLANNED,
    "preventive": Finding.PLANNED,
    "inspection_ok": Finding.SOUND,
    "intervention_ok": Finding.SOUND,
}
"""The kinds of a maintenance log. One that is not here may have changed a fate, so it is read as PLANNED."""

SAYS_NOTHING = ("error", "inspection", "corrective", "void")
"""Kinds that decide nothing: a code, a look without a finding, the repair of a failure that has its own entry, and an
entry that was taken back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Events:
    """The entries known at a moment, one row each."""

    assets: pa.ChunkedArray
    occurred_us: Ints
    known_us: Ints
    findings: NDArray[np.int8]

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.occurred_us)

    def next_of(self, finding: Finding, assets: pa.ChunkedArray, times: Ints) -> Ints:
        """Return for each asset and time when this was next found of it; FAR where it was not."""
        mine = self.findings == finding
        return first_after(assets, times, self.assets.filter(pa.array(mine)), self.occurred_us[mine])

    def next_turn(self, assets: pa.ChunkedArray, times: Ints) -> tuple[Ints, Ints]:
        """Return for each asset and time when it next failed, and when all else next changed its fate; FAR for never.

        This is what labels are made of: only a failure is one, and all that renews an asset before it is censoring.
        """
        others = [self.next_of(one, assets, times) for one in FATE if one is not Finding.FAILED]
        return self.next_of(Finding.FAILED, assets, times), np.minimum.reduce(others)

    def times_by_asset(self, findings: Sequence[Finding]) -> dict[str, Ints]:
        """Return when any of these was found of each asset, in order, each time once."""
        mine = np.isin(self.findings, findings)
        found: dict[str, list[int]] = {}
        names = self.assets.filter(pa.array(mine)).to_pylist()
        for name, at in zip(names, self.occurred_us[mine].tolist(), strict=True):
            found.setdefault(name, []).append(at)
        return {name: np.unique(np.array(times, dtype=np.int64)) for name, times in found.items()}

    def take(self, chosen: NDArray[np.bool_]) -> Events:
        """Return the entries chosen."""
        return Events(
            assets=self.assets.filter(pa.array(chosen)),
            occurred_us=self.occurred_us[chosen],
            known_us=self.known_us[chosen],
            findings=self.findings[chosen],
        )


def known_events(log: pa.Table, *, at_us: int) -> Events:
    """Return what a maintenance log said at a moment.

    log: `asset_id`, `event_time`, `kind`; where it has them `known_at` (when the entry was written; when it happened,
    where that is null) and `work_order` (entries of one are versions of one record: the last that was known counts).
    """
    occurred = _us(log["event_time"])
    known = pc.coalesce(_us(log["known_at"]), occurred) if "known_at" in log.column_names else occurred
    seen = pc.fill_null(pc.and_(pc.less_equal(known, at_us), pc.less_equal(occurred, at_us)), fill_value=False)
    log, occurred, known = log.filter(seen), occurred.filter(seen), known.filter(seen)
    told = np.ones(len(log), dtype=bool)
    if "work_order" in log.column_names:
        told = _last_versions(log["work_order"].to_pylist(), np.asarray(known.to_numpy()))
    kinds = log["kind"].to_pylist()
    told &= np.array([kind not in SAYS_NOTHING for kind in kinds], dtype=bool)
    found = Events(
        assets=log["asset_id"].cast(pa.string()),
        occurred_us=np.asarray(occurred.to_numpy(), dtype=np.int64),
        known_us=np.asarray(known.to_numpy(), dtype=np.int64),
        findings=np.array([KINDS.get(kind, Finding.PLANNED) for kind in kinds], dtype=np.int8),
    )
    return found.take(told)


def _last_versions(orders: list[str | None], known: Ints) -> NDArray[np.bool_]:
    """Tell which entries are the last known of their work order; one without an order stands for itself."""
    newest: dict[str, int] = {}
    for row in np.argsort(known, kind="stable").tolist():
        if orders[row] is not None:
            newest[str(orders[row])] = row
    return np.array([order is None or newest[str(order)] == row for row, order in enumerate(orders)], dtype=bool)


def usual_delay_us(log: pa.Table, *, at_us: int, share: float = 0.95) -> int:
    """Return within which time of a failure this share of those known at a moment had been written down; 0 for none."""
    events = known_events(log, at_us=at_us)
    failed = events.findings == Finding.FAILED
    delays = (events.known_us - events.occurred_us)[failed]
    return int(np.quantile(delays, share, method="inverted_cdf")) if len(delays) else 0


def told_until_us(log: pa.Table, *, last_us: int) -> int:
    """Return until when a log that is read beside rows up to `last_us` tells what happened.

    It was kept until its last entry was written, at least; what failed shortly before may not be in it yet, because
    reports take their time. Entries that do not say when they were written may be plans, and prove nothing.
    """
    written = pc.max(_us(log["known_at"])).as_py() if "known_at" in log.column_names else None
    return min(last_us, max(last_us, written or last_us) - usual_delay_us(log, at_us=FAR))


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


def _us(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return moments as microseconds UTC."""
    return column.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())
