"""Pages of alerts: the list, and one alert with what people found."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from lineshaft.errors import LineshaftError, NotFoundError
from lineshaft.registry.alerts import Alert, AlertBook, AlertFinding
from lineshaft.registry.records import ModelVersion
from lineshaft.specs import Service
from lineshaft_governance.web.fleet import alert_line
from lineshaft_governance.web.parts import Asked, Page, WebParts
from lineshaft_governance.web.pieces import piece


def alerts(parts: WebParts, asked: Asked) -> Page:
    """List the newest thousand alerts, with what was found of each."""
    book = parts.alerts
    every = [] if book is None else book.all(model=asked.word("model"), open_only=asked.word("unseen") == "1")
    found = {} if book is None else {one.alert: one for one in book.findings(model=asked.word("model"))}
    chosen, about = piece(every, asked, text=lambda one: f"{one.asset_id} {one.version} {one.note}")
    shown = [{**alert_line(one), "finding": _finding(found.get(one.id))} for one in chosen]
    return {
        "title": "Alerts",
        "alerts": shown,
        "table": shown,
        "search": about,
        "only_unseen": asked.word("unseen") == "1",
        "as_of": {"newest alert": max((one.raised_us for one in every), default=None)},
    }


def alert(parts: WebParts, _asked: Asked, ident: str) -> Page:
    """Show one alert: what drove it, where it went, and what people found."""
    book = the_book(parts)
    found = book.get(ident)
    said = [asdict(one) for one in book.findings(alert=ident)]
    return {
        "title": f"Alert {ident}",
        "alert": alert_line(found),
        "findings": said[::-1],
        "table": said,
        "as_of": {"raised": found.raised_us},
    }


def team_of(parts: WebParts, found: Alert) -> tuple[str, ModelVersion]:
    """Return whose alert it is: the team of the service that the model reads."""
    version = parts.registry.get(found.model, found.number)
    return Service.from_json(version.service_json).team, version


def the_book(parts: WebParts) -> AlertBook:
    """Return the alerts.

    Raises
    ------
    NotFoundError
        If none are kept here.
    """
    if parts.alerts is None:
        raise NotFoundError("no alerts are kept here", fix="`lineshaft alerts run` raises them")
    return parts.alerts


def unseen_count(parts: WebParts) -> int:
    """Return how many alerts nobody has acknowledged; none where the database does not say."""
    try:
        return 0 if parts.alerts is None else sum(parts.alerts.unseen().values())
    except LineshaftError:
        return 0


def _finding(one: AlertFinding | None) -> dict[str, Any] | None:
    return None if one is None else {"answer": str(one.answer), "said_by": one.said_by, "said_us": one.said_us}
