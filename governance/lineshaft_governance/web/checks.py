"""Pages of what was checked: checkpoints of batches, drift of inputs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from lineshaft.errors import NotFoundError
from lineshaft_governance.web.parts import Asked, Page, WebParts
from lineshaft_governance.web.pieces import piece

Lines = list[dict[str, Any]]
_FINDING = {"expectation": "", "why": "", "outcome": "", "unexpected": None, "error": ""}
_RUN = {"rows": 0, "quarantined": 0, "expectations": 0, "findings": [], "batch": "", "version": "", "suite": ""}
_RUN |= {"library": ""}
_FEATURE = dict.fromkeys(("ks", "q", "shift_sd", "psi", "psi_limit", "current_rows", "current_effective"))
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


def drift(parts: WebParts, asked: Asked) -> Page:
    """List the newest drift check of each subject."""
    lines, read_us = drift_lines(parts)
    shown, about = piece(lines, asked, text=lambda line: f"{line['subject']} {line['outcome']}")
    newest = {"newest check": max((line["at_us"] for line in lines), default=None), "results read": read_us}
    return {"title": "Drift", "drift": shown, "table": shown, "search": about, "as_of": newest}


def drift_lines(parts: WebParts) -> tuple[Lines, int | None]:
    """Return the newest drift check of each subject with those before it, and when they were read."""
    look = parts.looks.at("drift", lambda: _drift_lines(parts))
    return look.value or [], look.at_us


def _drift_lines(parts: WebParts) -> Lines:
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
    return lines


def report_file(parts: WebParts, name: str) -> Path | None:
    """Return where a report lies: a name of that folder and nothing else; None where there is none."""
    path = parts.reports / name
    plain = re.fullmatch(r"[A-Za-z0-9_@\-][A-Za-z0-9_@.\-]*\.html", name)
    return path if plain and path.is_file() else None


def drift_detail(parts: WebParts, _asked: Asked, name: str) -> Page:
    """Show one drift check feature by feature, with the link to Evidently's report."""
    runs = parts.results.newest("drift", name, count=20)
    if not runs:
        raise NotFoundError(f"no drift check of {name!r} was run", fix="run one")
    newest = {**runs[0], "features": [{**_FEATURE, **one} for one in runs[0]["features"]]}
    short = [{key: run[key] for key in ("outcome", "at_us")} for run in runs]
    return {
        "title": f"Drift of {name}",
        "check": {**newest, "report": newest["report"] if report_file(parts, newest["report"]) else ""},
        "runs": short,
        "table": newest["features"],
        "as_of": {"this check": runs[0]["at_us"]},
    }
