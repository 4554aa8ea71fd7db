"""From what was ingested to a training set with labels: which moments to ask about, and what came after them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lineshaft.errors import InputError, NotFoundError
from lineshaft.models.labels import Labelled, ends_of_life, fails_within, remaining_life
from lineshaft.models.spec import ModelSpec, numeric_features
from lineshaft.ops.tables import read_table
from lineshaft.ops.training_set import training_set
from lineshaft.registry.catalog_values import Catalog
from lineshaft.sources.cmapss import CYCLE_US, EPOCH
from lineshaft.sources.tabular import utc_us
from lineshaft.specs import Service, View, row_schema
from lineshaft.stores.ports import OfflineStore

HOUR_US = 3_600_000_000
RUL_CLIP = 125.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A model that can be trained from what is ingested: its service, task, table of outcomes and how to label.

    `label` takes entity rows, the table of outcomes, and the grace in microseconds by which the rows' moments lie after
    the ticks they speak of.
    """

    name: str
    service: str
    task: str
    outcomes: str
    every_us: int
    label: Callable[[pa.Table, pa.Table, int], Labelled]
    description: str


def _fails_soon(rows: pa.Table, log: pa.Table, _grace_us: int) -> Labelled:
    until_us = int(pc.max(rows["event_time"].cast(pa.int64())).as_py() or 0)
    return fails_within(rows, log, horizon_us=4 * HOUR_US, followed_until_us=until_us)


def _cycles_left(rows: pa.Table, truth: pa.Table, grace_us: int) -> Labelled:
    """Label with cycles left at the tick: lives are counted in whole cycles, and the last one has none left."""
    ends = ends_of_life(truth, epoch_us=utc_us(EPOCH) + grace_us, unit_us=CYCLE_US)
    return remaining_life(rows, ends, unit_us=CYCLE_US, clip=RUL_CLIP)


RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            name="bearing_failure",
            service="bearing_health",
            task="binary",
            outcomes="maintenance",
            every_us=600_000_000,
            label=_fails_soon,
            description="Probability that the machine fails within four hours (of simulated, fast-forwarded life).",
        ),
        Recipe(
            name="turbofan_rul",
            service="turbofan_rul",
            task="regression",
            outcomes="truth",
            every_us=CYCLE_US,
            label=_cycles_left,
            description="Remaining useful life in cycles, clipped at 125 where a healthy engine shows nothing yet.",
        ),
    )
}
"""The models this version can train, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """A labelled training set and the model to train on it."""

    spec: ModelSpec
    service: Service
    table: pa.Table
    statuses: dict[str, int]
    dropped: dict[str, int]
    table_versions: dict[str, int]


def recipe(name: str) -> Recipe:
    """Return a recipe by name; raises `NotFoundError` listing them."""
    if name not in RECIPES:
        raise NotFoundError(f"there is no recipe for model {name!r}", fix=f"one of {', '.join(RECIPES)}")
    return RECIPES[name]


def lesson(name: str, *, catalog: Catalog, offline: OfflineStore, tables: Path) -> Lesson:
    """Build the training set of a model: its moments, its labels, its features point in time."""
    how = recipe(name)
    service = catalog.service(how.service)
    views = [catalog.view(used.view, used.version) for used in service.views]
    versions = {view.name: offline.version(view) for view in views}
    widest = max(views, key=lambda view: len(view.entity_keys))
    asked = moments(widest, offline, every_us=how.every_us)
    labelled = how.label(asked, read_table(how.outcomes, tables), widest.grace_us)
    if not labelled.table.num_rows:
        raise InputError(
            f"no row of {name!r} could be labelled", where=str(labelled.dropped), fix="ingest more history"
        )
    statuses: dict[str, int] = {}
    parts = []
    for chunk in training_set(catalog, offline, how.service, labelled.table, versions=versions):
        parts.append(chunk.table())
        for status, count in chunk.answer.counts().items():
            statuses[status] = statuses.get(status, 0) + count
    return Lesson(
        spec=ModelSpec(
            name=name,
            task=how.task,
            service=how.service,
            features=numeric_features(service),
            team=service.team,
            owner=service.owner,
            description=how.description,
        ),
        service=service,
        table=pa.concat_tables(parts),
        statuses=statuses,
        dropped=labelled.dropped,
        table_versions=versions,
    )


def moments(view: View, offline: OfflineStore, *, every_us: int) -> pa.Table:
    """Return the moments to learn from: each entity's first tick in every stretch of time, as first answered."""
    keys = [name for name, _ in view.entity_keys]
    rows = [row_schema(view, ()).empty_table(), *offline.read_rows(view, features=())]
    ticks = pa.concat_tables(rows).select([*keys, "event_time"])
    tick_us = ticks["event_time"].cast(pa.int64())
    cells = pa.array(np.asarray(tick_us.to_numpy()) // every_us)
    firsts = ticks.select(keys).append_column("tick", tick_us).append_column("cell", cells)
    firsts = firsts.group_by([*keys, "cell"]).aggregate([("tick", "min")])
    firsts = firsts.sort_by([(name, "ascending") for name in (*keys, "tick_min")])
    asked = pc.add(firsts["tick_min"], view.grace_us).cast(pa.timestamp("us", tz="UTC"))
    return firsts.select(keys).append_column("event_time", asked)
