"""Served answers made again from the offline store, and held against what was logged, bit for bit.

What a server could know at a moment is the row it had: the log names it by event time and known time, view by view.
That row is looked up offline, point in time, and answered by the `answer()` that answers serving and training sets, at
the moment that was asked about. A row that lies offline is checked whatever made it be used, a degraded answer too.
One that does not is either on its way there, or in quarantine, or it should be there: that is a mismatch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lineshaft.ops.served_tally import Judged, Tally
from lineshaft.ops.training_set import answer, entity_keys
from lineshaft.specs import Recipe, Status, View, row_identity
from lineshaft.specs.rows import TIMESTAMP
from lineshaft.stores.ports import Found, OfflineStore, Wanted
from lineshaft.stores.served_log import ServedLog
from lineshaft.tiles.answer import UNKNOWN_AGE_US
from lineshaft.tiles.asof import NEVER
from lineshaft.tiles.comparison import differing
from lineshaft.tiles.keys import table_of

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
CHUNK_ROWS = 50_000
PATIENCE_US = 3_600_000_000
_FOREVER = int(np.iinfo(np.int64).max)
_TIMES = ("event_time", "known_at")


Held = Callable[[View], pa.Table]
"""Return the rows of a view that are in quarantine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """How served answers are checked: against which store, as of when.

    `patience_us` is how long after serving a row may be on its way to the offline store; `most` is how many mismatches
    are told one by one, of each service: all are counted.
    """

    offline: OfflineStore
    held: Held
    now_us: int
    patience_us: int = PATIENCE_US
    most: int = 100

    def check(self, log: ServedLog, *, since_us: int | None = None) -> Iterator[tuple[Recipe, Tally]]:
        """Check everything that was logged from a moment on, one service as it was declared after the other."""
        for recipe in log.recipes():
            tally = Tally(most=self.most)
            for rows in _gathered(log.read(recipe, since_us=since_us)):
                tally += self.check_rows(recipe, rows)
            if tally.vectors:
                yield recipe, tally

    def check_rows(self, recipe: Recipe, rows: pa.Table) -> Tally:
        """Check some rows of the log."""
        degraded = np.asarray(rows["degraded"])
        tally = Tally(most=self.most, vectors=rows.num_rows, degraded=int(degraded.sum()))
        asked_us, keys = _micros(rows["asked_at"]), _struct(rows["keys"])
        claims = [_Claim.of(rows, used.view) for used in recipe.service.views]
        found, trusted, behind = [], [], np.zeros(rows.num_rows, bool)
        for view, used, claim in zip(recipe.views, recipe.service.views, claims, strict=True):
            wanted = Wanted(view=view, features=used.features, keys=entity_keys(view, keys))
            part, stored = self._row_claimed(wanted, claim)
            found.append(part)
            trusted.append(stored | ~claim.there)
            lacking = np.flatnonzero(claim.there & ~stored)
            if len(lacking):
                self._excuse(recipe, rows, tally, wanted=wanted, claim=claim, lacking=lacking)
            behind |= self._behind(wanted, claim, _micros(rows["served_at"])) & ~degraded
        tally.behind = int(behind.sum())
        given = _struct(rows["request"]) if recipe.service.request_fields else None
        again = answer(recipe.service, recipe.views, found, asked_us, given)
        self._compare(recipe, rows, tally, again=again, trusted=trusted)
        for used, claim in zip(recipe.service.views, claims, strict=True):
            age_us = np.where(claim.there, asked_us - claim.event_us, UNKNOWN_AGE_US)
            wrong = np.flatnonzero(age_us != claim.age_us)
            tally.differing += len(wrong)
            tally.tell(recipe, rows, wrong, f"{used.view} (age)", claim.age_us, age_us)
        return tally

    def _row_claimed(self, wanted: Wanted, claim: _Claim) -> tuple[Found, Bools]:
        """Return the rows that the log names, as the offline store has them, and which of them it has."""
        parts = list(self.offline.as_of(wanted, claim.event_us, known_us=claim.known_us))
        rows = pa.concat_tables([part.rows for part in parts])
        status = np.concatenate([part.status for part in parts])
        times = [_micros(rows[name]) for name in _TIMES]
        stored = (status == Status.PRESENT) & (times[0] == claim.event_us) & (times[1] == claim.known_us)
        stored &= claim.there
        judged = np.where(claim.there, np.where(stored, Status.PRESENT, Status.NOT_FOUND), claim.found)
        return Found(rows=rows, status=judged.astype(np.int8)), stored

    def _newest(self, wanted: Wanted, known_us: Ints) -> tuple[Ints, Ints]:
        """Return event and known time of the newest rows known at some moments, NEVER where there is none."""
        bare = Wanted(view=wanted.view, features=(), keys=wanted.keys)
        forever = np.full(len(known_us), _FOREVER)
        rows = pa.concat_tables([part.rows for part in self.offline.as_of(bare, forever, known_us=known_us)])
        absent = np.asarray(rows["event_time"].is_null())
        event, known = (np.where(absent, NEVER, _micros(rows[name])) for name in _TIMES)
        return event, known

    def _behind(self, wanted: Wanted, claim: _Claim, served_us: Ints) -> Bools:
        """Tell where a newer row was known when it was served: pipelines take their time."""
        event, known = self._newest(wanted, served_us)
        newer = (event > claim.event_us) | ((event == claim.event_us) & (known > claim.known_us))
        asked = (claim.found == Status.PRESENT) | (claim.found == Status.NOT_FOUND)
        return np.asarray(newer & asked, bool)

    def _excuse(
        self, recipe: Recipe, rows: pa.Table, tally: Tally, *, wanted: Wanted, claim: _Claim, lacking: NDArray[np.intp]
    ) -> None:
        """Sort served rows that are not offline: taken back, on their way, or missing."""
        keys = table_of(wanted.keys).take(pa.array(lacking))
        aside = _among(wanted.view, keys, claim.event_us[lacking], claim.known_us[lacking], self.held(wanted.view))
        some = Wanted(view=wanted.view, features=(), keys=keys)
        _, known = self._newest(some, np.full(len(lacking), _FOREVER))
        served_us = _micros(rows["served_at"])[lacking]
        due = (known > claim.known_us[lacking]) | (served_us < self.now_us - self.patience_us)
        tally.quarantined += int(aside.sum())
        tally.waiting += int((~aside & ~due).sum())
        gone = lacking[~aside & due]
        tally.missing += len(gone)
        tally.tell(recipe, rows, gone, f"{wanted.view.name} (row)", claim.named(), np.full(rows.num_rows, None))

    def _compare(self, recipe: Recipe, rows: pa.Table, tally: Tally, *, again: Any, trusted: Sequence[Bools]) -> None:
        """Compare values and statuses of all columns whose rows lie offline."""
        values, statuses = _struct(rows["features"]), _struct(rows["statuses"])
        usable = _usable(recipe, trusted)
        for i, name in enumerate(again.sheet.names):
            ours, theirs = again.columns[name], values[name]
            status = np.asarray(statuses[name], np.int8)
            unlike = differing(ours, theirs) & usable[name]
            other = (again.status[:, i] != status) & usable[name]
            tally.values += int(usable[name].sum())
            tally.differing += int((unlike | other).sum())
            places = np.flatnonzero(unlike | other)
            tally.tell(recipe, rows, places, name, Judged(theirs, status), Judged(ours, again.status[:, i]))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Claim:
    """What the log says of one view's rows; NEVER in the times of those the server had not."""

    found: NDArray[np.int8]
    there: Bools
    event_us: Ints
    known_us: Ints
    age_us: Ints

    @staticmethod
    def of(rows: pa.Table, view: str) -> _Claim:
        """Read it from the log."""
        column = _struct(_struct(rows["views"])[view])
        found = np.asarray(column["found"], np.int8)
        there = found == Status.PRESENT
        event_us, known_us = (np.where(there, _micros(column[name]), NEVER) for name in _TIMES)
        return _Claim(
            found=found, there=there, event_us=event_us, known_us=known_us, age_us=np.asarray(column["age_us"])
        )

    def named(self) -> NDArray[np.object_]:
        """Return the rows as one names them."""
        moments = (np.asarray(time, "datetime64[us]").astype(str) for time in (self.event_us, self.known_us))
        return np.array([f"of {event}, known {known}" for event, known in zip(*moments, strict=True)], object)


