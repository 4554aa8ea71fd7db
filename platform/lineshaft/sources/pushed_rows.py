"""Rows of features computed elsewhere that a service pushes: columns of plain values, in the view's own types."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from lineshaft.errors import InputError
from lineshaft.sources.pushed import REASONS, TIMES, Columns, plain_number, refused_rows, row_count
from lineshaft.sources.rules import FutureRule
from lineshaft.sources.tabular import utc_us
from lineshaft.specs import View, row_schema

CREATED = ("created", "known_at")
_TRUTH = {"true": True, "false": False}


def pushed_rows(columns: Columns, view: View, *, received_us: int) -> tuple[pa.Table, pa.Table]:
    """Return (rows in the view's row schema, rejects).

    columns: the view's join keys, every feature (None where it is undefined), the event time, and optionally when a row
    was created; one that does not say was known when it was received. Raises `InputError` for columns that are
    missing, unknown or of different lengths.
    """
    event, created = _checked(columns, view)
    names = [name for name, _ in view.entity_keys]
    dtypes = {**dict(view.entity_keys), **{feature.name: feature.dtype for feature in view.features}}
    kept: list[list[Any]] = []
    refused: list[tuple[str, Mapping[str, Any]]] = []
    for place in range(row_count(columns, where=view.name)):
        row = {name: values[place] for name, values in columns.items()}
        try:
            keys = [_key(row[name], dtypes[name]) for name in names]
            times = _times(row, event, created, received_us)
            values = [read_value(row[feature.name], feature.dtype) for feature in view.features]
        except _Refused as refusal:
            refused.append((refusal.reason, row))
        else:
            kept.append([*keys, *times, *values])
    schema = row_schema(view)
    arrays = [_array([row[place] for row in kept], field.type) for place, field in enumerate(schema)]
    return pa.Table.from_arrays(arrays, schema=schema), refused_rows(view.name, refused)


class _Refused(ValueError):  # noqa: N818 - it leaves this module as a row of rejects
    """A row that cannot be taken, with the slug of its reason."""

    def __init__(self, reason: str) -> None:
        super().__init__(REASONS[reason])
        self.reason = reason


def _checked(columns: Columns, view: View) -> tuple[str, str]:
    """Return the columns of the event time and of the created time ("" if none) of columns that fit the view."""
    features = set(view.feature_names)
    events = [name for name in dict.fromkeys((view.source.timestamp_field, *TIMES)) if name in columns]
    made = [name for name in dict.fromkeys((view.source.created_field, *CREATED)) if name in columns]
    wanted = [*(name for name, _ in view.entity_keys), *view.feature_names]
    missing = [name for name in wanted if name not in columns]
    unknown = [name for name in columns if name not in {*wanted, *events, *made}]
    if missing or unknown or len(set(events) - features) != 1 or len(set(made) - features) > 1:
        what = f"columns {', '.join(columns)} are no rows of {view.name}"
        said = [f"missing: {', '.join(missing)}"] * bool(missing) + [f"not known: {', '.join(unknown)}"] * bool(unknown)
        fix = f"give {', '.join(wanted)}, {view.source.timestamp_field}, and created where it is known"
        raise InputError(what, where="; ".join(said), fix=fix)
    return events[0], made[0] if made else ""


def _times(row: Mapping[str, Any], event: str, created: str, received_us: int) -> tuple[int, int]:
    """Return the event time and the time at which the row was known."""
    rule = FutureRule()
    event_us = _moment(row[event])
    known_us = _moment(row[created]) if created and row[created] is not None else received_us
    if event_us < rule.earliest_us:
        raise _Refused("before_history")
    if max(event_us, known_us) > received_us + rule.limit_us:
        raise _Refused("from_the_future")
    return event_us, known_us


def _moment(value: Any) -> int:
    try:
        return utc_us(value)
    except (TypeError, ValueError, OverflowError):
        raise _Refused("bad_time") from None


def _key(value: Any, dtype: str) -> Any:
    if value is None or value == "":
        raise _Refused("bad_key")
    try:
        return read_value(value, dtype)
    except _Refused:
        raise _Refused("bad_key") from None


def read_value(value: Any, dtype: str) -> Any:
    r"""Return a plain value in a dtype of ours: numbers and truth also from text, bytes from base64, moments from ISO.

    >>> read_value("3", "int64"), read_value(2.5, "float32"), read_value("AP8=", "bytes"), read_value(None, "bool")
    (3, 2.5, b'\x00\xff', None)
    """
    if value is None:
        return None
    try:
        return _READERS[dtype](value)
    except (TypeError, ValueError, OverflowError, KeyError, binascii.Error):
        raise _Refused("bad_value") from None


def _whole(bits: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
            raise TypeError(value)
        number = int(value)
        if not -(1 << bits) <= number < 1 << bits:
            raise OverflowError(value)
        return number

    return read


def _truth(value: Any) -> bool:
    return value if isinstance(value, bool) else _TRUTH[_text(value).lower()]


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else base64.b64decode(value, validate=True)


def _instant(value: Any) -> int:
    """Return a moment in ISO form, or in whole seconds as Feast's clients send it."""
    return value * 1_000_000 if type(value) is int else utc_us(value)


_READERS: Mapping[str, Callable[[Any], Any]] = {
    "float64": plain_number,
    "float32": plain_number,
    "int64": _whole(63),
    "int32": _whole(31),
    "bool": _truth,
    "string": _text,
    "bytes": _bytes,
    "timestamp": _instant,
}


def _array(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    return pa.array(values, pa.int64()).cast(kind) if pa.types.is_timestamp(kind) else pa.array(values, kind)
