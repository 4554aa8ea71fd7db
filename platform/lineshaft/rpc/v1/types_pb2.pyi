from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DataType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DATA_TYPE_UNSPECIFIED: _ClassVar[DataType]
    DATA_TYPE_FLOAT64: _ClassVar[DataType]
    DATA_TYPE_FLOAT32: _ClassVar[DataType]
    DATA_TYPE_INT64: _ClassVar[DataType]
    DATA_TYPE_INT32: _ClassVar[DataType]
    DATA_TYPE_BOOL: _ClassVar[DataType]
    DATA_TYPE_STRING: _ClassVar[DataType]
    DATA_TYPE_BYTES: _ClassVar[DataType]
    DATA_TYPE_TIMESTAMP: _ClassVar[DataType]

class ValueStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VALUE_STATUS_UNSPECIFIED: _ClassVar[ValueStatus]
    VALUE_STATUS_PRESENT: _ClassVar[ValueStatus]
    VALUE_STATUS_NULL: _ClassVar[ValueStatus]
    VALUE_STATUS_NOT_FOUND: _ClassVar[ValueStatus]
    VALUE_STATUS_STALE: _ClassVar[ValueStatus]
    VALUE_STATUS_CORRUPT: _ClassVar[ValueStatus]
    VALUE_STATUS_UNAVAILABLE: _ClassVar[ValueStatus]
    VALUE_STATUS_IMPUTED: _ClassVar[ValueStatus]
DATA_TYPE_UNSPECIFIED: DataType
DATA_TYPE_FLOAT64: DataType
DATA_TYPE_FLOAT32: DataType
DATA_TYPE_INT64: DataType
DATA_TYPE_INT32: DataType
DATA_TYPE_BOOL: DataType
DATA_TYPE_STRING: DataType
DATA_TYPE_BYTES: DataType
DATA_TYPE_TIMESTAMP: DataType
VALUE_STATUS_UNSPECIFIED: ValueStatus
VALUE_STATUS_PRESENT: ValueStatus
VALUE_STATUS_NULL: ValueStatus
VALUE_STATUS_NOT_FOUND: ValueStatus
VALUE_STATUS_STALE: ValueStatus
VALUE_STATUS_CORRUPT: ValueStatus
VALUE_STATUS_UNAVAILABLE: ValueStatus
VALUE_STATUS_IMPUTED: ValueStatus

class Column(_message.Message):
    __slots__ = ("name", "type", "values", "validity", "offsets", "statuses")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    VALIDITY_FIELD_NUMBER: _ClassVar[int]
    OFFSETS_FIELD_NUMBER: _ClassVar[int]
    STATUSES_FIELD_NUMBER: _ClassVar[int]
    name: str
    type: DataType
    values: bytes
    validity: bytes
    offsets: bytes
    statuses: bytes
    def __init__(self, name: _Optional[str] = ..., type: _Optional[_Union[DataType, str]] = ..., values: _Optional[bytes] = ..., validity: _Optional[bytes] = ..., offsets: _Optional[bytes] = ..., statuses: _Optional[bytes] = ...) -> None: ...

class EntityColumn(_message.Message):
    __slots__ = ("name", "strings", "int64s")
    NAME_FIELD_NUMBER: _ClassVar[int]
    STRINGS_FIELD_NUMBER: _ClassVar[int]
    INT64S_FIELD_NUMBER: _ClassVar[int]
    name: str
    strings: StringList
    int64s: Int64List
    def __init__(self, name: _Optional[str] = ..., strings: _Optional[_Union[StringList, _Mapping]] = ..., int64s: _Optional[_Union[Int64List, _Mapping]] = ...) -> None: ...

class StringList(_message.Message):
    __slots__ = ("values",)
    VALUES_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, values: _Optional[_Iterable[str]] = ...) -> None: ...

class Int64List(_message.Message):
    __slots__ = ("values",)
    VALUES_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, values: _Optional[_Iterable[int]] = ...) -> None: ...

class ServedView(_message.Message):
    __slots__ = ("name", "version", "ages_us")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    AGES_US_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: str
    ages_us: bytes
    def __init__(self, name: _Optional[str] = ..., version: _Optional[str] = ..., ages_us: _Optional[bytes] = ...) -> None: ...
