"""When a model is trained again: every so often, at an hour where one is told, and only if something new has come."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from lineshaft.definitions.words import duration_option
from lineshaft.errors import InputError
from lineshaft.ops.learning import subject_of
from lineshaft.ops.model_file import ModelFile
from lineshaft.ops.tables import table_sha256
from lineshaft.registry.catalog_values import Catalog
from lineshaft.registry.records import ModelVersion
from lineshaft.stores.ports import OfflineStore

_DAY_US = 86_400_000_000
_CLOCK = re.compile(r"^([01]?\d|2[0-3]):([0-5]\d)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Every `every_us`; with `at_us`, at that time of the day (UTC), and whenever that many more have gone by."""

    every_us: int
    at_us: int | None = None

    @staticmethod
    def of(every: str, at: str = "") -> Schedule:
        """Read a schedule as the command line has it.

        >>> Schedule.of("24h", "02:30")
        Schedule(every_us=86400000000, at_us=9000000000)

        Raises
        ------
        InputError
            If it is none, or the hours told would not be the same each day.
        """
        every_us = duration_option(every, option="--every", like="24h")
        if every_us < 1_000_000:
            raise InputError(f"every {every} is no schedule", where="--every", fix="write --every 24h")
        found = _CLOCK.match(at)
        if at and found is None:
            raise InputError(f"{at!r} is no time of day", where="--at", fix="write --at 02:00, in UTC")
        if found is None:
            return Schedule(every_us=every_us)
        if _DAY_US % every_us and every_us % _DAY_US:
            what = f"every {every} from {at} on would be at another hour each day"
            raise InputError(what, where="--every", fix="use 24h, 12h, 8h, 6h, or whole days; or drop --at")
        return Schedule(every_us=every_us, at_us=(int(found[1]) * 60 + int(found[2])) * 60_000_000)

    def latest_us(self, last_us: int, now_us: int) -> int:
        """Return the latest moment that is wanted up to now; not after `last_us` where none has come since.

        What was missed is made up for once, however often it was missed.

        >>> nightly = Schedule.of("24h", "02:00")
        >>> [nightly.latest_us(0, hour * 3_600_000_000) // 3_600_000_000 for hour in (1, 2, 30, 99)]
        [-22, 2, 26, 98]
        """
        start_us = last_us if self.at_us is None else self.at_us
        return start_us + (now_us - start_us) // self.every_us * self.every_us

    def next_us(self, last_us: int | None, now_us: int) -> int:
        """Return the first moment that is wanted after the last: one that has passed, where one was missed."""
        last_us = self.first_us(now_us) if last_us is None else last_us
        latest_us = self.latest_us(last_us, now_us)
        return latest_us if latest_us > last_us else latest_us + self.every_us

    def first_us(self, now_us: int) -> int:
        """Return what counts as the last moment where there was none: with an hour told, it is waited for."""
        return now_us - (self.every_us if self.at_us is None else 0)


def nothing_new(
    newest: ModelVersion | None,
    declared: ModelFile,
    *,
    catalog: Catalog,
    offline: OfflineStore,
    tables: Path,
    tuned: bool,
) -> str:
    """Return in words why a training would make the newest version again; empty where something is new.

    New is another word in the model's file, another version of a view or of its table, other content of the table of
    outcomes, and a search for parameters where there was none.
    """
    told = newest.provenance if newest is not None else None
    if newest is None or told is None or told.model_file != declared.text or tuned != ("study" in newest.params):
        return ""
    subject = subject_of(declared, catalog)
    pins = {(pin.view, pin.version): pin.table_version for pin in newest.pins}
    there = {(view.name, view.version): offline.version(view) for view in subject.views}
    outcomes = declared.log or declared.ends
    same = subject.service.to_json() == newest.service_json and pins == there
    if not same or (outcomes and table_sha256(outcomes, tables) != told.label_sha256):
        return ""
    at = ", ".join(f"{view} at table version {number}" for (view, _), number in sorted(there.items()))
    return f"nothing new since {newest.ref}: {at}" + (f", {outcomes} {told.label_sha256[:12]}…" if outcomes else "")
