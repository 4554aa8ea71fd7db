"""The document in an artifact, from either spelling; data within bounds, and nothing else."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from lineshaft.boosters import ubjson
from lineshaft.errors import InputError

MAX_JSON_BYTES = 32 << 20
"""JSON grows twentyfold when it is read."""


def read_document(content: bytes, artifact_format: str) -> dict[str, Any]:
    """Return the object that UBJSON or JSON bytes hold.

    Raises
    ------
    InputError
        If they hold no object, or one that no honest writer makes: a key twice, NaN, too deep, too large.
    """
    found = ubjson.decode(content) if artifact_format == "ubj" else _json(content)
    if not isinstance(found, dict):
        fix = f"save the model with save_raw({artifact_format!r})"
        raise InputError(f"these bytes are not {artifact_format} of an object", fix=fix)
    return found


def _json(content: bytes) -> Any:
    if len(content) > MAX_JSON_BYTES:
        raise _not_json(f"{len(content)} bytes, at most {MAX_JSON_BYTES} are read")
    if sum(content.count(mark) for mark in (b",", b"[", b"{")) > ubjson.MAX_VALUES:
        raise _not_json(f"more than {ubjson.MAX_VALUES} values")
    try:
        found = json.loads(content, object_pairs_hook=_once, parse_constant=_no_number, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise _not_json(str(error)) from error
    _refuse_deep(found)
    return found


def _refuse_deep(document: Any) -> None:
    """Refuse nesting beyond what UBJSON is allowed, floor by floor."""
    floor = [document] if isinstance(document, dict | list) else []
    for _ in range(ubjson.MAX_DEPTH + 1):
        inner = [one.values() if isinstance(one, dict) else one for one in floor]
        floor = [value for values in inner for value in values if isinstance(value, dict | list)]
        if not floor:
            return
    raise _not_json(f"nested deeper than {ubjson.MAX_DEPTH}")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands there twice")
    return found


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _no_number(text)


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number of JSON's")


def _not_json(why: str) -> InputError:
    return InputError(f"these bytes are not json: {why}"[:300], fix="save the model with save_raw('json')")