def _gathered(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Put small tables together: each one that is checked costs a look through the offline store."""
    held: list[pa.Table] = []
    for table in tables:
        for start in range(0, table.num_rows, CHUNK_ROWS):
            held.append(table.slice(start, CHUNK_ROWS))
            if sum(part.num_rows for part in held) >= CHUNK_ROWS:
                yield pa.concat_tables(held)
                held = []
    if held:
        yield pa.concat_tables(held)


def _usable(recipe: Recipe, trusted: Sequence[Bools]) -> dict[str, Bools]:
    """Return for each column which of its values can be compared: those whose rows are offline, or never were."""
    usable = {
        f"{used.view}__{name}": here
        for used, here in zip(recipe.service.views, trusted, strict=True)
        for name in used.features
    }
    for demand in recipe.service.on_demand:
        made = {
            f"{demand.name}__{f.name}": np.logical_and.reduce([usable[name] for name in f.features_read])
            for f in demand.features
        }
        usable.update(made)
    return usable


def _among(view: View, keys: pa.Table, event_us: Ints, known_us: Ints, held: pa.Table) -> Bools:
    """Tell which rows (keys and times) are among others."""
    aside = np.zeros(keys.num_rows, bool)
    if held.num_rows:
        identity = row_identity(view)
        ours = keys.append_column("event_time", pa.array(event_us).cast(TIMESTAMP))
        ours = ours.append_column("known_at", pa.array(known_us).cast(TIMESTAMP))
        ours = ours.append_column("place", pa.array(np.arange(keys.num_rows)))
        aside[ours.join(held.select(identity), keys=identity, join_type="left semi")["place"].to_numpy()] = True
    return aside


def _struct(column: pa.ChunkedArray | pa.StructArray) -> pa.Table:
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    whole = whole.chunk(0) if isinstance(whole, pa.ChunkedArray) else whole
    return pa.Table.from_arrays(whole.flatten(), names=[field.name for field in whole.type])


def _micros(column: pa.ChunkedArray) -> Ints:
    """Return times as int64 microseconds, 0 under a null."""
    return np.asarray(column.cast(pa.int64()).fill_null(0).to_numpy(), np.int64)
