"""How fast backfills were here, and so what another would take: measured, not promised."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from lineshaft.ops.jobs import JobResult
from lineshaft.specs import View
from lineshaft.stores.ports import OfflineStore

_FILE = "pace.json"


def note_pace(folder: Path, result: JobResult) -> None:
    """Remember how many blocks a backfill read in which time; one of nothing says nothing."""
    if not result.blocks or result.seconds <= 0.0:
        return
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _FILE).write_text(json.dumps({"blocks": result.blocks, "seconds": result.seconds}), encoding="utf-8")


@dataclass(slots=True, kw_only=True)
class Costs:
    """What backfills would take: what is there of each source is counted once."""

    offline: OfflineStore
    folder: Path  # where the pace was noted
    _counted: dict[str, int] = field(default_factory=dict)

    def of(self, view: View) -> str:
        """Return in words what a backfill of a view reads and takes; nothing for rows that are computed elsewhere."""
        if view.source.kind != "blocks":
            return ""
        name = view.source.name
        if name not in self._counted:
            self._counted[name] = self.offline.stored(view.source)
        blocks = self._counted[name]
        if not blocks:
            return f"nothing of {name} is there yet"
        try:
            known = json.loads((self.folder / _FILE).read_text(encoding="utf-8"))
            seconds = blocks * float(known["seconds"]) / int(known["blocks"])
        except (OSError, ValueError, KeyError, TypeError, ZeroDivisionError):
            return f"{blocks:,} blocks of {name}; no backfill was measured here yet"
        return f"{blocks:,} blocks of {name}, about {seconds:,.0f} s at the pace of the last backfill"
