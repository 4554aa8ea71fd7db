from lineshaft.rpc.v1 import types_pb2 as _types_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PredictRequest(_message.Message):
    __slots__ = ("model", "entities", "at_us", "contributions", "request_data")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    ENTITIES_FIELD_NUMBER: _ClassVar[int]
    AT_US_FIELD_NUMBER: _ClassVar[int]
    CONTRIBUTIONS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_DATA_FIELD_NUMBER: _ClassVar[int]
    model: str
    entities: _containers.RepeatedCompositeFieldContainer[_types_pb2.EntityColumn]
    at_us: int
    contributions: int
    request_data: _containers.RepeatedCompositeFieldContainer[_types_pb2.Column]
    def __init__(self, model: _Optional[str] = ..., entities: _Optional[_Iterable[_Union[_types_pb2.EntityColumn, _Mapping]]] = ..., at_us: _Optional[int] = ..., contributions: _Optional[int] = ..., request_data: _Optional[_Iterable[_Union[_types_pb2.Column, _Mapping]]] = ...) -> None: ...

class PredictResponse(_message.Message):
    __slots__ = ("model", "model_version", "predictions", "views", "served_at_us", "degraded", "stands_in_for")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    PREDICTIONS_FIELD_NUMBER: _ClassVar[int]
    VIEWS_FIELD_NUMBER: _ClassVar[int]
    SERVED_AT_US_FIELD_NUMBER: _ClassVar[int]
    DEGRADED_FIELD_NUMBER: _ClassVar[int]
    STANDS_IN_FOR_FIELD_NUMBER: _ClassVar[int]
    model: str
    model_version: str
    predictions: _containers.RepeatedCompositeFieldContainer[Prediction]
    views: _containers.RepeatedCompositeFieldContainer[_types_pb2.ServedView]
    served_at_us: int
    degraded: bool
    stands_in_for: str
    def __init__(self, model: _Optional[str] = ..., model_version: _Optional[str] = ..., predictions: _Optional[_Iterable[_Union[Prediction, _Mapping]]] = ..., views: _Optional[_Iterable[_Union[_types_pb2.ServedView, _Mapping]]] = ..., served_at_us: _Optional[int] = ..., degraded: bool = ..., stands_in_for: _Optional[str] = ...) -> None: ...

class Prediction(_message.Message):
    __slots__ = ("score", "status", "base", "contributions", "interval", "model_version")
    SCORE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    BASE_FIELD_NUMBER: _ClassVar[int]
    CONTRIBUTIONS_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    score: float
    status: _types_pb2.ValueStatus
    base: float
    contributions: _containers.RepeatedCompositeFieldContainer[Contribution]
    interval: Interval
    model_version: str
    def __init__(self, score: _Optional[float] = ..., status: _Optional[_Union[_types_pb2.ValueStatus, str]] = ..., base: _Optional[float] = ..., contributions: _Optional[_Iterable[_Union[Contribution, _Mapping]]] = ..., interval: _Optional[_Union[Interval, _Mapping]] = ..., model_version: _Optional[str] = ...) -> None: ...

class Interval(_message.Message):
    __slots__ = ("low", "high", "coverage")
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    COVERAGE_FIELD_NUMBER: _ClassVar[int]
    low: float
    high: float
    coverage: float
    def __init__(self, low: _Optional[float] = ..., high: _Optional[float] = ..., coverage: _Optional[float] = ...) -> None: ...

class Contribution(_message.Message):
    __slots__ = ("feature", "value", "contribution")
    FEATURE_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    CONTRIBUTION_FIELD_NUMBER: _ClassVar[int]
    feature: str
    value: float
    contribution: float
    def __init__(self, feature: _Optional[str] = ..., value: _Optional[float] = ..., contribution: _Optional[float] = ...) -> None: ...
