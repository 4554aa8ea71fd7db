"""What each page says, as plain data: the HTML and the JSON twin are made from the same values."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from lineshaft.errors import LineshaftError, NotFoundError
from lineshaft.ops.lineage import pinning
from lineshaft.specs import Service, View
from lineshaft_governance.web.attention import attention
from lineshaft_governance.web.parts import WebParts

Page = dict[str, Any]


def overview(parts: WebParts) -> Page:
    """Say what needs a person, and how much there is of everything."""
    view_lines, checkpoint_lines = views(parts)["views"], checkpoints(parts)["checkpoints"]
    model_lines, drift_lines = models(parts)["models"], drift(parts)["drift"]
    return {
        "title": "Overview",
        "attention": attention(view_lines, checkpoint_lines, drift_lines, model_lines),
        "counts": {
            "views": len(view_lines),
            "services": len(parts.catalog.services()),
            "rows": sum(line["rows"] for line in view_lines),
            "quarantined": sum(line["quarantined"] for line in checkpoint_lines),
            "models": len(model_lines),
        },
        "views": view_lines,
        "checkpoints": checkpoint_lines,
        "drift": drift_lines,
        "models": model_lines,
        "as_of": _as_of(view_lines),
    }


def views(parts: WebParts) -> Page:
    """List the views: whose they are, how fresh and how large."""
    lines = [_view_line(parts, view) for view in parts.catalog.views()]
    return {"title": "Feature views", "views": lines, "as_of": _as_of(lines)}


def view(parts: WebParts, name: str) -> Page:
    """Show one view: its features, who reads it, and its last checkpoints."""
    spec = parts.catalog.view(name)
    line = _view_line(parts, spec)
    services = [service for service in parts.catalog.services() if name in {used.view for used in service.views}]
    return {
        "title": spec.name,
        "view": line,
        "source": {
            "name": spec.source.name,
            "channels": list(zip(spec.source.channels, spec.source.units, strict=True)),
        },
        "features": [asdict(feature) for feature in spec.features],
        "services": [service.name for service in services],
        "models": _readers(parts, name),
        "checkpoints": parts.results.newest("checkpoints", name, count=20),
        "online": _online(parts, spec),
        "as_of": _as_of([line]),
    }


def services(parts: WebParts) -> Page:
    """List the feature services: which view versions each pins, and which models read it."""
    lines = [_service_line(parts, service) for service in parts.catalog.services()]
    return {"title": "Feature services", "services": lines, "as_of": {}}


def checkpoints(parts: WebParts) -> Page:
    """List the newest verdict of each view, and how much lies in quarantine."""
    lines = []
    for subject in parts.results.subjects("checkpoints"):
        history = parts.results.newest("checkpoints", subject, count=40)
        if history:
            refused = sum(run["quarantined"] for run in history)
            runs = [{key: run[key] for key in ("outcome", "at_us", "rows", "quarantined")} for run in history]
            lines.append(
                {**history[0], "quarantined": refused, "last_quarantined": history[0]["quarantined"], "runs": runs}
            )
    newest = {"newest checkpoint": max((line["at_us"] for line in lines), default=None)}
    return {"title": "Checkpoints", "checkpoints": lines, "as_of": newest}


def checkpoint(parts: WebParts, name: str) -> Page:
    """Show the last runs of a view's checkpoint with what they found."""
    runs = parts.results.newest("checkpoints", name, count=20)
    if not runs:
        raise NotFoundError(f"no checkpoint of {name!r} was run", fix="materialize the view")
    return {"title": f"Checkpoint of {name}", "name": name, "runs": runs, "as_of": {"newest run": runs[0]["at_us"]}}


def drift(parts: WebParts) -> Page:
    """List the newest drift check of each subject."""
    lines = []
    for subject in parts.results.subjects("drift"):
        history = parts.results.newest("drift", subject, count=20)
        if history:
            drifted = [one["feature"] for one in history[0]["features"] if one["outcome"] == "drift"]
            runs = [{"outcome": run["outcome"], "at_us": run["at_us"]} for run in history]
            line = {
                key: history[0][key]
                for key in ("subject", "at_us", "outcome", "reference_rows", "current_rows", "report")
            }
            lines.append({**line, "drifted": drifted, "compared": len(history[0]["features"]), "runs": runs})
    newest = {"newest check": max((line["at_us"] for line in lines), default=None)}
    return {"title": "Drift", "drift": lines, "as_of": newest}


def drift_detail(parts: WebParts, name: str) -> Page:
    """Show one drift check feature by feature, with the link to Evidently's report."""
    runs = parts.results.newest("drift", name, count=20)
    if not runs:
        raise NotFoundError(f"no drift check of {name!r} was run", fix="run one")
    return {"title": f"Drift of {name}", "check": runs[0], "runs": runs, "as_of": {"this check": runs[0]["at_us"]}}


