"""Pages of models: what state they are in, what gates say, who held which slot, and what happened to their alerts."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from lineshaft.errors import LineshaftError, NotFoundError
from lineshaft.ops.model_release import consent
from lineshaft.registry.records import Consent, ModelVersion, Slot, State, Transition
from lineshaft.registry.slots import told
from lineshaft_governance.web.aftermath import experiments, outcomes
from lineshaft_governance.web.parts import Asked, Page, WebParts
from lineshaft_governance.web.pieces import piece
from lineshaft_governance.web.spans import Span, spans

Lines = list[dict[str, Any]]


def models(parts: WebParts, asked: Asked) -> Page:
    """List the models: whose they are and what runs where."""
    lines, read_us = model_lines(parts)
    shown, about = piece(
        lines, asked, text=lambda line: f"{line['name']} {line['owner']} {line['team']} {line['task']}"
    )
    newest = max((line["created_us"] for line in lines if line["created_us"] is not None), default=None)
    return {
        "title": "Models",
        "models": shown,
        "table": shown,
        "search": about,
        "as_of": {"newest version": newest, "registry read": read_us},
    }


def model_lines(parts: WebParts) -> tuple[Lines, int | None]:
    """Return every model as lists show it, and when that was read."""
    look = parts.looks.at("models", lambda: [_model_line(parts, asdict(one)) for one in parts.registry.models()])
    return look.value or [], look.at_us


def model(parts: WebParts, asked: Asked, name: str) -> Page:
    """Show a model: versions with pins and figures, who was champion when, outcomes, and the sealed history."""
    known = [asdict(one) for one in parts.registry.models() if one.name == name]
    if not known:
        raise NotFoundError(f"there is no model {name!r}", fix="see the list of models")
    try:
        history, broken = parts.registry.history(name), ""
    except LineshaftError as error:
        history, broken = [], error.what
    asks = _consent(parts, name)
    found = parts.registry.versions(name)
    versions = [_version(parts, version, history, asks, known[0]["champions"].get(parts.project)) for version in found]
    assignments = [asdict(one) for one in parts.registry.assignments(name)]
    held = [_version_line(one, assignments) for one in versions]
    assigned = [_told(one, history) for one in assignments]
    return {
        "title": name,
        "model": _model_line(parts, known[0]),
        "versions": versions,
        "assignments": assigned,
        "shown": {"picture": _timeline(parts, assigned)},
        "history": [asdict(line) for line in history[::-1]],
        "broken_history": broken,
        "needs": None
        if asks is None or not asks.people
        else {
            "people": asks.people,
            "who": ", ".join(asks.among) or "anybody",
        },
        "outcomes": outcomes(parts, asked, name, found),
        "experiments": experiments(parts, name, found),
        "table": held,
        "as_of": {"newest version": found[0].created_us if found else None},
    }


def version_card(parts: WebParts, _asked: Asked, name: str, number: int) -> str:
    """Return the card of a version as one HTML file."""
    if parts.card is None:
        raise NotFoundError("no cards are written here", fix="`lineshaft models card`")
    return parts.card(parts.registry.get(name, number))


def _model_line(parts: WebParts, line: dict[str, Any]) -> dict[str, Any]:
    """Return a model as lists show it: its newest version and its champion here, with the pins that are outdated."""
    versions = parts.registry.versions(line["name"])
    number = line["champions"].get(parts.project)
    champion = next((version for version in versions if version.number == number), None)
    current = {spec.name: spec.version for spec in parts.catalog.views()} if champion is not None else {}
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


def _version(
    parts: WebParts, version: ModelVersion, history: list[Transition], asks: Consent | None, champion: int | None
) -> dict[str, Any]:
    """Return all that is known of a version, and whether somebody has to agree to it."""
    now_us = parts.clock.now_us()
    verdicts = [asdict(verdict) for verdict in parts.registry.verdicts(version.model, version.number)]
    approvals = [asdict(one) for one in parts.registry.approvals(version.model, version.number)]
    line = {key: getattr(version, key) for key in version.__slots__ if key not in ("service_json", "provenance")}
    agreed = [
        one
        for one in approvals
        if asks is not None and one["policy_sha256"] == asks.policy_sha256 and one["expires_us"] > now_us
    ]
    return {
        **line,
        "pins": [asdict(pin) for pin in version.pins],
        "verdicts": verdicts,
        "approvals": approvals,
        "ribbon": _ribbon(version, history),
        "reproducible": version.provenance is not None,
        "waits": bool(
            asks is not None
            and asks.people
            and version.state is State.VALIDATED
            and version.number != champion
            and len({one["actor"] for one in agreed} - {version.actor}) < asks.people
        ),
    }


def _ribbon(version: ModelVersion, history: list[Transition]) -> Lines:
    """Return the acts that a version went through, oldest first, each once in a row."""
    steps: Lines = []
    for line in history:
        if line.number != version.number or line.action in {"attest", "experiment", "conclude"}:
            continue
        step = {"act": line.action, "after": _step(line), "at_us": line.at_us, "by": line.actor}
        if not steps or steps[-1]["after"] != step["after"]:
            steps.append(step)
    return steps


def _step(line: Transition) -> str:
    """Return in a few words where an act brought a version."""
    place, slot, _ = line.after.rpartition("=")
    if slot:
        environment, _, held = place.rpartition(":")
        return f"{held} in {environment}"
    words = {"register": "registered", "approve": f"approved by {line.actor}", "clear": "slot left"}
    return words.get(line.action, line.after)


def _told(assignment: dict[str, Any], history: list[Transition]) -> dict[str, Any]:
    """Return an assignment with who gave it, and why, as the history says it."""
    after = told(assignment["environment"], assignment["slot"], assignment["number"], assignment["site"])
    acts = [line for line in history if line.after == after and line.at_us <= assignment["valid_from_us"]]
    line = acts[-1] if acts else None
    return {
        **assignment,
        "by": "" if line is None else line.actor,
        "why": "" if line is None else line.reason,
        "act": "" if line is None else line.action,
    }


def _version_line(version: dict[str, Any], assignments: Lines) -> dict[str, Any]:
    """Return a version as a row of a table."""
    names = ("model", "number", "state", "task", "service", "rows", "actor", "created_us", "library", "seed")
    slots = [f"{one['environment']}:{one['slot']}" for one in assignments if one["number"] == version["number"]]
    verdicts = {one["gate"]: one["outcome"] for one in version["verdicts"]}
    return {**{name: version[name] for name in names}, "slots": slots, "gates": verdicts, **version["metrics"]}


def _timeline(parts: WebParts, assignments: Lines) -> Any:
    """Draw who held which slot, and when."""
    order = {str(slot): place for place, slot in enumerate(Slot)}
    held = [
        Span(
            row=" ".join(filter(None, (one["environment"], one["slot"], one["site"]))),
            name=f"version {one['number']}",
            from_us=one["valid_from_us"],
            to_us=one["valid_to_us"],
            place=order[str(one["slot"])],
        )
        for one in assignments
    ]
    return spans(held, now_us=parts.clock.now_us(), title="Which version held which slot, and when")


def _consent(parts: WebParts, name: str) -> Consent | None:
    """Return who has to agree to a version of a model; None where no policy can be read."""
    if parts.policy is None:
        return None
    try:
        return consent(parts.policy(name))
    except LineshaftError:
        return None
