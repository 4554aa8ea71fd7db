"""Feast's gRPC services on our own port: the messages are Feast's, the answers are those of every other contract."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import grpc
import numpy as np
import pyarrow as pa

from lineshaft import __version__
from lineshaft.access.guard import Caller
from lineshaft.errors import InputError
from lineshaft.ops.pushes import Pushes
from lineshaft.ops.row_pushes import RowPushes
from lineshaft.rpc.feast.v1 import serving_pb2
from lineshaft.serving.answers import Answers, budget_s, refuse_unknown_target
from lineshaft.serving.feast_answers import FeastColumn, feast_columns, stamp
from lineshaft.serving.features import Asked, Served
from lineshaft.tiles.buffers import number_array
from lineshaft.tiles.keys import Column, Keys, array_of

DEGRADED_KEY = "lineshaft-degraded"
"""Trailing metadata of an answer made of rows known earlier: Feast's message has no place for it."""

_WHOLE = {"int64_val", "int32_val"}
_NUMBERS = {*_WHOLE, "double_val", "float_val"}
_NOTHING = {None, "null_val"}
_STATUSES: Mapping[str, int] = dict(serving_pb2.FieldStatus.items())


class FeastServicer:
    """The methods of Feast's `ServingService` and `GrpcFeatureServer`."""

    def __init__(
        self,
        *,
        answers: Answers,
        caller: Callable[[], Caller],
        pushes: Pushes | None = None,
        row_pushes: RowPushes | None = None,
    ) -> None:
        self._caller = caller
        self._answers = answers
        self._pushes = pushes
        self._row_pushes = row_pushes

    async def GetFeastServingInfo(self, request: Any, context: Any) -> Any:  # noqa: N802 - named by Feast
        """Say who answers."""
        return serving_pb2.GetFeastServingInfoResponse(version=f"lineshaft {__version__}")

    async def GetOnlineFeatures(self, request: Any, context: Any) -> Any:  # noqa: N802 - named by Feast
        """Return the newest values of a feature service, or of features referred to, for many entities."""
        asked, entities = _asked(request), entities_of(request)

        def convert(served: Served) -> serving_pb2.GetOnlineFeaturesResponse:
            if served.degraded:
                context.set_trailing_metadata(((DEGRADED_KEY, "true"),))
            columns = feast_columns(served, asked, entities, full_names=request.full_feature_names)
            views = served.answer.age_us if request.include_feature_view_version_metadata else ()
            return _message(columns, views)

        limit_s = budget_s(self._answers.timeout_s, context.time_remaining())
        return await self._answers.of(asked, entities, convert, limit_s=limit_s, caller=self._caller())

    async def Push(self, request: Any, context: Any) -> Any:  # noqa: N802 - named by Feast
        """Take one reading in."""
        refuse_unknown_target(request.to)
        await self._answers.take(self._pushes, request.stream_feature_view, _row(request), caller=self._caller())
        return serving_pb2.PushResponse(status=True)

    async def WriteToOnlineStore(self, request: Any, context: Any) -> Any:  # noqa: N802 - named by Feast
        """Take one row of features in that were computed elsewhere."""
        await self._answers.take(self._row_pushes, request.feature_view_name, _row(request), caller=self._caller())
        return serving_pb2.WriteToOnlineStoreResponse(status=True)


def services_of(servicer: FeastServicer) -> dict[str, Any]:
    """Return gRPC's handlers of Feast's services, by the full names that Feast's clients call."""
    online = _unary(servicer.GetOnlineFeatures, serving_pb2.GetOnlineFeaturesRequest)
    methods: dict[str, dict[str, Any]] = {
        "feast.serving.ServingService": {
            "GetFeastServingInfo": _unary(servicer.GetFeastServingInfo, serving_pb2.GetFeastServingInfoRequest),
            "GetOnlineFeatures": online,
        },
        "GrpcFeatureServer": {
            "GetOnlineFeatures": online,
            "Push": _unary(servicer.Push, serving_pb2.PushRequest),
            "WriteToOnlineStore": _unary(servicer.WriteToOnlineStore, serving_pb2.WriteToOnlineStoreRequest),
        },
    }
    return {name: grpc.method_handlers_generic_handler(name, own) for name, own in methods.items()}


def entities_of(request: Any) -> Keys:
    """Return the entities of a request; data of the request itself stands in its context, or among them."""
    columns: dict[str, Column] = {}
    numbers: dict[str, pa.Array] = {}
    for name, values in request.entities.items():
        column = _column(name, values.val)
        if isinstance(column, pa.Array):
            numbers[name] = column
        else:
            columns[name] = column
    for name, values in request.request_context.items():
        if name in numbers:
            raise InputError(f"{name!r} is given twice, as a key and as data", fix="send each column once")
        numbers[name] = array_of(_column(name, values.val))
    return Keys(columns, numbers)


def _column(name: str, values: Sequence[Any]) -> Column | pa.Array:
    """Return values as texts or whole numbers, which may be a join key, or as numbers that are none."""
    kinds = {value.WhichOneof("val") for value in values}
    if kinds <= {"string_val"}:
        return [value.string_val for value in values]
    if kinds <= _WHOLE:
        return np.array([getattr(value, value.WhichOneof("val")) for value in values], np.int64)
    if kinds <= _NUMBERS | _NOTHING:
        held = [(value, value.WhichOneof("val")) for value in values]
        return number_array([None if kind in _NOTHING else getattr(value, kind) for value, kind in held])
    if kinds & _NOTHING:
        raise InputError(f"entity key {name!r} holds nothing in some rows", fix="give every row its key")
    listed = ", ".join(sorted(kinds))
    raise InputError(f"entity key {name!r} is given as {listed}", fix="send string_val, or int64_val, in every row")


def _asked(request: Any) -> Asked:
    if request.WhichOneof("kind") == "feature_service":
        return str(request.feature_service)
    return tuple(request.features.val)


def _row(request: Any) -> dict[str, list[Any]]:
    """Return the one row of a push, by column."""
    if request.features and request.typed_features:
        raise InputError("both features and typed_features are set", fix="set one of them")
    if request.features:
        return {name: [text] for name, text in request.features.items()}
    return {name: [_plain(value)] for name, value in request.typed_features.items()}


def _plain(value: Any) -> Any:
    kind = value.WhichOneof("val")
    if kind is None or kind == "null_val":
        return None
    held = getattr(value, kind)
    return stamp(held * 1_000_000).ToJsonString() if kind == "unix_timestamp_val" else held


def _message(columns: Sequence[FeastColumn], views: Iterable[str]) -> serving_pb2.GetOnlineFeaturesResponse:
    reply = serving_pb2.GetOnlineFeaturesResponse(status=True)
    reply.metadata.feature_names.val.extend([column.name for column in columns])
    for view in views:
        reply.metadata.feature_view_metadata.add(name=view)
    runs = {id(column.times_us): column.times_us for column in columns}  # columns of one view share theirs
    stamps = {run: [stamp(us) for us in times_us] for run, times_us in runs.items()}
    for column in columns:
        field = column.field
        reply.results.add(
            values=[serving_pb2.Value() if v is None else serving_pb2.Value(**{field: v}) for v in column.values],
            statuses=[_STATUSES[word] for word in column.statuses],
            event_timestamps=stamps[id(column.times_us)],
        )
    return reply


def _unary(behaviour: Any, request: Any) -> Any:
    return grpc.unary_unary_rpc_method_handler(behaviour, request.FromString, lambda reply: reply.SerializeToString())
