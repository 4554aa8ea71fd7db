"""The first page: what needs a person, and how much there is of everything."""

from __future__ import annotations

import contextlib
import contextvars

from lineshaft.errors import LineshaftError
from lineshaft_governance.web.alerts import unseen_count
from lineshaft_governance.web.attention import attention
from lineshaft_governance.web.audit import audit_lines
from lineshaft_governance.web.catalogue import view_lines
from lineshaft_governance.web.checkpoints import checkpoint_lines
from lineshaft_governance.web.drift import drift_lines
from lineshaft_governance.web.looks import begin_without_waiting
from lineshaft_governance.web.models import model_lines
from lineshaft_governance.web.parts import Asked, Page, WebParts
from lineshaft_governance.web.quarantine import held_lines

MOST = 10
"""Lines of each list; the whole list is a link away."""
MOST_ATTENTION = 40


def look_ahead(parts: WebParts) -> None:
    """Begin to find out what the first page shows, before anybody asks for it; waits for nothing."""

    def ahead() -> None:
        begin_without_waiting()
        overview(parts, Asked())

    with contextlib.suppress(LineshaftError):  # whoever asks is told
        contextvars.copy_context().run(ahead)


def overview(parts: WebParts, _asked: Asked) -> Page:
    """Say what needs a person, and how much there is of everything."""
    views, as_of = view_lines(parts)
    checkpoints, _ = checkpoint_lines(parts)
    drifts, _ = drift_lines(parts)
    models, read_us = model_lines(parts)
    held, _ = held_lines(parts)
    unseen = unseen_count(parts)
    counted = as_of["rows counted"] is not None
    found = attention(views if counted else [], checkpoints, drifts, models, held)
    found += [
        {"level": "bad", "text": f"The history of {line['model']} does not hold: {line['faults'][0]}", "link": "/audit"}
        for line in audit_lines(parts)
        if line["faults"]
    ]
    if unseen:
        told = (
            f"{unseen} alerts that nobody has acknowledged" if unseen > 1 else "An alert that nobody has acknowledged"
        )
        found.append({"level": "bad", "text": told, "link": "/alerts?unseen=1"})
    found = sorted(found, key=lambda line: line["level"] != "bad")
    return {
        "title": "Overview",
        "attention": found[:MOST_ATTENTION],
        "more_attention": max(0, len(found) - MOST_ATTENTION),
        "counts": {
            "views": len(views),
            "services": len(parts.catalog.services()),
            "rows": sum(line["rows"] or 0 for line in views),
            "quarantined": sum(line["rows"] for line in held),
            "models": len(models),
        },
        "views": views[:MOST],
        "checkpoints": checkpoints[:MOST],
        "drift": [{key: value for key, value in line.items() if key != "squares"} for line in drifts[:MOST]],
        "models": models[:MOST],
        "table": found,
        "waiting": not counted,
        "as_of": {**as_of, "registry read": read_us},
    }
