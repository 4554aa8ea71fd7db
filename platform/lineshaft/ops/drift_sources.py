"""Where a drift check finds what a version was asked with, what became of it, and where assets and columns belong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lineshaft.drift.policy import DAY_US, DriftPolicy
from lineshaft.drift.sketch import SCORE, Sketch
from lineshaft.errors import InputError, NotFoundError
from lineshaft.ops.aftermath import alerting, rule_of
from lineshaft.ops.assets import told_of_assets
from lineshaft.ops.drift_check import Asked
from lineshaft.ops.learning import moments
from lineshaft.ops.model_file import ModelFile
from lineshaft.ops.predictions import read_predictions
from lineshaft.ops.tables import read_table
from lineshaft.ops.training_set import training_set
from lineshaft.ops.trial import asset_values
from lineshaft.outcomes.states import Rule
from lineshaft.registry.catalog_values import Catalog
from lineshaft.registry.records import ModelVersion
from lineshaft.stores.ports import OfflineStore

OUTCOMES_US = 14 * DAY_US
"""Of how long a stretch of matured predictions the performance is told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftSources:
    """The catalogue, the offline store, the log of predictions, and the folder of side tables."""

    catalog: Catalog
    offline: OfflineStore
    predictions: Path
    tables: Path

    def asked(
        self, version: ModelVersion, sketch: Sketch, *, declared: ModelFile | None, policy: DriftPolicy, at_us: int
    ) -> Asked:
        """Return what a version was asked with; where nobody asked it, what it would have been."""
        since_us = at_us - policy.window_us
        rows, time = self.logged(version, sketch, since_us=since_us), "asked_at"
        if not rows.num_rows:
            rows, time = self.stored(version, sketch, since_us=since_us, until_us=at_us), "event_time"
        return Asked(
            rows=rows,
            time=time,
            sensor_of=self.sensors(version),
            site_of=self.sites(),
            errors=() if declared is None else self.errors(version, declared, at_us=at_us),
        )

    def logged(self, version: ModelVersion, sketch: Sketch, *, since_us: int) -> pa.Table:
        """Return what the log has of a version, as the champion answered it or a challenger or shadow."""
        columns = ("prediction_id", "asked_at", "version", SCORE, *sketch.keys, *sketch.columns)
        found = read_predictions(self.predictions, version.model, columns=columns, since_us=since_us)
        if not found.num_rows:
            return found
        found = found.filter(pc.equal(found["version"], version.ref))
        return found if set(sketch.keys) <= set(found.column_names) else found.slice(0, 0)

    def stored(self, version: ModelVersion, sketch: Sketch, *, since_us: int, until_us: int) -> pa.Table:
        """Return the rows of the offline store in a stretch of time, as the model would be asked with them."""
        service = self.catalog.service(version.service)
        views = [self.catalog.view(used.view, used.version) for used in service.views]
        widest = max(views, key=lambda view: len(view.entity_keys))
        every = moments(widest, self.offline, every_us=sketch.step_us)
        times = every["event_time"].cast(pa.int64())
        wanted = every.filter(pc.and_(pc.greater(times, since_us), pc.less_equal(times, until_us)))
        if not wanted.num_rows:
            return wanted
        return pa.concat_tables(
            chunk.table() for chunk in training_set(self.catalog, self.offline, service.name, wanted)
        )

    def sensors(self, version: ModelVersion) -> Mapping[str, str]:
        """Return which source gives a column; columns that are computed when asked for have none of their own."""
        source = {}
        for pin in version.pins:
            try:
                source[pin.view] = self.catalog.view(pin.view, pin.version).source.name
            except NotFoundError:
                source[pin.view] = pin.view
        return {name: source[name.split("__")[0]] for name in version.features if name.split("__")[0] in source}

    def sites(self) -> Mapping[str, str]:
        """Return where assets stand, by the table `assets` (asset_id, site), if there is one."""
        return told_of_assets("site", self.tables)

    def rule(self, declared: ModelFile, *, at_us: int) -> Rule:
        """Return by what predictions are judged."""
        return rule_of(declared, read_table(alerting(declared).log, self.tables), at_us=at_us)

    def errors(self, version: ModelVersion, declared: ModelFile, *, at_us: int) -> tuple[float, ...]:
        """Return of each asset how far off predictions were whose outcome is known by now; none where nobody says."""
        try:
            log = read_table(alerting(declared).log, self.tables)
        except (InputError, NotFoundError):
            return ()
        rule = self.rule(declared, at_us=at_us)
        first_us = at_us - rule.matures_us - OUTCOMES_US
        columns = ("prediction_id", "asset_id", "asked_at", "version", "role", SCORE, "status")
        told = read_predictions(self.predictions, version.model, columns=columns, since_us=first_us)
        if not told.num_rows:
            return ()
        times = told["asked_at"].cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())
        mine = told.filter(pc.and_(pc.equal(told["version"], version.ref), pc.greater(times, first_us)))
        values = asset_values("brier", mine, log, rule=rule, at_us=at_us)
        return tuple(np.array(list(values.values()), dtype=np.float64).tolist())
