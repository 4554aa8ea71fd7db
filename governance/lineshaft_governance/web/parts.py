"""What the admin page reads, handed in."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from lineshaft.clock import Clock
from lineshaft.registry.catalog_values import Catalog
from lineshaft.registry.models import ModelRegistry
from lineshaft.specs import View
from lineshaft.stores.ports import OfflineStore, OnlineStore
from lineshaft_governance.results import ResultFolder


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """How much a view's table holds at one version of it: rows, entities, and the newest event time."""

    version: int
    rows: int
    entities: int
    newest_us: int | None


@dataclass(slots=True, kw_only=True)
class WebParts:
    """Everything the page may look at. Each table version is counted once."""

    catalog: Catalog
    offline: OfflineStore
    online: OnlineStore | None
    registry: ModelRegistry
    results: ResultFolder
    reports: Path
    clock: Clock
    project: str
    _extents: dict[str, Extent] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def extent(self, view: View) -> Extent:
        """Return a view's counts, read again only when its table has a new version."""
        version = self.offline.version(view)
        with self._lock:
            held = self._extents.get(view.ref)
            if held is None or held.version != version:
                held = self._extents[view.ref] = _count(self.offline, view, version)
            return held


def _count(offline: OfflineStore, view: View, version: int) -> Extent:
    """Count rows and entities of a table, reading only its keys and times."""
    if version < 0:
        return Extent(version=version, rows=0, entities=0, newest_us=None)
    rows, newest, entities = 0, None, set()
    keys = [name for name, _ in view.entity_keys]
    for part in offline.read_rows(view, features=[], version=version):
        if part.num_rows:
            rows += part.num_rows
            latest = pc.max(part["event_time"].cast(pa.int64())).as_py()
            newest = latest if newest is None else max(newest, latest)
            distinct = part.group_by(keys).aggregate([])
            entities |= set(zip(*(distinct[key].to_pylist() for key in keys), strict=True))
    return Extent(version=version, rows=rows, entities=len(entities), newest_us=newest)
