"""From what was ingested to a training set with labels: which moments to ask about, and what came after them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lineshaft.errors import DefinitionError, InputError
from lineshaft.models.censored import life_left
from lineshaft.models.events import told_until_us
from lineshaft.models.labels import LIFE, Labelled, ends_of_life, ends_within, fails_within, remaining_life
from lineshaft.models.spec import ModelSpec
from lineshaft.ops.model_file import FOLDER, ModelFile
from lineshaft.ops.tables import pin_table
from lineshaft.ops.training_set import fingerprint, training_set
from lineshaft.registry.catalog_values import Catalog
from lineshaft.sources.cmapss import CYCLE_US, EPOCH
from lineshaft.sources.tabular import utc_us
from lineshaft.specs import Service, View, row_schema
from lineshaft.stores.ports import OfflineStore

DROPPED = {
    "end_unknown": "are of assets whose end of life is not known",
    "after_end": "lie after the end of life",
    "replaced_in_time": "are of parts replaced before they could fail",
    "horizon_not_over": "have a horizon that goes on, or whose failures may be unreported",
    "nothing_followed": "are the last of their asset",
    "not_known_healthy": "come after the healthy stretch",
}
"""Why a row has no label, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a declared model is about, as a catalogue has it: the service it reads, and that service's views."""

    declared: ModelFile
    spec: ModelSpec
    service: Service
    views: tuple[View, ...]

    @property
    def widest(self) -> View:
        """Return the view whose entities are the rows to learn from."""
        return max(self.views, key=lambda view: len(view.entity_keys))


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """A labelled training set and the model to train on it, with digests of what it was made of."""

    spec: ModelSpec
    service: Service
    table: pa.Table
    statuses: dict[str, int]
    dropped: dict[str, int]
    table_versions: dict[str, int]
    label_sha256: str
    moments_sha256: str


def lesson(declared: ModelFile, *, catalog: Catalog, offline: OfflineStore, tables: Path) -> Lesson:
    """Build the training set of a model: its moments, its labels, its features point in time."""
    subject = subject_of(declared, catalog)
    versions = {view.name: offline.version(view) for view in subject.views}
    outcomes = pin_table(declared.log or declared.ends, tables) if declared.log or declared.ends else None
    if outcomes is not None:
        _check_columns(declared, outcomes.table)
    labelled = labelled_moments(subject, offline, outcomes and outcomes.table, versions=versions)
    table, statuses = answered(subject, catalog, offline, labelled.table, versions=versions)
    return Lesson(
        spec=subject.spec,
        service=subject.service,
        table=table,
        statuses=statuses,
        dropped=labelled.dropped,
        table_versions=versions,
        label_sha256=outcomes.sha256 if outcomes else "",
        moments_sha256=fingerprint(labelled.table),
    )


def _check_columns(declared: ModelFile, outcomes: pa.Table) -> None:
    """Refuse a table that is no log, or none of ends of life, before any row is read."""
    key, needed = ("log", ("asset_id", "event_time", "kind")) if declared.log else ("ends", ("asset_id", *LIFE))
    missing = [name for name in needed if name not in outcomes.column_names]
    if missing:
        what = f"label: {{{key}: {declared.log or declared.ends}}} names a table without {', '.join(missing)}"
        fix = f"name one with {', '.join(needed)}"
        raise DefinitionError(what, where=f"{FOLDER}/{declared.name}.yaml", fix=fix)


def subject_of(declared: ModelFile, catalog: Catalog) -> Subject:
    """Look up what a declared model reads."""
    service = catalog.service(declared.service)
    views = tuple(catalog.view(used.view, used.version) for used in service.views)
    return Subject(declared=declared, spec=declared.spec(service), service=service, views=views)


def labelled_moments(
    subject: Subject, offline: OfflineStore, outcomes: pa.Table | None, *, versions: Mapping[str, int]
) -> Labelled:
    """Return the moments to learn from and what came after each, at the table versions named; a detector has no log."""
    declared, widest = subject.declared, subject.widest
    every = moments(widest, offline, every_us=declared.every_us, version=versions[widest.name])
    rows = _of_assets(every, declared.assets)
    there = every["asset_id"].unique().sort().to_pylist()
    if there and not rows.num_rows:
        known = ", ".join(map(str, there[:10])) + (f" and {len(there) - 10} more" if there[10:] else "")
        what = f"no asset is called {' or '.join(map(repr, declared.assets))}"
        fix = f"the assets with rows are {known}"
        raise InputError(what, where=f"{FOLDER}/{declared.name}.yaml, assets", fix=fix)
    labelled = _labelled(declared, rows, outcomes, widest.grace_us)
    if not labelled.table.num_rows:
        why = ", ".join(f"{count} of {rows.num_rows} {DROPPED[reason]}" for reason, count in labelled.dropped.items())
        what = f"no row of {declared.name!r} could be labelled: {why or 'there is none'}"
        raise InputError(what, where=f"{FOLDER}/{declared.name}.yaml, label", fix="ingest more history")
    return labelled


