"""Pages of quarantine: what is held, by which rule, since when, whose it is, and what became of the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import pyarrow as pa

from lineshaft.access.principal import EVERY_TEAM, Role
from lineshaft.errors import CorruptError, NotFoundError
from lineshaft.ops.quarantine import REASON, Held, find_held, held_batches
from lineshaft.ops.release import Decision, decisions
from lineshaft.specs import View
from lineshaft_governance.web.parts import Asked, Page, WebParts
from lineshaft_governance.web.pieces import piece

Lines = list[dict[str, Any]]
HELD = "quarantine"
"""The look at what is held: forgotten when somebody decides."""
MOST_DECISIONS = 50
SAMPLE = 20
_COLUMNS = 12
_BLOCK = "payload"  # samples: nothing to read


def quarantine(parts: WebParts, asked: Asked) -> Page:
    """List what waits for a decision, oldest first, and what was decided lately."""
    lines, read_us = held_lines(parts)
    shown, about = piece(lines, asked, text=lambda line: f"{line['what']} {line['why']} {line['team']} {line['owner']}")
    decided, broken = _decided(parts)
    return {
        "title": "Quarantine",
        "held": shown,
        "rows": sum(line["rows"] for line in lines),
        "decided": decided[:MOST_DECISIONS],
        "broken": broken,
        "table": [{key: value for key, value in line.items() if key != "reasons"} for line in shown],
        "search": about,
        "as_of": {"quarantine read": read_us},
    }


def held_lines(parts: WebParts) -> tuple[Lines, int | None]:
    """Return a line for each batch that waits for a decision, and when that was read."""
    look = parts.looks.at(HELD, lambda: [_line(parts, one) for one in held_batches(parts.work)])
    return look.value or [], look.at_us


def held_batch(parts: WebParts, asked: Asked, name: str) -> Page:
    """Show one batch: rules, some of its rows to whom may read them, and how it is decided; or how it was."""
    try:
        found = find_held(parts.work, name)
    except NotFoundError:
        mine = [one for one in _decided(parts)[0] if one["batch"].startswith(name)]
        if not mine:
            raise
        return {
            "title": f"Batch {name} of {mine[0]['what']}",
            "batch": None,
            "decided": mine,
            "sample": [],
            "columns": [],
            "table": mine,
            "as_of": {"decided": mine[0]["at_us"]},
        }
    line = _line(parts, found)
    teams = teams_of(parts, found)
    may_see = all(asked.caller.principal.role_in(team) >= Role.READER for team in teams)
    sample, columns = _sample(found) if may_see else ([], [])
    return {
        "title": f"Batch {found.id} of {found.what}",
        "batch": line,
        "decided": [],
        "sample": sample,
        "columns": columns,
        "kept_back": [] if may_see else sorted(teams),
        "may_decide": parts.keeper is not None
        and all(asked.caller.principal.role_in(team) >= Role.ADMIN for team in teams),
        "teams": sorted(teams - {EVERY_TEAM}),
        "table": sample,
        "as_of": {"held since": found.since_us},
    }


def teams_of(parts: WebParts, held: Held) -> set[str]:
    """Return whose a batch is: all teams that would be given its rows; every team where nobody knows."""
    if held.kind == "training":
        teams = {one.team for one in parts.registry.models() if one.name == held.name}
    else:
        teams = {view.team for view in _views(parts, held)}
    return teams - {""} or {EVERY_TEAM}


def _line(parts: WebParts, held: Held) -> dict[str, Any]:
    """Return a batch as lists show it."""
    views = _views(parts, held)
    first = held.reasons[0] if held.reasons else ("", 0)
    return {
        "id": held.id,
        "what": held.what,
        "kind": held.kind,
        "name": held.name,
        "rows": held.rows,
        "since_us": held.since_us,
        "why": first[0],
        "why_rows": first[1],
        "more": max(0, len(held.reasons) - 1),
        "reasons": [{"why": why, "rows": rows} for why, rows in held.reasons[:40]],
        "owner": ", ".join(dict.fromkeys(view.owner for view in views if view.owner)),
        "team": ", ".join(sorted(teams_of(parts, held) - {EVERY_TEAM})),
    }


def _views(parts: WebParts, held: Held) -> Sequence[View]:
    name = held.name
    return [
        view
        for view in parts.catalog.views()
        if (held.kind == "view" and view.name == name) or (held.kind == "source" and view.source.name == name)
    ]


def _sample(held: Held) -> tuple[Lines, list[str]]:
    """Return the first rows of a batch, those columns first that its rules name."""
    table = held.table()
    said = " ".join(why for why, _ in held.reasons)
    keys = [name for name in table.column_names if pa.types.is_string(table.schema.field(name).type)]
    times = [name for name in table.column_names if pa.types.is_temporal(table.schema.field(name).type)]
    named = [name for name in table.column_names if name in said]
    order = [REASON, *keys, *times[:1], *named, *table.column_names]
    columns = [name for name in dict.fromkeys(order) if name != _BLOCK][:_COLUMNS]
    rows = table.select(columns).slice(0, SAMPLE).to_pylist()
    return [{name: _plain(value) for name, value in row.items()} for row in rows], columns


def _plain(value: Any) -> Any:
    """Return a value as JSON and people read it.

    >>> _plain(b"ab"), _plain(1.5)
    ('2 bytes', 1.5)
    """
    if isinstance(value, datetime):
        return value.isoformat(sep=" ").removesuffix("+00:00")
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _decided(parts: WebParts) -> tuple[Lines, str]:
    """Return every decision, the newest first; or what is wrong with their log."""
    try:
        return [_told(one) for one in decisions(parts.work)][::-1], ""
    except CorruptError as error:
        return [], f"{error.what} ({error.where})"


def _told(one: Decision) -> dict[str, Any]:
    return {**asdict(one), "id": one.batch[:12]}
