"""Feast's JSON: what a request asks, and an answer."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from lineshaft.errors import InputError
from lineshaft.serving.answers import refuse_unknown_target
from lineshaft.serving.feast_answers import FeastColumn, stamp
from lineshaft.serving.features import Asked
from lineshaft.serving.http_app import json_object
from lineshaft.tiles.buffers import number_array
from lineshaft.tiles.keys import Column, Keys


def answer_json(columns: Sequence[FeastColumn]) -> dict[str, Any]:
    """Return an answer as Feast's JSON has it."""
    runs = {id(column.times_us): column.times_us for column in columns}  # columns of one view share theirs
    stamps = {run: [stamp(us).ToJsonString() for us in times_us] for run, times_us in runs.items()}
    results = [
        {
            "values": _json_values(column),
            "statuses": list(column.statuses),
            "event_timestamps": stamps[id(column.times_us)],
        }
        for column in columns
    ]
    return {"metadata": {"feature_names": [column.name for column in columns]}, "results": results, "status": True}


def _json_values(column: FeastColumn) -> Sequence[Any]:
    """Return values as JSON has them: bytes in base64, what is no number as the words of protobuf's JSON."""
    if column.field == "bytes_val":
        return [None if value is None else base64.b64encode(value).decode() for value in column.values]
    if column.field in ("double_val", "float_val"):
        return [value if value is None or math.isfinite(value) else _WORDS[str(value)] for value in column.values]
    return column.values


_WORDS = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


def question(body: bytes) -> tuple[Asked, Keys, bool]:
    """Return what a request asks: of what, of whom, and whether by full names."""
    request = json_object(body)
    service, references = request.get("feature_service"), request.get("features") or []
    entities = request.get("entities")
    if not isinstance(entities, dict) or not all(isinstance(column, list) for column in entities.values()):
        raise InputError("entities are no object of lists", fix='send "entities": {"asset_id": ["pump-01"]}')
    if not isinstance(references, list) or not all(isinstance(one, str) for one in references):
        raise InputError("features are no list of texts", fix='send "features": ["view:feature"]')
    if service is not None and not isinstance(service, str):
        raise InputError("feature_service is no text", fix='send "feature_service": "name"')
    given = {name: _column(name, values) for name, values in entities.items()}
    numbers = {name: column for name, column in given.items() if isinstance(column, pa.Array)}
    keys = Keys({name: column for name, column in given.items() if name not in numbers}, numbers)
    return service or tuple(references), keys, bool(request.get("full_feature_names"))


def pushed(body: bytes, named: str) -> tuple[str, dict[str, list[Any]]]:
    """Return what a push is for, which stands under `named`, and its columns."""
    request = json_object(body)
    name, columns = request.get(named), request.get("df")
    if not isinstance(name, str):
        raise InputError(f"{named} is no text", fix=f'send "{named}": "name"')
    if not isinstance(columns, dict) or not all(isinstance(column, list) for column in columns.values()):
        raise InputError("df is no object of lists", fix='send "df": {"asset_id": ["pump-01"], …}')
    refuse_unknown_target(str(request.get("to") or ""))
    return name, columns


def _column(name: str, values: list[Any]) -> Column | pa.Array:
    """Return values as texts or whole numbers, which may be a join key, or as numbers that are none."""
    if all(type(value) is str for value in values):
        return values
    try:
        if all(type(value) is int for value in values):
            return np.array(values, np.int64)
        if all(value is None or type(value) in (int, float) for value in values):
            return number_array(values)
    except OverflowError as error:
        raise InputError(f"entity key {name!r} holds a number beyond 64 bits", fix="send smaller ones") from error
    if None in values:
        raise InputError(f"entity key {name!r} holds nothing in some rows", fix="give every row its key")
    raise InputError(f"entity key {name!r} is neither texts nor whole numbers", fix="send one of them in every row")
