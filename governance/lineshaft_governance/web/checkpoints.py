"""Pages of checkpoints: what each batch was judged to be."""

from __future__ import annotations

from typing import Any

from lineshaft.errors import NotFoundError
from lineshaft_governance.web.parts import Asked, Page, WebParts
from lineshaft_governance.web.pieces import piece

Lines = list[dict[str, Any]]
_FINDING = {"expectation": "", "why": "", "outcome": "", "unexpected": None, "error": ""}
_RUN = {"rows": 0, "quarantined": 0, "expectations": 0, "findings": [], "batch": "", "version": "", "suite": ""}
_RUN |= {"library": ""}
"""What results of other versions of us may lack: a page opens all the same."""


def checkpoints(parts: WebParts, asked: Asked) -> Page:
    """List the newest verdict of each view, and how much lies in quarantine."""
    lines, read_us = checkpoint_lines(parts)
    shown, about = piece(lines, asked, text=lambda line: f"{line['view']} {line['outcome']}")
    newest = {"newest checkpoint": max((line["at_us"] for line in lines), default=None), "results read": read_us}
    return {"title": "Checkpoints", "checkpoints": shown, "table": shown, "search": about, "as_of": newest}


def checkpoint_lines(parts: WebParts) -> tuple[Lines, int | None]:
    """Return the newest verdict of each view with the runs before it, and when they were read."""
    look = parts.looks.at("checkpoints", lambda: _checkpoint_lines(parts))
    return look.value or [], look.at_us


def _checkpoint_lines(parts: WebParts) -> Lines:
    lines = []
    for subject in parts.results.subjects("checkpoints"):
        history = parts.results.newest("checkpoints", subject, count=40)
        if history:
            refused = sum(run["quarantined"] for run in history)
            runs = [{key: run[key] for key in ("outcome", "at_us", "rows", "quarantined")} for run in history]
            kept = {key: value for key, value in history[0].items() if key != "findings"}
            lines.append({**kept, "quarantined": refused, "last_quarantined": history[0]["quarantined"], "runs": runs})
    return lines


def checkpoint(parts: WebParts, _asked: Asked, name: str) -> Page:
    """Show the last runs of a view's checkpoint with what they found."""
    runs = parts.results.newest("checkpoints", name, count=20)
    if not runs:
        raise NotFoundError(f"no checkpoint of {name!r} was run", fix="materialize the view")
    runs = [{**_RUN, **run, "findings": [{**_FINDING, **one} for one in run.get("findings", ())]} for run in runs]
    found = [{"at_us": run["at_us"], "batch": run["batch"], **one} for run in runs for one in run["findings"]]
    return {
        "title": f"Checkpoint of {name}",
        "name": name,
        "runs": runs,
        "table": found,
        "as_of": {"newest run": runs[0]["at_us"]},
    }
