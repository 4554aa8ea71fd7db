"""Pages of drift: which models and inputs moved when, what stands behind it, and what is done about it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lineshaft.drift.findings import NEW, PERFORMANCE
from lineshaft.drift.policy import DriftPolicy
from lineshaft.drift.rows import FLEET
from lineshaft.errors import NotFoundError
from lineshaft.registry.drift_maps import TOGETHER, Cell, by_asset, drifts_of, over_time, recent_windows, seen_in
from lineshaft.registry.drifts import CheckedWindow, DriftBook, Point, Trigger
from lineshaft.specs import Service
from lineshaft_governance.web.heat import METHODS, Square, grid, least_effect, squares, times_least
from lineshaft_governance.web.parts import Asked, Page, WebParts
from lineshaft_governance.web.pieces import piece
from lineshaft_governance.web.words import moment

Lines = list[dict[str, Any]]
CHECKS = 48
"""Checks of a map: two days of hourly ones."""
MOST_FINDINGS = 30
MOST_TRIGGERS = 10
_WHOM = {FLEET: "all that training saw", NEW: "all that training never saw", PERFORMANCE: "predictions, by outcomes"}
_PLAIN = r"[A-Za-z0-9_@\-][A-Za-z0-9_@.\-]*\.html"
_FRESH_S = 15.0
_REPORT_FRESH_S = 3600.0


def drift(parts: WebParts, asked: Asked) -> Page:
    """List the newest check of each version, over a map of all of them over time."""
    lines, read_us = drift_lines(parts)
    shown, about = piece(lines, asked, text=lambda line: f"{line['subject']} {line['outcome']} {line['cause']}")
    newest = max((line["at_us"] for line in lines), default=None)
    return {
        "title": "Drift",
        "drift": [{key: value for key, value in line.items() if key != "squares"} for line in shown],
        "map": _of_models(shown),
        "triggers": _standing(parts),
        "table": [{key: value for key, value in line.items() if key not in {"squares", "runs"}} for line in shown],
        "search": about,
        "as_of": {"newest check": newest, "checks read": read_us},
    }


def drift_lines(parts: WebParts) -> tuple[Lines, int | None]:
    """Return the newest check of each version with those before it, and when they were read."""
    look = parts.looks.at("drift", lambda: _lines(parts), fresh_s=_FRESH_S)
    return look.value or [], look.at_us


def drift_detail(parts: WebParts, _asked: Asked, name: str) -> Page:
    """Show the checks of one version: its inputs over time, its assets now, findings, and what became of them."""
    book, model, number = _named(parts, name)
    look = parts.looks.at(("drift", name), lambda: _detail(parts, book, model, number), fresh_s=_FRESH_S)
    if look.error is not None and look.value is None:
        raise look.error
    told = look.value or {"check": None}
    reports = reports_of(parts, name)
    return {
        "title": f"Drift of {name}",
        "name": name,
        **told,
        "report": reports[0] if reports else None,
        "may_draw": parts.draw_report is not None,
        "table": told.get("findings", []),
        "waiting": look.waiting,
        "as_of": {"newest check": told["check"]["end_us"] if told["check"] else None, "checks read": look.at_us},
    }


def drift_report(parts: WebParts, asked: Asked, name: str) -> Page:
    """Show the newest report that Evidently drew of a version; it draws one where there is none, or by `?now=1`."""
    _book, model, number = _named(parts, name)
    asked.caller.must_read(Service.from_json(parts.registry.get(model, number).service_json))
    drawn, draw, why = reports_of(parts, name), parts.draw_report, ""
    waiting = False
    if draw is not None and (not drawn or asked.word("now") == "1"):
        look = parts.looks.at(("report", name), lambda: str(draw(model)), fresh_s=_REPORT_FRESH_S)
        why = "" if look.error is None else f"{look.error.what}; {look.error.fix}"
        waiting = look.waiting
        drawn = reports_of(parts, name)
    elif not drawn:
        why = f"no report was drawn; `lineshaft drift report {model}` draws one"
    return {
        "title": f"Evidently's report of {name}",
        "name": name,
        "report": drawn[0] if drawn and not waiting else None,
        "reports": drawn,
        "why": why,
        "table": drawn,
        "waiting": waiting,
        "as_of": {"drawn of rows until": drawn[0]["at_us"] if drawn else None},
    }


def reports_of(parts: WebParts, name: str) -> Lines:
    """Return the reports that were drawn of a version, the newest first."""
    found = [(file, _subject(file.name)) for file in parts.reports.glob("*.html") if report_file(parts, file.name)]
    mine = [{"file": file.name, "at_us": told[1]} for file, told in found if told is not None and told[0] == name]
    return sorted(mine, key=lambda one: one["at_us"], reverse=True)


def report_file(parts: WebParts, name: str) -> Path | None:
    """Return where a report lies: a name of that folder and nothing else; None where there is none."""
    path = parts.reports / name
    return path if re.fullmatch(_PLAIN, name) and path.is_file() else None


def readable_report(parts: WebParts, asked: Asked, name: str) -> Path:
    """Return a report's file, to whom may read what the version reads.

    Raises
    ------
    NotFoundError
        If there is no such file, or no such version.
    """
    path, told = report_file(parts, name), _subject(name)
    if path is None or told is None:
        raise NotFoundError(f"there is no report {name!r}", fix="see the list of drift checks")
    _, model, number = _named(parts, told[0])
    asked.caller.must_read(Service.from_json(parts.registry.get(model, number).service_json))
    return path


def _subject(file: str) -> tuple[str, int] | None:
    """Return of what a report is, and until when its rows reach, by its name.

    >>> _subject("bearing-a@2-170.html")
    ('bearing-a@2', 170)
    """
    found = re.fullmatch(r"(.+)-(\d{1,20})\.html", file)
    return None if found is None else (found[1], int(found[2]))


def _named(parts: WebParts, name: str) -> tuple[DriftBook, str, int]:
    """Return the drift of this project, and the model and number of a version's name."""
    model, _, number = name.rpartition("@")
    if parts.drifts is None or not model or not re.fullmatch(r"[0-9]{1,9}", number):
        raise NotFoundError(f"no drift check of {name!r} was made", fix="see the list of drift checks")
    return parts.drifts, model, int(number)


