"""The page of one prediction: what `lineshaft explain` tells."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from lineshaft.errors import NotFoundError
from lineshaft.ops.explain import Explanation, Records, explain
from lineshaft.specs import Service
from lineshaft_governance.web.parts import Asked, Page, WebParts

_FRESH_S = 600.0
_MOST_MOVES = 8


def prediction(parts: WebParts, asked: Asked, ident: str) -> Page:
    """Show a prediction: its inputs then, what each contributed, who let it answer, and what became of it.

    The first time it is worked out beside the page, which says so and asks again by itself.
    """
    look = parts.looks.at(("prediction", ident), lambda: explain(ident, _records(parts)), fresh_s=_FRESH_S)
    if look.value is None:
        if isinstance(look.error, NotFoundError):
            raise look.error
        why = look.error.what if look.error is not None else ""
        return {"title": f"Prediction {ident}", "found": None, "why": why, "waiting": not why, "as_of": {}, "table": []}
    found = look.value
    asked.caller.must_read(Service.from_json(found.version.service_json))
    told = plain(found)
    return {
        "title": f"Prediction {ident}",
        "found": told,
        "why": "",
        "table": told["inputs"],
        "as_of": {"asked": found.asked_us, "explained": look.at_us},
    }


def plain(found: Explanation) -> dict[str, Any]:
    """Return an explanation as plain data."""
    most = max((abs(one.contribution) for one in found.inputs), default=0.0) or 1.0
    return {
        "prediction_id": found.prediction_id,
        "version": found.version.ref,
        "model": found.version.model,
        "keys": dict(found.keys),
        "asked_us": found.asked_us,
        "score": found.score,
        "again": found.again,
        "proven": found.proven,
        "degraded": found.degraded,
        "base": found.base,
        "inputs": [{**asdict(one), "share": one.contribution / most} for one in found.inputs],
        "offline_fault": found.offline_fault,
        "decided": dict(found.decided),
        "recent": [dict(one) for one in found.recent],
        "outcome": found.outcome,
        "rule": None if found.rule is None else asdict(found.rule),
        "moves": [asdict(one) for one in found.moves[:_MOST_MOVES]],
        "pins": [asdict(pin) for pin in found.version.pins],
    }


def _records(parts: WebParts) -> Records:
    return Records(
        predictions=parts.predictions,
        tables=parts.tables,
        registry=parts.registry,
        catalog=parts.catalog,
        offline=parts.offline,
        environment=parts.project,
        clock=parts.clock,
        findings=() if parts.alerts is None else parts.alerts.findings(),
    )
