"""The response of an online request: Feast's message for servers, Arrow's exact values for Python."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import pyarrow as pa
from feast.online_response import TIMESTAMP_POSTFIX, OnlineResponse
from feast.protos.feast.serving.ServingService_pb2 import FieldStatus, GetOnlineFeaturesResponse
from feast.protos.feast.types.Value_pb2 import Value

from lineshaft.feast_plugin.requests import FeastRequest
from lineshaft.feast_plugin.values import frame, proto_times, proto_values
from lineshaft.specs import Status
from lineshaft.specs.feast import FIELD_STATUSES
from lineshaft.stores.ports import Found
from lineshaft.tiles.answer import Answer

STATUSES = {status: FieldStatus.Value(word) for status, word in FIELD_STATUSES.items()}
"""Lineshaft's statuses by Feast's."""


class LineshaftOnlineResponse(OnlineResponse):
    """An answer that keeps integers next to nulls and times below a second, which Feast's message cannot carry."""

    def __init__(self, *, request: FeastRequest, keys: pa.Table, answer: Answer, found: Sequence[Found]) -> None:
        times = {part.name: one.rows["event_time"] for part, one in zip(request.parts, found, strict=True)}
        self._keys = keys
        self._columns = {c.outer: answer.columns[c.inner] for c in request.columns}
        self._times = {c.outer: times[c.part] for c in request.columns if c.part}
        super().__init__(_message(request, keys, answer, times))

    @property
    def statuses(self) -> dict[str, list[str]]:
        """Return the status of every value by column, in Feast's words."""
        names = self.proto.metadata.feature_names.val
        return {
            name: [FieldStatus.Name(status) for status in vector.statuses]
            for name, vector in zip(names, self.proto.results, strict=True)
        }

    def to_arrow(self, include_event_timestamps: bool = False) -> pa.Table:  # noqa: FBT001, FBT002
        """Return keys and features with their declared types; event times to the microsecond."""
        table = self._keys
        for name, column in self._columns.items():
            table = table.append_column(name, column)
            if include_event_timestamps and name in self._times:
                table = table.append_column(name + TIMESTAMP_POSTFIX, self._times[name])
        return table

    def to_dict(self, include_event_timestamps: bool = False) -> dict[str, Any]:  # noqa: FBT001, FBT002
        """Return columns as lists; event times in whole seconds, as Feast gives them."""
        held: dict[str, Any] = self.to_arrow().to_pydict()
        if include_event_timestamps:
            for name, vector in zip(self.proto.metadata.feature_names.val, self.proto.results, strict=True):
                held[name + TIMESTAMP_POSTFIX] = [time.seconds for time in vector.event_timestamps]
        return held

    def to_df(self, include_event_timestamps: bool = False) -> pd.DataFrame:  # noqa: FBT001, FBT002
        """Return a frame with the same dtypes as the offline store gives."""
        return frame(self.to_arrow(include_event_timestamps))


def _message(
    request: FeastRequest, keys: pa.Table, answer: Answer, times: dict[str, pa.ChunkedArray]
) -> GetOnlineFeaturesResponse:
    """Return Feast's message: key columns, then features, each with statuses and event times."""
    message = GetOnlineFeaturesResponse()
    message.metadata.feature_names.val.extend([*keys.column_names, *(c.outer for c in request.columns)])
    zeros = proto_times([None] * keys.num_rows)
    for column in keys.columns:
        kind = "string" if pa.types.is_string(column.type) else "int64"
        vector = message.results.add(values=proto_values(column, kind), event_timestamps=zeros)
        vector.statuses.extend([FieldStatus.PRESENT] * keys.num_rows)
    event_times = {name: proto_times(column.cast(pa.int64()).to_pylist()) for name, column in times.items()}
    index = {name: i for i, name in enumerate(answer.columns.column_names)}
    for column in request.columns:
        values: list[Value] = proto_values(answer.columns[column.inner], column.dtype)
        vector = message.results.add(values=values, event_timestamps=event_times.get(column.part, zeros))
        vector.statuses.extend(STATUSES[Status(s)] for s in answer.status[:, index[column.inner]].tolist())
    return message
