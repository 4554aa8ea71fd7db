"""Feast's OfflineStore on Lineshaft's: every entity row comes back, in order, judged as the online store judges."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
from feast import FeatureView
from feast.data_source import DataSource
from feast.infra.offline_stores.offline_store import OfflineStore, RetrievalJob
from feast.repo_config import FeastConfigBaseModel, RepoConfig

from lineshaft.errors import InputError
from lineshaft.feast_plugin.parts import PluginParts, parts_of
from lineshaft.feast_plugin.requests import FeastRequest, Part, gather, resolve, view_of
from lineshaft.feast_plugin.retrieval import LineshaftRetrievalJob
from lineshaft.feast_plugin.row_files import history
from lineshaft.feast_plugin.source_rows import all_rows, latest_rows
from lineshaft.feast_plugin.values import microseconds
from lineshaft.ops.training_set import entity_keys, fingerprint
from lineshaft.specs import row_schema
from lineshaft.stores.ports import Found, Wanted

EVENT_COLUMN = "event_timestamp"


class LineshaftOfflineStoreConfig(FeastConfigBaseModel):
    """What `offline_store:` in feature_store.yaml may say."""

    type: Literal["lineshaft.feast_plugin.offline.LineshaftOfflineStore"] = (
        "lineshaft.feast_plugin.offline.LineshaftOfflineStore"
    )
    """The class, as Feast finds it."""
    home: str | None = None
    """Lineshaft's home, relative to the repository; LINESHAFT_HOME wins."""


class LineshaftOfflineStore(OfflineStore):
    """All feature rows with their history."""

    supports_filter_by_created_timestamp = True  # always on: a row is never seen before it was known

    @staticmethod
    def get_historical_features(
        config: RepoConfig,
        feature_views: list[FeatureView],
        feature_refs: list[str],
        entity_df: pd.DataFrame | str | None,
        registry: Any,
        project: str,
        full_feature_names: bool = False,  # noqa: FBT001, FBT002 - Feast's signature
        **kwargs: Any,
    ) -> RetrievalJob:
        """Return, per entity row, what a server could have answered at its time.

        Without entity rows: every row of one view between `start_date` and `end_date`.

        Raises
        ------
        InputError
            If entity rows are SQL, or have no time, or lack a join key.
        """
        if isinstance(entity_df, str):
            raise InputError("entity rows cannot be SQL here", fix="pass a pandas DataFrame")
        asked, demands = _asked(registry, project, feature_refs, feature_views)
        request = resolve(_grouped(feature_views, feature_refs), demands, asked, full_names=full_feature_names)
        parts = parts_of(config)
        if entity_df is None:
            entities, known_us = _entities_between(parts, request, kwargs.get("start_date"), kwargs.get("end_date"))
        else:
            entities, known_us = pa.Table.from_pandas(entity_df, preserve_index=False), None

        def compute() -> pa.Table:
            return _join(parts, request, entities, known_us)

        return LineshaftRetrievalJob(
            compute, full_names=full_feature_names, features=asked, keys=request.key_names(), parts=parts
        )

    @staticmethod
    def pull_latest_from_table_or_query(
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None,
        start_date: datetime,
        end_date: datetime,
    ) -> RetrievalJob:
        """Return the newest row of each entity in [start, end] by (event time, created time)."""
        columns = [*join_key_columns, *feature_name_columns]
        times = (timestamp_field, created_timestamp_column or "")

        def compute() -> pa.Table:
            rows = all_rows(parts_of(config), data_source, columns, times, (start_date, end_date))
            return latest_rows(rows, join_key_columns, [name for name in times if name])

        return LineshaftRetrievalJob(compute, parts=parts_of(config))

    @staticmethod
    def pull_all_from_table_or_query(
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None = None,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
    ) -> RetrievalJob:
        """Return every row in [start, end]."""
        columns = [*join_key_columns, *feature_name_columns]
        times = (timestamp_field, created_timestamp_column or "")

        def compute() -> pa.Table:
            return all_rows(parts_of(config), data_source, columns, times, (start_date, end_date))

        return LineshaftRetrievalJob(compute, parts=parts_of(config))

    @staticmethod
    def offline_write_batch(
        config: RepoConfig, feature_view: FeatureView, table: pa.Table, progress: Callable[[int], Any] | None
    ) -> None:
        """Append rows to the view's history, once: the same rows again change nothing."""
        view = view_of(feature_view)
        source = feature_view.batch_source
        event = source.timestamp_field if source else "event_time"
        created = (source.created_timestamp_column if source else "") or event
        names = {"event_time": event, "known_at": created if created in table.column_names else event}
        schema = row_schema(view)
        missing = [names.get(n, n) for n in schema.names if names.get(n, n) not in table.column_names]
        if missing:
            raise InputError(
                f"the rows lack column {missing[0]!r}", where=f"view {view.name}", fix="send every column of the view"
            )
        columns = [table[names.get(field.name, field.name)].cast(field.type, safe=False) for field in schema]
        rows = pa.Table.from_arrays(columns, schema=schema)
        parts_of(config).offline.write_rows(view, rows, batch=f"feast:{fingerprint(rows)}")
        if progress:
            progress(rows.num_rows)

    def validate_data_source(self, config: RepoConfig, data_source: DataSource) -> None:
        """Accept any source: Lineshaft's own checks look at it, and its file may be written later."""


