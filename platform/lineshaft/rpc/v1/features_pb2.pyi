from lineshaft.rpc.v1 import types_pb2 as _types_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Encoding(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ENCODING_UNSPECIFIED: _ClassVar[Encoding]
    ENCODING_COLUMNS: _ClassVar[Encoding]
    ENCODING_ARROW: _ClassVar[Encoding]
    ENCODING_BLOCKS: _ClassVar[Encoding]
ENCODING_UNSPECIFIED: Encoding
ENCODING_COLUMNS: Encoding
ENCODING_ARROW: Encoding
ENCODING_BLOCKS: Encoding

class GetFeaturesRequest(_message.Message):
    __slots__ = ("feature_service", "entities", "at_us", "encoding", "request_data")
    FEATURE_SERVICE_FIELD_NUMBER: _ClassVar[int]
    ENTITIES_FIELD_NUMBER: _ClassVar[int]
    AT_US_FIELD_NUMBER: _ClassVar[int]
    ENCODING_FIELD_NUMBER: _ClassVar[int]
    REQUEST_DATA_FIELD_NUMBER: _ClassVar[int]
    feature_service: str
    entities: _containers.RepeatedCompositeFieldContainer[_types_pb2.EntityColumn]
    at_us: int
    encoding: Encoding
    request_data: _containers.RepeatedCompositeFieldContainer[_types_pb2.Column]
    def __init__(self, feature_service: _Optional[str] = ..., entities: _Optional[_Iterable[_Union[_types_pb2.EntityColumn, _Mapping]]] = ..., at_us: _Optional[int] = ..., encoding: _Optional[_Union[Encoding, str]] = ..., request_data: _Optional[_Iterable[_Union[_types_pb2.Column, _Mapping]]] = ...) -> None: ...

class GetFeaturesResponse(_message.Message):
    __slots__ = ("rows", "columns", "views", "served_at_us", "degraded", "batch", "statuses", "blocks", "names", "value_statuses")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    VIEWS_FIELD_NUMBER: _ClassVar[int]
    SERVED_AT_US_FIELD_NUMBER: _ClassVar[int]
    DEGRADED_FIELD_NUMBER: _ClassVar[int]
    BATCH_FIELD_NUMBER: _ClassVar[int]
    STATUSES_FIELD_NUMBER: _ClassVar[int]
    BLOCKS_FIELD_NUMBER: _ClassVar[int]
    NAMES_FIELD_NUMBER: _ClassVar[int]
    VALUE_STATUSES_FIELD_NUMBER: _ClassVar[int]
    rows: int
    columns: _containers.RepeatedCompositeFieldContainer[_types_pb2.Column]
    views: _containers.RepeatedCompositeFieldContainer[_types_pb2.ServedView]
    served_at_us: int
    degraded: bool
    batch: bytes
    statuses: _containers.RepeatedCompositeFieldContainer[ColumnStatuses]
    blocks: _containers.RepeatedCompositeFieldContainer[Block]
    names: _containers.RepeatedScalarFieldContainer[str]
    value_statuses: bytes
    def __init__(self, rows: _Optional[int] = ..., columns: _Optional[_Iterable[_Union[_types_pb2.Column, _Mapping]]] = ..., views: _Optional[_Iterable[_Union[_types_pb2.ServedView, _Mapping]]] = ..., served_at_us: _Optional[int] = ..., degraded: bool = ..., batch: _Optional[bytes] = ..., statuses: _Optional[_Iterable[_Union[ColumnStatuses, _Mapping]]] = ..., blocks: _Optional[_Iterable[_Union[Block, _Mapping]]] = ..., names: _Optional[_Iterable[str]] = ..., value_statuses: _Optional[bytes] = ...) -> None: ...

class StreamFeaturesRequest(_message.Message):
    __slots__ = ("number", "request", "budget_us", "also")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    BUDGET_US_FIELD_NUMBER: _ClassVar[int]
    ALSO_FIELD_NUMBER: _ClassVar[int]
    number: int
    request: GetFeaturesRequest
    budget_us: int
    also: _containers.RepeatedCompositeFieldContainer[StreamFeaturesRequest]
    def __init__(self, number: _Optional[int] = ..., request: _Optional[_Union[GetFeaturesRequest, _Mapping]] = ..., budget_us: _Optional[int] = ..., also: _Optional[_Iterable[_Union[StreamFeaturesRequest, _Mapping]]] = ...) -> None: ...

class StreamFeaturesResponse(_message.Message):
    __slots__ = ("number", "response", "refusal", "also")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    ALSO_FIELD_NUMBER: _ClassVar[int]
    number: int
    response: GetFeaturesResponse
    refusal: Refusal
    also: _containers.RepeatedCompositeFieldContainer[StreamFeaturesResponse]
    def __init__(self, number: _Optional[int] = ..., response: _Optional[_Union[GetFeaturesResponse, _Mapping]] = ..., refusal: _Optional[_Union[Refusal, _Mapping]] = ..., also: _Optional[_Iterable[_Union[StreamFeaturesResponse, _Mapping]]] = ...) -> None: ...

class WatchFeaturesRequest(_message.Message):
    __slots__ = ("request", "min_interval_us", "heartbeat_us")
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    MIN_INTERVAL_US_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_US_FIELD_NUMBER: _ClassVar[int]
    request: GetFeaturesRequest
    min_interval_us: int
    heartbeat_us: int
    def __init__(self, request: _Optional[_Union[GetFeaturesRequest, _Mapping]] = ..., min_interval_us: _Optional[int] = ..., heartbeat_us: _Optional[int] = ...) -> None: ...

class WatchFeaturesResponse(_message.Message):
    __slots__ = ("response",)
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    response: GetFeaturesResponse
    def __init__(self, response: _Optional[_Union[GetFeaturesResponse, _Mapping]] = ...) -> None: ...

class Refusal(_message.Message):
    __slots__ = ("code", "what", "where", "fix")
    CODE_FIELD_NUMBER: _ClassVar[int]
    WHAT_FIELD_NUMBER: _ClassVar[int]
    WHERE_FIELD_NUMBER: _ClassVar[int]
    FIX_FIELD_NUMBER: _ClassVar[int]
    code: str
    what: str
    where: str
    fix: str
    def __init__(self, code: _Optional[str] = ..., what: _Optional[str] = ..., where: _Optional[str] = ..., fix: _Optional[str] = ...) -> None: ...

class Block(_message.Message):
    __slots__ = ("type", "places", "values", "validity")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    PLACES_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    VALIDITY_FIELD_NUMBER: _ClassVar[int]
    type: _types_pb2.DataType
    places: _containers.RepeatedScalarFieldContainer[int]
    values: bytes
    validity: bytes
    def __init__(self, type: _Optional[_Union[_types_pb2.DataType, str]] = ..., places: _Optional[_Iterable[int]] = ..., values: _Optional[bytes] = ..., validity: _Optional[bytes] = ...) -> None: ...

class GetTrainingSetRequest(_message.Message):
    __slots__ = ("feature_service", "entities", "table_versions")
    class TableVersionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    FEATURE_SERVICE_FIELD_NUMBER: _ClassVar[int]
    ENTITIES_FIELD_NUMBER: _ClassVar[int]
    TABLE_VERSIONS_FIELD_NUMBER: _ClassVar[int]
    feature_service: str
    entities: bytes
    table_versions: _containers.ScalarMap[str, int]
    def __init__(self, feature_service: _Optional[str] = ..., entities: _Optional[bytes] = ..., table_versions: _Optional[_Mapping[str, int]] = ...) -> None: ...

class GetTrainingSetResponse(_message.Message):
    __slots__ = ("batch", "statuses", "views", "columns")
    BATCH_FIELD_NUMBER: _ClassVar[int]
    STATUSES_FIELD_NUMBER: _ClassVar[int]
    VIEWS_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    batch: bytes
    statuses: _containers.RepeatedCompositeFieldContainer[ColumnStatuses]
    views: _containers.RepeatedCompositeFieldContainer[_types_pb2.ServedView]
    columns: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, batch: _Optional[bytes] = ..., statuses: _Optional[_Iterable[_Union[ColumnStatuses, _Mapping]]] = ..., views: _Optional[_Iterable[_Union[_types_pb2.ServedView, _Mapping]]] = ..., columns: _Optional[_Iterable[str]] = ...) -> None: ...

