"""Make the online store what offline says, byte for byte, while it is read and written."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from lineshaft.specs import View
from lineshaft.stores.ports import OfflineStore, OnlineStore, Replaced


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """One view rebuilt: what became of its rows online."""

    view: str
    rows: Replaced

    @property
    def found(self) -> str:
        """Say what lay online before: the same bytes, nothing (as after a loss), or other bytes."""
        if not self.rows.changed and not self.rows.removed:
            return "the same bytes"
        return "other bytes" if self.rows.before else "nothing"


def rebuild(views: Iterable[View], offline: OfflineStore, online: OnlineStore) -> list[Rebuilt]:
    """Make each view online the newest row of each entity from offline; who reads meanwhile misses none."""
    return [Rebuilt(view=view.name, rows=online.replace(view, partial(offline.latest, view))) for view in views]


def fill(views: Iterable[View], offline: OfflineStore, online: OnlineStore) -> int:
    """Write the newest row of each entity from offline; return how many were kept.

    Nothing is removed: what is newer online stays.
    """
    return sum(online.write(view, table).kept for view in views for table in offline.latest(view))
