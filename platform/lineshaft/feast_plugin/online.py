"""Feast's OnlineStore on Lineshaft's: one round trip per request, and the statuses Feast's own client never gave.

A row older than its view's ttl is OUTSIDE_MAX_AGE with its value withheld, an entity nobody wrote is NOT_FOUND, a null
is NULL_VALUE, a damaged row is INVALID: the same judgement as offline, by the same code.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from feast import Entity, FeatureView, utils
from feast.infra.online_stores.online_store import OnlineStore
from feast.infra.supported_async_methods import SupportedAsyncMethods
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import RepeatedValue, Value
from feast.repo_config import FeastConfigBaseModel, RepoConfig

from lineshaft.clock import Clock, SystemClock
from lineshaft.feast_plugin.applying import apply_repository
from lineshaft.feast_plugin.parts import parts_of
from lineshaft.feast_plugin.requests import resolve, view_of
from lineshaft.feast_plugin.response import LineshaftOnlineResponse
from lineshaft.feast_plugin.values import key_columns, key_table, proto_values, python_value, row_table
from lineshaft.specs import Status
from lineshaft.stores.ports import Wanted
from lineshaft.tiles.answer import answer_view


class LineshaftOnlineStoreConfig(FeastConfigBaseModel):
    """What `online_store:` in feature_store.yaml may say."""

    type: Literal["lineshaft.feast_plugin.online.LineshaftOnlineStore"] = (
        "lineshaft.feast_plugin.online.LineshaftOnlineStore"
    )
    """The class, as Feast finds it."""
    home: str | None = None
    """Lineshaft's home, relative to the repository; LINESHAFT_HOME wins."""
    redis_url: str | None = None
    """A Redis server; unset starts an embedded one. LINESHAFT_REDIS_URL wins."""


class LineshaftOnlineStore(OnlineStore):
    """The newest row of each entity, from Lineshaft's packed rows."""

    clock: Clock = SystemClock()

    @property
    def async_supported(self) -> SupportedAsyncMethods:
        """Return that reads and writes may be awaited."""
        return SupportedAsyncMethods(read=True, write=True)

    def online_write_batch(
        self,
        config: RepoConfig,
        table: FeatureView,
        data: list[tuple[EntityKey, dict[str, Value], datetime, datetime | None]],
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Keep each row that is newer by (event time, created time) than the stored one."""
        view = view_of(table)
        if data:
            parts_of(config).online(view).write(view, row_table(view, data))
        if progress:
            progress(len(data))

    def online_read(
        self,
        config: RepoConfig,
        table: FeatureView,
        entity_keys: list[EntityKey],
        requested_features: list[str] | None = None,
    ) -> list[tuple[datetime | None, dict[str, Value] | None]]:
        """Return (event time, values) per key; no values where the row is stale, (None, None) where there is none."""
        view = view_of(table)
        features = tuple(requested_features or view.feature_names)
        wanted = Wanted(view=view, features=features, keys=key_table(view, entity_keys))
        (found,) = parts_of(config).online(view).read([wanted])
        at_us = np.full(len(entity_keys), self.clock.now_us())
        judged = answer_view(view, features, found.sheet, found.status, at_us)
        dtypes = {feature.name: feature.dtype for feature in view.features}
        columns = {name: proto_values(judged.columns[name], dtypes[name]) for name in features}
        times = found.rows["event_time"].to_pylist()
        usable = (found.status == Status.PRESENT) & ~(judged.status == Status.STALE).any(axis=1)
        return [
            (times[i], {name: columns[name][i] for name in features} if usable[i] else None)
            for i in range(len(entity_keys))
        ]

    def get_online_features(
        self,
        config: RepoConfig,
        features: Any,
        entity_rows: Any,
        registry: Any,
        project: str,
        full_feature_names: bool = False,  # noqa: FBT001, FBT002 - Feast's signature
        include_feature_view_version_metadata: bool = False,  # noqa: FBT001, FBT002
    ) -> LineshaftOnlineResponse:
        """Answer a whole request in one round trip, on-demand features included.

        Raises
        ------
        InputError
            If a join key is missing, null or of the wrong type.
        UnavailableError
            If the online server does not answer within LINESHAFT_REDIS_TIMEOUT_S.
        """
        context = utils._get_cached_request_context(registry, project, features, full_feature_names)  # noqa: SLF001
        refs, demands, _, _, _, grouped, *_ = context
        request = resolve(grouped, demands, refs, full_names=full_feature_names)
        columns = _columns(entity_rows, request.key_names())
        wanted = [part.wanted(columns, key_columns) for part in request.parts]
        parts = parts_of(config)
        for part in request.parts:
            store = parts.online(part.view)
        found = store.read(wanted) if wanted else []
        rows = len(next(iter(columns.values()), ()))
        given = pa.table({name: columns[name] for name in request.request_fields() if name in columns})
        judged = request.answer(found, np.full(rows, self.clock.now_us()), given)
        keys = pa.table({name: pa.array(list(columns[name])) for name in request.key_names()})
        return LineshaftOnlineResponse(request=request, keys=keys, answer=judged, found=found)

    async def get_online_features_async(self, *arguments: Any, **named: Any) -> LineshaftOnlineResponse:
        """Answer as `get_online_features` does, without holding the event loop."""
        return await asyncio.to_thread(self.get_online_features, *arguments, **named)

    async def online_read_async(self, *arguments: Any, **named: Any) -> Any:
        """Read as `online_read` does, without holding the event loop."""
        return await asyncio.to_thread(self.online_read, *arguments, **named)

    async def online_write_batch_async(self, *arguments: Any, **named: Any) -> None:
        """Write as `online_write_batch` does, without holding the event loop."""
        await asyncio.to_thread(self.online_write_batch, *arguments, **named)

    def update(
        self,
        config: RepoConfig,
        tables_to_delete: Sequence[FeatureView],
        tables_to_keep: Sequence[FeatureView],
        entities_to_delete: Sequence[Entity],
        entities_to_keep: Sequence[Entity],
        partial: bool,  # noqa: FBT001 - Feast's signature
    ) -> None:
        """Check and apply the repository to Lineshaft's catalogue; Feast's registry is written only if that works.

        Rows of removed views stay until no model pins them. A partial apply (objects from a notebook) is only checked.
        """
        if not partial:
            apply_repository(config)

    def teardown(self, config: RepoConfig, tables: Sequence[FeatureView], entities: Sequence[Entity]) -> None:
        """Forget the online rows of these views in this project, and of no other."""
        for table in tables:
            view = view_of(table)
            parts_of(config).online(view).clear(view)

    def _is_versioned_read_supported(self) -> bool:
        """Say yes: every version of a view has its own rows."""
        return True


def _columns(entity_rows: Any, keys: Sequence[str]) -> dict[str, list[Any]]:
    """Return a request's entity rows by column, whichever way they were given. No rows is a request for no rows."""
    if isinstance(entity_rows, Mapping):
        columns = {str(name): _plain(values) for name, values in entity_rows.items()}
        return columns or {name: [] for name in keys}
    if not entity_rows:
        return {name: [] for name in keys}
    return {name: [row.get(name) for row in entity_rows] for name in entity_rows[0]}


def _plain(values: Any) -> list[Any]:
    """Return plain values of a column that may hold protobuf values."""
    listed = values.val if isinstance(values, RepeatedValue) else values
    return [python_value(value) if isinstance(value, Value) else value for value in listed]
