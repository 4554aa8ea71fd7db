"""Feast's words for our types and statuses, without Feast: its clients meet the same ones on the wire and in Python."""

from __future__ import annotations

from collections.abc import Mapping

from lineshaft.specs.rows import Status

VALUE_FIELDS: Mapping[str, str] = {
    "float64": "double_val",
    "float32": "float_val",
    "int64": "int64_val",
    "int32": "int32_val",
    "bool": "bool_val",
    "string": "string_val",
    "bytes": "bytes_val",
    "timestamp": "unix_timestamp_val",
}
"""The field of Feast's message `Value` that holds a value of each of our types."""

FIELD_STATUSES: Mapping[Status, str] = {
    Status.PRESENT: "PRESENT",
    Status.NULL: "NULL_VALUE",
    Status.NOT_FOUND: "NOT_FOUND",
    Status.STALE: "OUTSIDE_MAX_AGE",
    Status.CORRUPT: "INVALID",
    Status.UNAVAILABLE: "INVALID",
    Status.IMPUTED: "INVALID",  # with a value: nothing that was measured, which PRESENT would claim
}
"""Our statuses by the names of Feast's `FieldStatus`. It has one word for what is damaged and what cannot be asked."""
