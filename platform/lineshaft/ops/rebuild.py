"""Restore the online store from offline, byte for byte."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lineshaft.specs import View
from lineshaft.stores.ports import OfflineStore, OnlineStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """One view rebuilt: rows written, and the digest of its bytes before and after."""

    view: str
    rows: int
    before: str
    after: str


def rebuild(views: Iterable[View], offline: OfflineStore, online: OnlineStore) -> list[Rebuilt]:
    """Clear each view online and write the newest row of each entity from offline."""
    results = []
    for view in views:
        before = online.digest(view)
        online.clear(view)
        rows = sum(online.write(view, table).kept for table in offline.latest(view))
        results.append(Rebuilt(view=view.name, rows=rows, before=before, after=online.digest(view)))
    return results
