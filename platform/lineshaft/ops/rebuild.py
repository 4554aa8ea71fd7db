"""Restore the online store from offline, byte for byte."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lineshaft.specs import View
from lineshaft.stores.ports import OfflineStore, OnlineStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """One view rebuilt: rows written, and the digest of its bytes before, while cleared, and after."""

    view: str
    rows: int
    before: str
    cleared: str
    after: str

    @property
    def found(self) -> str:
        """Say what lay online before: the same bytes, nothing (as after a loss), or other bytes."""
        if self.before == self.after:
            return "the same bytes"
        return "nothing" if self.before == self.cleared else "other bytes"


def rebuild(views: Iterable[View], offline: OfflineStore, online: OnlineStore) -> list[Rebuilt]:
    """Clear each view online and write the newest row of each entity from offline."""
    results = []
    for view in views:
        before = online.digest(view)
        online.clear(view)
        cleared = online.digest(view)
        rows = fill([view], offline, online)
        results.append(Rebuilt(view=view.name, rows=rows, before=before, cleared=cleared, after=online.digest(view)))
    return results


def fill(views: Iterable[View], offline: OfflineStore, online: OnlineStore) -> int:
    """Write the newest row of each entity from offline; return how many were kept.

    Nothing is cleared: what is newer online stays.
    """
    return sum(online.write(view, table).kept for view in views for table in offline.latest(view))