def _grouped(views: Sequence[Any], refs: Sequence[str]) -> list[tuple[Any, list[str]]]:
    """Return (feature view, features asked of it or read by on-demand views)."""
    names = {view.projection.name_to_use(): view for view in views}
    found: dict[str, list[str]] = {name: [] for name in names}
    for name, _, feature in (ref.partition(":") for ref in refs):
        if name in found:
            found[name].append(feature)
    return [(names[name], features) for name, features in found.items()]


def _asked(registry: Any, project: str, refs: Sequence[str], views: Sequence[Any]) -> tuple[list[str], list[Any]]:
    """Return the references a caller asked for and the on-demand views among them.

    Feast hands over what on-demand views read as further references, after those asked for; all of them are answered.
    """
    known = {view.projection.name_to_use() for view in views}
    demands = {view.name: view for view in registry.list_on_demand_feature_views(project, allow_cache=True)}
    used = dict.fromkeys(ref.partition(":")[0] for ref in refs if ref.partition(":")[0] not in known)
    return list(dict.fromkeys(refs)), [demands[name] for name in used if name in demands]


def _join(parts: PluginParts, request: FeastRequest, entities: pa.Table, known_us: Any = None) -> pa.Table:
    """Return the entity rows with their features beside them, as known at their times unless others are given."""
    at_us = _times(entities)
    found = [_as_of(parts, part, entities, at_us, known_us) for part in request.parts]
    judged = request.answer(found, at_us, entities)
    for column in request.columns:
        entities = entities.append_column(column.outer, judged.columns[column.inner])
    return entities


def _as_of(parts: PluginParts, part: Part, entities: pa.Table, at_us: Any, known_us: Any) -> Found:
    """Return what one view knew of every entity row."""
    mapped = {key: column for key, column in part.key_names.items() if column in entities.column_names}
    keys = entities.select([n for n in entities.column_names if n not in mapped])
    for key, column in mapped.items():
        keys = keys.append_column(key, entities[column])
    wanted = Wanted(view=part.view, features=part.features, keys=entity_keys(part.view, keys))
    return gather(list(history(part.view, parts).as_of(wanted, at_us, known_us=known_us)), part)


def _times(entities: pa.Table) -> Any:
    """Return the moment each entity row asks about."""
    stamps = [f.name for f in entities.schema if pa.types.is_timestamp(f.type)]
    name = EVENT_COLUMN if EVENT_COLUMN in entities.column_names else (stamps[0] if len(stamps) == 1 else "")
    if not name or name not in stamps:
        raise InputError(
            "the entity rows do not say when", fix=f"add a column {EVENT_COLUMN} of timestamps (naive ones are UTC)"
        )
    column = entities[name].cast(pa.timestamp("us", tz="UTC"), safe=False)
    if column.null_count:
        raise InputError(f"{column.null_count} entity rows have no {name}", fix="give every row its time")
    return np.asarray(column.cast(pa.int64()).to_numpy(), dtype=np.int64)


def _entities_between(parts: PluginParts, request: FeastRequest, start: Any, end: Any) -> tuple[pa.Table, Any]:
    """Return keys and time of every row of the request's one view in a time range, and when each row was known.

    A row is asked for at its own time as it was known then, so that it answers for itself, and its corrections too.
    """
    if len(request.parts) != 1:
        raise InputError("a time range alone can be asked of one view at a time", fix="pass entity rows")
    view = request.parts[0].view
    start_us = None if start is None else microseconds(start) - 1
    end_us = None if end is None else microseconds(end)
    rows = history(view, parts).read_rows(view, features=[], start_us=start_us, end_us=end_us)
    table = pa.concat_tables([row_schema(view, []).empty_table(), *rows])
    keys = table.select([name for name, _ in view.entity_keys])
    known_us = np.asarray(table["known_at"].cast(pa.int64()).to_numpy(), dtype=np.int64)
    return keys.append_column(EVENT_COLUMN, table["event_time"]), known_us