def _lines(parts: WebParts) -> Lines:
    """Return a line for each version that was checked."""
    book = parts.drifts
    if book is None:
        return []
    histories: dict[tuple[str, int], list[CheckedWindow]] = {}
    for one in recent_windows(book, count=CHECKS):
        histories.setdefault((one.model, one.number), []).append(one)
    triggers = book.triggers(standing=True)
    newest = {one[-1].id: one[-1] for one in histories.values()}
    cells = [cell for cell in over_time(book, list(newest.values())) if cell.kind == "feature"] if newest else []
    lines = []
    for windows in histories.values():
        last = windows[-1]
        mine = [cell for cell in cells if cell.place == last.id]
        behind = [one for one in triggers if (one.model, one.number) == (last.model, last.number)]
        lines.append(
            {
                "subject": f"{last.model}@{last.number}",
                "model": last.model,
                "at_us": last.end_us,
                "outcome": last.outcome,
                "rows": last.rows,
                "assets": last.assets,
                "standing": list(last.standing),
                "drifted": sorted({cell.column for cell in mine if cell.method}),
                "compared": len({cell.column for cell in mine}),
                "cause": ", ".join(dict.fromkeys(one.cause for one in behind)),
                "state": ", ".join(dict.fromkeys(one.state for one in behind)),
                "runs": [{"outcome": one.outcome, "at_us": one.end_us} for one in windows[::-1]][:20],
                "squares": [(one.end_us, _of_check(one)) for one in windows],
            }
        )
    order = {"drift": 0, "unknown": 1}
    return sorted(lines, key=lambda line: (order.get(str(line["outcome"]), 2), -line["at_us"], line["subject"]))


def _of_check(one: CheckedWindow) -> Square:
    """Return the square of a whole check: darker with more alarms."""
    if one.outcome != "drift":
        return Square(shade=0 if one.outcome == "none" else None, words=_said(one.outcome))
    count = len(one.standing)
    return Square(shade=1 + (count >= 3) + (count >= 10), words=f"drift: {count} {'alarm' if count == 1 else 'alarms'}")


