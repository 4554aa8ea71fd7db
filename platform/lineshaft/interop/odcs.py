"""A view as a data contract in the Open Data Contract Standard, version 3.1: what others read who know no Lineshaft.

Written from the declaration and the checks of its suite, so it is as true as these are; nobody edits it by hand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lineshaft.specs import Feature, View

API = "v3.1.0"

_LOGICAL = {
    "string": "string",
    "bytes": "string",
    "bool": "boolean",
    "int64": "integer",
    "int32": "integer",
    "float64": "number",
    "float32": "number",
    "timestamp": "timestamp",
}


def data_contract(view: View, *, checks: Sequence[Mapping[str, Any]] = (), project: str = "") -> dict[str, Any]:
    """Return the contract of a view.

    checks: what its suite says, each with `columns`, `text` and `why`; a check of one column stands at that column, any
    other at the table.
    """
    columns = {name: [one for one in checks if tuple(one["columns"]) == (name,)] for name in _names(view)}
    rest = [one for one in checks if tuple(one["columns"]) not in {(name,) for name in columns}]
    contract: dict[str, Any] = {
        "apiVersion": API,
        "kind": "DataContract",
        "id": f"lineshaft:{project}:{view.name}" if project else f"lineshaft:{view.name}",
        "name": view.name,
        "version": view.version,
        "status": "active",
        "domain": view.team,
        "description": {"purpose": view.description or view.name},
        "schema": [
            {
                "name": view.name,
                "physicalName": view.ref,
                "physicalType": "table",
                "logicalType": "object",
                "dataGranularityDescription": f"a row a {' and '.join(k for k, _ in view.entity_keys)}, tick, version",
                "properties": [
                    *(
                        _key(name, dtype, place, columns)
                        for place, (name, dtype) in enumerate(view.entity_keys, start=1)
                    ),
                    *(_time(name, what, len(view.entity_keys) + n) for n, (name, what) in enumerate(_TIMES, start=1)),
                    *(_feature(feature, columns) for feature in view.features),
                ],
                **_quality(rest),
            }
        ],
        "slaProperties": _promises(view),
        "customProperties": [{"property": name, "value": value} for name, value in _own(view)],
    }
    if view.owner:
        contract["team"] = {"name": view.team, "members": [{"username": view.owner, "role": "owner"}]}
    return contract


_TIMES = (
    ("event_time", "the tick that the row speaks of, UTC"),
    ("known_at", "when the platform could serve this version of the row, UTC"),
)


def _names(view: View) -> list[str]:
    return [*(name for name, _ in view.entity_keys), *(name for name, _ in _TIMES), *view.feature_names]


def _key(name: str, dtype: str, place: int, columns: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
    kinds = {"logicalType": _LOGICAL[dtype], "physicalType": dtype, "required": True}
    return {"name": name, **kinds, "primaryKey": True, "primaryKeyPosition": place, **_quality(columns[name])}


def _time(name: str, what: str, place: int) -> dict[str, Any]:
    kinds = {"logicalType": "timestamp", "physicalType": "timestamp[us, UTC]", "required": True}
    return {"name": name, **kinds, "primaryKey": True, "primaryKeyPosition": place, "description": what}


def _feature(feature: Feature, columns: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": feature.name,
        "logicalType": _LOGICAL[feature.dtype],
        "physicalType": feature.dtype,
        "required": False,
        "description": feature.description or f"{feature.function} of {feature.column}".strip(),
        **_quality(columns[feature.name]),
    }
    if feature.unit:
        found["customProperties"] = [{"property": "unit", "value": feature.unit}]
    return found


def _quality(checks: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return checks as rules that people read; our suites run them, so no engine is promised."""
    rules = [{"type": "text", "description": f"{one['text']}: {one['why']}".rstrip(": ")} for one in checks]
    return {"quality": rules} if rules else {}


def _promises(view: View) -> list[dict[str, Any]]:
    """Return how often rows come, how late they are known, and after what they are stale."""
    seconds = [("frequency", view.tile_us), ("latency", view.grace_us), ("timeToLive", view.ttl_us)]
    return [
        {"property": name, "value": us / 1e6, "unit": "s", "element": f"{view.name}.event_time"}
        for name, us in seconds
        if us
    ]


def _own(view: View) -> list[tuple[str, Any]]:
    channels = ", ".join(f"{c} [{u}]" for c, u in zip(view.source.channels, view.source.units, strict=True))
    return [("source", view.source.name), ("channels", channels), ("online", view.online)]
