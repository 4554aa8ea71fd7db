"""A Feast provider that hands pushed frames to the online store as columns.

Feast turns them into messages first, which cut timestamps to seconds and round integers next to a null.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pandas as pd
import pyarrow as pa
from feast.infra.passthrough_provider import PassthroughProvider

from lineshaft.feast_plugin.parts import parts_of
from lineshaft.feast_plugin.requests import view_of
from lineshaft.specs import row_schema


class LineshaftProvider(PassthroughProvider):
    """Feast's own provider, but for how frames reach the online store."""

    def ingest_df(self, feature_view: Any, df: pd.DataFrame, field_mapping: dict[str, str] | None = None) -> None:
        """Write a frame of rows (join keys, event time, features) online; missing features are null."""
        view = view_of(feature_view)
        source = feature_view.batch_source
        event = source.timestamp_field if source else "event_time"
        created = (source.created_timestamp_column if source else "") or event
        table = pa.Table.from_pandas(df, preserve_index=False)
        names = {"event_time": event, "known_at": created if created in table.column_names else event}
        columns = []
        for field in row_schema(view):
            name = names.get(field.name, field.name)
            here = name in table.column_names
            columns.append(table[name].cast(field.type, safe=False) if here else pa.nulls(len(table), field.type))
        parts_of(self.repo_config).online(view).write(view, pa.Table.from_arrays(columns, schema=row_schema(view)))

    async def ingest_df_async(
        self, feature_view: Any, df: pd.DataFrame, field_mapping: dict[str, str] | None = None
    ) -> None:
        """Write as `ingest_df` does, without holding the event loop."""
        await asyncio.to_thread(self.ingest_df, feature_view, df, field_mapping)