def _said(outcome: str) -> str:
    return {"none": "no drift"}.get(outcome, outcome)


def _of_models(lines: Lines) -> dict[str, Any]:
    """Return the map of versions over time."""
    times = sorted({at for line in lines for at, _ in line["squares"]})[-CHECKS:]
    found = {(line["subject"], str(at)): square for line in lines for at, square in line["squares"]}
    return grid(found, [(str(at), moment(at)) for at in times], most=100)


def _detail(parts: WebParts, book: DriftBook, model: str, number: int) -> dict[str, Any]:
    """Return all that a version's page tells of its checks."""
    windows = book.windows(model, number, limit=CHECKS)
    if not windows:
        raise NotFoundError(f"no drift check of {model}@{number} was made", fix=f"`lineshaft drift check {model}`")
    policy, last = parts.drift_policy(model), windows[-1]
    points, count = drifts_of(book, last, limit=MOST_FINDINGS)
    among = windows[-policy.among :]
    seen = seen_in(book, among, points)
    own = squares(by_asset(book, last), policy)
    assets = {(asset, column): square for (column, asset), square in own.items()}
    moved = sorted({column for _, column in assets})
    cells = over_time(book, windows)
    triggers = [one for one in book.triggers(model) if one.number == number]
    return {
        "check": {**asdict(last), "standing": [_scope(one) for one in last.standing[:MOST_FINDINGS]]},
        "alarms": len(last.standing),
        "runs": [{"outcome": one.outcome, "at_us": one.end_us} for one in windows[::-1]][:20],
        "policy": {key: value for key, value in asdict(policy).items() if key != "regimes"},
        "findings": [_finding(one, times, len(among), policy) for one, times in zip(points, seen, strict=True)],
        "found": count,
        "compared": len({cell.column for cell in cells if cell.place == last.id}),
        "map": _over_time(cells, windows, policy),
        "assets_map": grid(assets, [(one, one) for one in moved[:30]]),
        "more_columns": max(0, len(moved) - 30),
        "triggers": [{**_trigger(one), "trail": _trail(book, one)} for one in triggers[:MOST_TRIGGERS]],
    }


def _over_time(cells: Sequence[Cell], windows: Sequence[CheckedWindow], policy: DriftPolicy) -> dict[str, Any]:
    names = {"prediction": "the model's scores", "performance": "what was predicted, by outcomes"}
    named = squares(cells, policy)
    kinds = {cell.column: names.get(cell.kind, cell.column) for cell in cells}
    found = {(kinds[column], place): square for (column, place), square in named.items()}
    return grid(found, [(one.id, moment(one.end_us)) for one in windows])


def _finding(point: Point, times: int, among: int, policy: DriftPolicy) -> dict[str, Any]:
    """Return a finding as a line: what of whom, by which method, how far beyond what matters, how often."""
    one = point.finding
    least = least_effect(one.column, one.method, policy)
    return {
        **asdict(one),
        "kind": point.kind,
        "whom": _scope(one.scope),
        "how": METHODS.get(one.method, one.method) if point.kind != "performance" else "the error, as a ratio",
        "least": least if point.kind != "performance" else None,
        "times": times_least(one.method, one.effect, least),
        "seen": times,
        "among": among,
    }


def _scope(scope: str) -> dict[str, str]:
    """Return a scope with its words, and the asset whose page it leads to."""
    asset = "" if scope in TOGETHER else scope.split("/", maxsplit=1)[0]
    return {"scope": scope, "words": _WHOM.get(scope, scope), "asset": asset}


def _standing(parts: WebParts) -> Lines:
    """Return what stands, the newest first, without its trail."""
    book = parts.drifts
    if book is None:
        return []
    look = parts.looks.at("triggers", lambda: [_trigger(one) for one in book.triggers(standing=True)])
    return look.value or []


def _trigger(one: Trigger) -> dict[str, Any]:
    return {
        **asdict(one),
        "subject": f"{one.model}@{one.number}",
        "assets": list(one.assets),
        "columns": [*one.columns],
    }


def _trail(book: DriftBook, one: Trigger) -> Lines:
    return [asdict(act) for act in book.trail(one.id)]
