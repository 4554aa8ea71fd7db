"""Pages of what teams declare: views, services and features, with owners, versions, freshness and consumers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from lineshaft.errors import DefinitionError, LineshaftError, NotFoundError
from lineshaft.ops.lineage import pinning
from lineshaft.specs import Feature, Service, View
from lineshaft.tiles import catalogue as functions
from lineshaft_governance.web.extents import Extent
from lineshaft_governance.web.parts import Asked, Page, WebParts
from lineshaft_governance.web.pieces import piece
from lineshaft_governance.web.profiles import Profile, histogram, profile

Lines = list[dict[str, Any]]


def views(parts: WebParts, asked: Asked) -> Page:
    """List the views: whose they are, how fresh and how large."""
    lines, as_of = view_lines(parts)
    shown, about = piece(lines, asked, text=lambda line: f"{line['name']} {line['owner']} {line['team']}")
    return {"title": "Feature views", "views": shown, "table": shown, "search": about, "as_of": as_of}


def view_lines(parts: WebParts) -> tuple[Lines, dict[str, int | None]]:
    """Return every view as lists show it, and how old what is said of their rows is."""
    look = parts.extents()
    extents = look.value or {}
    lines = [view_line(parts, view, extents.get(view.ref)) for view in parts.catalog.views()]
    newest = max((line["newest_us"] for line in lines if line["newest_us"] is not None), default=None)
    return lines, {"newest feature row": newest, "rows counted": look.at_us}


def view(parts: WebParts, asked: Asked, name: str) -> Page:
    """Show one view: its features with what they hold, who reads it, and its last checkpoints."""
    spec = parts.catalog.view(name)
    look = parts.extents()
    line = view_line(parts, spec, (look.value or {}).get(spec.ref))
    held = _profile(parts, asked, spec, line["newest_us"], patient=True)
    consumers = [service.name for service in parts.catalog.services() if name in {used.view for used in service.views}]
    features = [_feature_line(spec, feature, held) for feature in spec.features]
    return {
        "title": spec.name,
        "view": line,
        "source": {
            "name": spec.source.name,
            "channels": list(zip(spec.source.channels, spec.source.units, strict=True)),
        },
        "features": features,
        "services": consumers,
        "models": readers(parts, name),
        "checkpoints": parts.results.newest("checkpoints", name, count=20),
        "online": _online(parts, spec),
        "values": _told(held, asked, spec),
        "table": features,
        "as_of": {"newest feature row": line["newest_us"], "rows counted": look.at_us},
    }


def services(parts: WebParts, asked: Asked) -> Page:
    """List the feature services: which view versions each pins, and which models read it."""
    current = {spec.name: spec.version for spec in parts.catalog.views()}
    pinned = parts.looks.at("models of services", lambda: _models_by_service(parts)).value or {}
    lines = [_service_line(service, current, pinned) for service in parts.catalog.services()]
    shown, about = piece(lines, asked, text=lambda line: f"{line['name']} {line['owner']} {line['description']}")
    return {"title": "Feature services", "services": shown, "table": shown, "search": about, "as_of": {}}


def features(parts: WebParts, asked: Asked) -> Page:
    """List every feature of every view, searched by name, meaning, function, unit, view, owner or version."""
    look = parts.extents()
    extents = look.value or {}
    every = [(spec, feature) for spec in parts.catalog.views() for feature in spec.features]
    found, about = piece(every, asked, text=lambda one: _words(*one))
    consumers: dict[str, list[str]] = {}
    for service in parts.catalog.services():
        for used in service.views:
            for name in used.features:
                consumers.setdefault(f"{used.view}__{name}", []).append(service.name)
    rows = []
    for spec, feature in found:
        line = view_line(parts, spec, extents.get(spec.ref))
        held = _profile(parts, asked, spec, line["newest_us"], patient=False)
        told = {name: line[name] for name in ("owner", "team", "newest_us", "age_us", "stale")}
        read_by = consumers.get(f"{spec.name}__{feature.name}", [])
        row = {"view": spec.name, "version": spec.version, **_feature_line(spec, feature, held), **told}
        rows.append({**row, "services": read_by})
    return {
        "title": "Features",
        "features": rows,
        "table": rows,
        "search": about,
        "as_of": {"rows counted": look.at_us},
    }


def feature(parts: WebParts, asked: Asked, name: str, of_view: str) -> Page:
    """Show one feature: its formula, what it holds in the newest rows, and who reads it."""
    spec = parts.catalog.view(of_view)
    found = next((one for one in spec.features if one.name == name), None)
    if found is None:
        raise NotFoundError(f"view {of_view!r} has no feature {name!r}", fix="see the list of features")
    look = parts.extents()
    line = view_line(parts, spec, (look.value or {}).get(spec.ref))
    held = _profile(parts, asked, spec, line["newest_us"], patient=True)
    known = None if held is None else held.features.get(name)
    consumers = [
        service.name
        for service in parts.catalog.services()
        if any(used.view == of_view and name in used.features for used in service.views)
    ]
    column = f"{of_view}__{name}"
    models = [one for one in readers(parts, of_view) if column in one["features"]]
    return {
        "title": name,
        "feature": _feature_line(spec, found, held),
        "view": line,
        "formula": _formula(found),
        "services": consumers,
        "models": models,
        "values": _told(held, asked, spec),
        "distribution": None if known is None else known.to_json(),
        "shown": {"picture": None if known is None else histogram(known, unit=found.unit, name=name)},
        "table": [] if known is None else known.steps(),
        "as_of": {
            "newest feature row": line["newest_us"],
            "values counted": held.at_us if held is not None else None,
        },
    }


def view_line(parts: WebParts, spec: View, held: Extent | None) -> dict[str, Any]:
    """Return a view as lists show it."""
    newest_us = None if held is None else held.newest_us
    age_us = None if newest_us is None else parts.clock.now_us() - newest_us
    return {
        "name": spec.name,
        "version": spec.version,
        "team": spec.team,
        "owner": spec.owner,
        "description": spec.description,
        "features": len(spec.features),
        "keys": [name for name, _ in spec.entity_keys],
        "tile_us": spec.tile_us,
        "grace_us": spec.grace_us,
        "lateness_us": spec.lateness_us,
        "ttl_us": spec.ttl_us,
        "rows": None if held is None else held.rows,
        "entities": None if held is None else held.entities,
        "table_version": None if held is None else held.version,
        "newest_us": newest_us,
        "age_us": age_us,
        "stale": bool(age_us is not None and spec.ttl_us and age_us > spec.ttl_us),
        "where": spec.where,
    }


def readers(parts: WebParts, name: str) -> Lines:
    """Return the model versions that pin a view: whom a change of it reaches."""
    return parts.looks.at(("readers", name), lambda: _readers(parts, name)).value or []


def _readers(parts: WebParts, name: str) -> Lines:
    return [
        {
            "model": version.model,
            "number": version.number,
            "view_version": pinned,
            "service": version.service,
            "champion": champion,
            "features": list(version.features),
        }
        for version, pinned, champion in pinning(parts.registry, name)
    ]


def _feature_line(spec: View, feature: Feature, held: Profile | None) -> dict[str, Any]:
    """Return a feature as lists show it, with the share of its newest values that are null."""
    known = None if held is None else held.features.get(feature.name)
    return {
        **asdict(feature),
        "nulls": None if known is None else known.nulls,
        "link": f"/features/{spec.name}/{feature.name}",
    }


def _service_line(service: Service, current: Mapping[str, str], pinned: Mapping[str, list[str]]) -> dict[str, Any]:
    """Return a service as lists show it."""
    pins = [
        {
            "view": used.view,
            "version": used.version,
            "features": len(used.features),
            "current": current.get(used.view) == used.version,
        }
        for used in service.views
    ]
    return {
        "name": service.name,
        "team": service.team,
        "owner": service.owner,
        "description": service.description,
        "views": pins,
        "on_demand": [demand.name for demand in service.on_demand],
        "models": pinned.get(service.name, []),
    }


def _models_by_service(parts: WebParts) -> dict[str, list[str]]:
    found: dict[str, set[str]] = {}
    for known in parts.registry.models():
        for version in parts.registry.versions(known.name):
            found.setdefault(version.service, set()).add(known.name)
    return {service: sorted(names) for service, names in found.items()}


def _profile(parts: WebParts, asked: Asked, spec: View, newest_us: int | None, *, patient: bool) -> Profile | None:
    """Return what the newest rows of a view hold, to whom may read them."""
    if newest_us is None or not asked.caller.may_read(spec):
        return None
    key = ("profile", spec.ref)
    return parts.looks.at(key, lambda: profile(parts.offline, spec, newest_us), fresh_s=60, patient=patient).value


def _told(held: Profile | None, asked: Asked, spec: View) -> dict[str, Any]:
    """Say of which rows values were counted, or why of none."""
    if held is not None:
        return {"rows": held.rows, "from_us": held.from_us, "at_us": held.at_us, "why": ""}
    if not asked.caller.may_read(spec):
        return {"rows": None, "why": f"values belong to team {spec.team}: ask for a grant {spec.team}:reader"}
    return {"rows": None, "why": "no rows were counted yet"}


def _formula(feature: Feature) -> dict[str, str]:
    """Return what a function computes and where that is from; nothing of a column computed elsewhere."""
    if not feature.function:
        return {}
    try:
        found = functions.function(feature.function)
    except DefinitionError as error:
        return {"formula": error.what, "source": ""}
    return {"formula": found.formula, "source": found.source}


def _words(spec: View, feature: Feature) -> str:
    told = (feature.name, feature.description, feature.function, feature.unit, feature.column)
    return " ".join((*told, spec.name, spec.version, spec.team, spec.owner, spec.source.name))


def _online(parts: WebParts, spec: View) -> dict[str, Any]:
    """Return how many entities the online store holds, or why that is not known."""
    online = parts.online
    if online is None:
        return {"entities": None, "error": "not connected"}
    look = parts.looks.at(("online", spec.ref), lambda: sum(batch.num_rows for batch in online.scan(spec)), fresh_s=30)
    if isinstance(look.error, LineshaftError):
        return {"entities": None, "error": look.error.what}
    return {"entities": look.value, "error": "" if look.value is not None else "being counted"}