class ColumnStatuses(_message.Message):
    __slots__ = ("name", "statuses")
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATUSES_FIELD_NUMBER: _ClassVar[int]
    name: str
    statuses: bytes
    def __init__(self, name: _Optional[str] = ..., statuses: _Optional[bytes] = ...) -> None: ...

class ListFeatureServicesRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListFeatureServicesResponse(_message.Message):
    __slots__ = ("feature_services", "next_page_token")
    FEATURE_SERVICES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    feature_services: _containers.RepeatedCompositeFieldContainer[FeatureServiceSummary]
    next_page_token: str
    def __init__(self, feature_services: _Optional[_Iterable[_Union[FeatureServiceSummary, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class FeatureServiceSummary(_message.Message):
    __slots__ = ("name", "team", "owner", "description", "join_keys", "columns", "view_versions", "request_fields")
    class ViewVersionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    TEAM_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    JOIN_KEYS_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    VIEW_VERSIONS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELDS_FIELD_NUMBER: _ClassVar[int]
    name: str
    team: str
    owner: str
    description: str
    join_keys: _containers.RepeatedCompositeFieldContainer[JoinKey]
    columns: _containers.RepeatedScalarFieldContainer[str]
    view_versions: _containers.ScalarMap[str, str]
    request_fields: _containers.RepeatedCompositeFieldContainer[RequestField]
    def __init__(self, name: _Optional[str] = ..., team: _Optional[str] = ..., owner: _Optional[str] = ..., description: _Optional[str] = ..., join_keys: _Optional[_Iterable[_Union[JoinKey, _Mapping]]] = ..., columns: _Optional[_Iterable[str]] = ..., view_versions: _Optional[_Mapping[str, str]] = ..., request_fields: _Optional[_Iterable[_Union[RequestField, _Mapping]]] = ...) -> None: ...

class RequestField(_message.Message):
    __slots__ = ("name", "type")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    name: str
    type: _types_pb2.DataType
    def __init__(self, name: _Optional[str] = ..., type: _Optional[_Union[_types_pb2.DataType, str]] = ...) -> None: ...

class JoinKey(_message.Message):
    __slots__ = ("name", "type")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    name: str
    type: _types_pb2.DataType
    def __init__(self, name: _Optional[str] = ..., type: _Optional[_Union[_types_pb2.DataType, str]] = ...) -> None: ...
