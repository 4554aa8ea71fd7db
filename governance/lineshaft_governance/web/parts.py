"""What the admin page reads, handed in."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from lineshaft.access.guard import LOCAL, Caller, Guard
from lineshaft.clock import Clock
from lineshaft.drift.policy import DriftPolicy
from lineshaft.models.gate import Policy
from lineshaft.ops.release import Keeper
from lineshaft.registry.alerts import AlertBook
from lineshaft.registry.catalog_values import Applied, Catalog
from lineshaft.registry.drifts import DriftBook
from lineshaft.registry.models import ModelRegistry
from lineshaft.registry.records import ModelVersion
from lineshaft.registry.scores import ScoreBook
from lineshaft.specs import View
from lineshaft.stores.ports import OfflineStore, OnlineStore
from lineshaft_governance.results import ResultFolder
from lineshaft_governance.web.extents import Extent, extent, roster_of
from lineshaft_governance.web.looks import Look, Looks

Page = dict[str, Any]
"""What a page says. Its HTML and its twins for machines are made from the same values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Who asks for a page, and what stands behind the question mark."""

    caller: Caller = LOCAL
    query: Mapping[str, str] = field(default_factory=dict)

    def word(self, name: str) -> str:
        """Return a word of the query; none is empty."""
        return self.query.get(name, "").strip()

    def number(self, name: str, usual: int) -> int:
        """Return a whole number of the query, or the usual one where none is given."""
        text = self.word(name)
        return int(text) if text.isascii() and text.isdecimal() and len(text) < 16 else usual


@dataclass(slots=True, kw_only=True)
class WebParts:
    """Everything the page may look at."""

    catalog: Catalog
    offline: OfflineStore
    online: OnlineStore | None
    registry: ModelRegistry
    results: ResultFolder
    reports: Path
    clock: Clock
    project: str
    home: Path = Path(".lineshaft")
    alerts: AlertBook | None = None
    fleet_scores: ScoreBook | None = None
    drifts: DriftBook | None = None
    drift_policy: Callable[[str], DriftPolicy] = lambda _model: DriftPolicy()
    draw_report: Callable[[str], Path] | None = None  # Evidently's, of a model's champion
    keeper: Keeper | None = None  # who decides about what quarantine holds
    guard: Guard | None = None
    secure: bool = False  # whether browsers reach the page by TLS
    hosts: Sequence[str] | None = ()  # names of the page beside its addresses; None: whatever a proxy lets through
    policy: Callable[[str], Policy] | None = None
    card: Callable[[ModelVersion], str] | None = None
    applies: Callable[[], Sequence[Applied]] = tuple
    looks: Looks = field(init=False)
    patience_s: float = 0.15
    deciding: threading.Lock = field(default_factory=threading.Lock, init=False)  # one release at a time
    roster: pa.Table = field(default_factory=lambda: roster_of([]), init=False)  # every asset, as last counted
    _extents: dict[str, Extent] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Make what holds the looks."""
        self.looks = Looks(self.clock, patience_s=self.patience_s)

    @property
    def predictions(self) -> Path:
        """Return the folder of the log of predictions."""
        return self.home / "predictions"

    @property
    def work(self) -> Path:
        """Return the folder in which quarantine lies."""
        return self.home / "work"

    @property
    def tables(self) -> Path:
        """Return the folder of side tables: labels, truth, maintenance."""
        return self.home / "tables"

    def extent(self, view: View) -> Extent:
        """Return a view's counts, read again only when its table has a new version."""
        version = self.offline.version(view)
        held = self._extents.get(view.ref)
        if held is None or held.version != version:
            held = self._extents[view.ref] = extent(self.offline, view, version)
        return held

    def extents(self) -> Look[dict[str, Extent]]:
        """Return every view's counts as they were last found, by `view@version`."""
        return self.looks.at("extents", self._counted)

    def _counted(self) -> dict[str, Extent]:
        found = {view.ref: self.extent(view) for view in self.catalog.views()}
        self.roster = roster_of([held.assets for held in found.values()])
        return found

    def close(self) -> None:
        """Look at nothing more."""
        self.looks.close()
        if self.fleet_scores is not None:
            self.fleet_scores.close()