def answered(
    subject: Subject, catalog: Catalog, offline: OfflineStore, entities: pa.Table, *, versions: Mapping[str, int]
) -> tuple[pa.Table, dict[str, int]]:
    """Return labelled moments with their features, and how many values had which status."""
    statuses: dict[str, int] = {}
    parts = []
    for chunk in training_set(catalog, offline, subject.service.name, entities, versions=dict(versions)):
        parts.append(chunk.table())
        for status, count in chunk.answer.counts().items():
            statuses[status] = statuses.get(status, 0) + count
    return pa.concat_tables(parts), statuses


def _of_assets(rows: pa.Table, patterns: Sequence[str]) -> pa.Table:
    """Return the rows of assets that a pattern matches."""
    names = rows["asset_id"].unique().to_pylist()
    wanted = [name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)]
    return rows.filter(pc.is_in(rows["asset_id"], pa.array(wanted, pa.string())))


def _labelled(declared: ModelFile, rows: pa.Table, outcomes: pa.Table | None, grace_us: int) -> Labelled:
    """Label rows as the model wants it; a row's moment lies a grace after the tick it speaks of."""
    if outcomes is None:
        return healthy(rows, healthy_us=declared.healthy_us)
    if declared.ends:
        # Lives are counted in whole cycles, and the last one has none left.
        ends = ends_of_life(outcomes, epoch_us=utc_us(EPOCH) + grace_us, unit_us=CYCLE_US)
        if declared.task == "rul":
            return remaining_life(rows, ends, unit_us=declared.every_us, clip=declared.cap)
        return ends_within(rows, ends, horizon_us=declared.horizon_us)
    until_us = told_until_us(outcomes, last_us=int(pc.max(rows["event_time"].cast(pa.int64())).as_py() or 0))
    if declared.task == "survival":
        return life_left(rows, outcomes, unit_us=declared.every_us, followed_until_us=until_us)
    return fails_within(rows, outcomes, horizon_us=declared.horizon_us, followed_until_us=until_us)


def healthy(rows: pa.Table, *, healthy_us: int) -> Labelled:
    """Keep the rows of each asset's first stretch, taken for healthy, with label 0; the others are counted."""
    times = rows["event_time"].cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())
    first = pa.table({"asset_id": rows["asset_id"], "time": times}).group_by("asset_id").aggregate([("time", "min")])
    began = dict(zip(first["asset_id"].to_pylist(), first["time_min"].to_pylist(), strict=True))
    start_us = np.array([began[asset] for asset in rows["asset_id"].to_pylist()], dtype=np.int64)
    kept = np.asarray(times.to_numpy()) < start_us + healthy_us
    table = rows.filter(pa.array(kept))
    later = int((~kept).sum())
    zeros = pa.array(np.zeros(table.num_rows))
    return Labelled(table=table.append_column("label", zeros), dropped={"not_known_healthy": later} if later else {})


def moments(view: View, offline: OfflineStore, *, every_us: int, version: int | None = None) -> pa.Table:
    """Return the moments to learn from: each entity's first tick in every stretch of time, as first answered."""
    keys = [name for name, _ in view.entity_keys]
    rows = [row_schema(view, ()).empty_table(), *offline.read_rows(view, features=(), version=version)]
    ticks = pa.concat_tables(rows).select([*keys, "event_time"])
    tick_us = ticks["event_time"].cast(pa.int64())
    cells = pa.array(np.asarray(tick_us.to_numpy()) // every_us)
    firsts = ticks.select(keys).append_column("tick", tick_us).append_column("cell", cells)
    firsts = firsts.group_by([*keys, "cell"]).aggregate([("tick", "min")])
    firsts = firsts.sort_by([(name, "ascending") for name in (*keys, "tick_min")])
    asked = pc.add(firsts["tick_min"], view.grace_us).cast(pa.timestamp("us", tz="UTC"))
    return firsts.select(keys).append_column("event_time", asked)