def models(parts: WebParts) -> Page:
    """List the models: whose they are and what runs where."""
    lines = [_model_line(parts, asdict(model)) for model in parts.registry.models()]
    newest = max((line["created_us"] for line in lines), default=None)
    return {"title": "Models", "models": lines, "as_of": {"newest version": newest}}


def model(parts: WebParts, name: str) -> Page:
    """Show a model: versions with pins and figures, who was champion when, and the sealed history."""
    known = [asdict(one) for one in parts.registry.models() if one.name == name]
    if not known:
        raise NotFoundError(f"there is no model {name!r}", fix="see the list of models")
    versions = []
    for version in parts.registry.versions(name):
        verdicts = [asdict(verdict) for verdict in parts.registry.verdicts(name, version.number)]
        approvals = [asdict(one) for one in parts.registry.approvals(name, version.number)]
        line = {key: getattr(version, key) for key in version.__slots__ if key not in ("service_json", "provenance")}
        versions.append(
            {**line, "pins": [asdict(pin) for pin in version.pins], "verdicts": verdicts, "approvals": approvals}
        )
    try:
        history, sealed = [asdict(line) for line in parts.registry.history(name)], ""
    except LineshaftError as error:
        history, sealed = [], error.what
    return {
        "title": name,
        "model": _model_line(parts, known[0]),
        "versions": versions,
        "assignments": [asdict(one) for one in parts.registry.assignments(name)],
        "history": history[::-1],
        "broken_history": sealed,
        "as_of": {"newest version": versions[0]["created_us"] if versions else None},
    }


def _view_line(parts: WebParts, spec: View) -> dict[str, Any]:
    """Return a view as lists show it."""
    extent = parts.extent(spec)
    age_us = None if extent.newest_us is None else parts.clock.now_us() - extent.newest_us
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
        "rows": extent.rows,
        "entities": extent.entities,
        "table_version": extent.version,
        "newest_us": extent.newest_us,
        "age_us": age_us,
        "stale": bool(age_us is not None and spec.ttl_us and age_us > spec.ttl_us),
        "where": spec.where,
    }


def _service_line(parts: WebParts, service: Service) -> dict[str, Any]:
    """Return a service as lists show it."""
    current = {spec.name: spec.version for spec in parts.catalog.views()}
    pins = [
        {
            "view": used.view,
            "version": used.version,
            "features": len(used.features),
            "current": current.get(used.view) == used.version,
        }
        for used in service.views
    ]
    readers = [line for used in service.views for line in _readers(parts, used.view) if line["service"] == service.name]
    return {
        "name": service.name,
        "team": service.team,
        "owner": service.owner,
        "description": service.description,
        "views": pins,
        "on_demand": [demand.name for demand in service.on_demand],
        "models": sorted({line["model"] for line in readers}),
    }


def _model_line(parts: WebParts, line: dict[str, Any]) -> dict[str, Any]:
    """Return a model as lists show it: its newest version and its champion here, with the pins that are outdated."""
    versions = parts.registry.versions(line["name"])
    number = line["champions"].get(parts.project)
    champion = next((version for version in versions if version.number == number), None)
    current = {spec.name: spec.version for spec in parts.catalog.views()}
    pins = champion.pins if champion is not None else ()
    newest = versions[0] if versions else None
    verdicts = parts.registry.verdicts(line["name"], newest.number) if newest is not None else []
    return {
        **line,
        "champion": number,
        "newest": newest.number if newest is not None else None,
        "newest_state": newest.state if newest is not None else None,
        "newest_verdict": asdict(verdicts[0]) if verdicts else None,
        "created_us": newest.created_us if newest is not None else None,
        "metrics": dict(champion.metrics) if champion is not None else {},
        "service": champion.service if champion is not None else "",
        "outdated_pins": [pin.view for pin in pins if current.get(pin.view) != pin.version],
    }


def _readers(parts: WebParts, name: str) -> list[dict[str, Any]]:
    """Return the model versions that pin a view: whom a change of it reaches."""
    return [
        {
            "model": version.model,
            "number": version.number,
            "view_version": pinned,
            "service": version.service,
            "champion": champion,
        }
        for version, pinned, champion in pinning(parts.registry, name)
    ]


def _online(parts: WebParts, spec: View) -> dict[str, Any]:
    """Return how many entities the online store holds, or why that is not known."""
    if parts.online is None:
        return {"entities": None, "error": "not connected"}
    try:
        return {"entities": sum(batch.num_rows for batch in parts.online.scan(spec)), "error": ""}
    except LineshaftError as error:
        return {"entities": None, "error": error.what}


def _as_of(lines: list[dict[str, Any]]) -> dict[str, int | None]:
    """Return how new the newest row of any view is."""
    return {
        "newest feature row": max((line["newest_us"] for line in lines if line["newest_us"] is not None), default=None)
    }
