"""The inputs of a prediction, asked for again: as the offline store gives them for the moment it was made for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lineshaft.clock import moment
from lineshaft.errors import LineshaftError
from lineshaft.models.matrix import feature_matrix
from lineshaft.ops.training_set import AT_COLUMN, KNOWN_COLUMN, entity_keys, training_set
from lineshaft.registry.catalog_values import Catalog, FixedCatalog
from lineshaft.registry.records import ModelVersion
from lineshaft.specs import Service, View
from lineshaft.stores.ports import OfflineStore, Wanted

Values = NDArray[np.float32]
_TIME = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True, slots=True, kw_only=True)
class LateRow:
    """A row that a prediction was made of, though by its receipt it was not known at the moment asked about.

    Whoever asks about a recording with `--at` meets these: the server answered from all it had received by then.
    """

    view: str
    used_us: int  # event time of the row it was made of
    known_us: int  # when that was known
    then_us: int | None  # event time of the row that was known at the moment asked about, if one was

    def __str__(self) -> str:
        """Name the two row times."""
        then = "none" if self.then_us is None else f"the one of {moment(self.then_us)}"
        used = f"row of {moment(self.used_us)}, received {moment(self.known_us)}"
        return f"{self.view} was read from its {used}: later than the moment asked about, when {then} was known"


@dataclass(frozen=True, slots=True, kw_only=True)
class InputsThen:
    """What the offline store gives: values, or the fault why it could not; `late` explains values that differ."""

    values: Values | None = None
    fault: str = ""
    late: tuple[LateRow, ...] = ()


def inputs_then(
    catalog: Catalog, offline: OfflineStore, row: pa.Table, version: ModelVersion, *, seen: Values
) -> InputsThen:
    """Ask for the inputs of a logged prediction; where they are others than it saw, see whether its rows came late."""
    service = Service.from_json(version.service_json)
    try:
        views = tuple(catalog.view(used.view, used.version) for used in service.views)
        pinned = FixedCatalog(all_views=views, all_services=(service,))
        asked = row.drop_columns([name for name in row.column_names if name in version.features])
        asked = asked.append_column(AT_COLUMN, asked["asked_at"])
        found = _answered(pinned, offline, service, asked, version)
        if found.tobytes() == seen.tobytes():
            return InputsThen(values=found)
        by_now = asked.append_column(KNOWN_COLUMN, pa.array([np.iinfo(np.int64).max], pa.int64()).cast(_TIME))
        late: tuple[LateRow, ...] = ()
        if _answered(pinned, offline, service, by_now, version).tobytes() == seen.tobytes():
            late = _late(views, offline, asked)
    except LineshaftError as error:
        return InputsThen(fault=error.what)
    return InputsThen(values=found, late=late)


def _answered(
    catalog: Catalog, offline: OfflineStore, service: Service, asked: pa.Table, version: ModelVersion
) -> Values:
    """Return the inputs of one row."""
    table = pa.concat_tables([part.table() for part in training_set(catalog, offline, service.name, asked)])
    values: Values = feature_matrix(table, version.features)[0]
    return values


def _late(views: Sequence[View], offline: OfflineStore, asked: pa.Table) -> tuple[LateRow, ...]:
    """Return the views whose row is another one if what was received later counts."""
    at_us = np.asarray(asked[AT_COLUMN].cast(_TIME).cast(pa.int64()).to_numpy())
    far_us, found = np.full(len(at_us), np.iinfo(np.int64).max), []
    for view in views:
        wanted = Wanted(view=view, features=(), keys=entity_keys(view, asked))
        (then, _), (used, known_us) = (_times(offline, wanted, at_us, known) for known in (at_us, far_us))
        if used is not None and known_us is not None and known_us > at_us[0]:
            found.append(LateRow(view=view.name, used_us=used, known_us=known_us, then_us=then))
    return tuple(found)


def _times(
    offline: OfflineStore, wanted: Wanted, at_us: NDArray[np.int64], known_us: NDArray[np.int64]
) -> tuple[int | None, int | None]:
    """Return when the row of one entity is of, and when it was known; None where there is no row."""
    rows = next(iter(offline.as_of(wanted, at_us, known_us=known_us))).rows
    event, known = (rows[name].cast(_TIME).cast(pa.int64())[0].as_py() for name in ("event_time", "known_at"))
    return event, known
