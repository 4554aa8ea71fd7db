"""A plan as a comment on a pull request: faults first, then what changes, whom it reaches and what it costs."""

from __future__ import annotations

from collections.abc import Iterator

from lineshaft.definitions.diff import Change, Plan
from lineshaft.definitions.faults import Fault

MARK = "<!-- lineshaft plan -->"
"""The first line of the comment: by it a later run finds its own, and writes over it."""
_MOST = 50


def markdown(plan: Plan) -> str:
    """Write a plan in Markdown; what changes beyond the first fifty objects is counted."""
    return "\n".join([MARK, "### Lineshaft plan", "", *_verdict(plan), *_faults(plan), *_changes(plan)]) + "\n"


def _verdict(plan: Plan) -> Iterator[str]:
    refusing = [fault for fault in plan.faults if not fault.warning]
    breaking = sum(bool(change.breaking) for change in plan.changes)
    if refusing:
        yield f"**Refused**: {len(refusing)} fault{'s' if len(refusing) > 1 else ''} to mend."
    elif not plan.changes:
        yield "No changes."
    else:
        many = f"{len(plan.changes)} change{'s' if len(plan.changes) > 1 else ''}"
        yield f"**{many}**, {breaking or 'none'} of them breaking."
    yield ""


def _faults(plan: Plan) -> Iterator[str]:
    if plan.faults:
        yield from ("| | fault | where | way out |", "|---|---|---|---|")
        yield from map(_fault, plan.faults)
        yield ""


def _fault(fault: Fault) -> str:
    sign = "⚠️" if fault.warning else "❌"
    return f"| {sign} {fault.code} | {_cell(fault.what)} | `{fault.where or '–'}` | {_cell(fault.fix)} |"


def _changes(plan: Plan) -> Iterator[str]:
    if not plan.changes:
        return
    yield from (
        "| object | change | breaking | services | models | teams | backfill |",
        "|---|---|---|---|---|---|---|",
    )
    yield from map(_change, plan.changes[:_MOST])
    if len(plan.changes) > _MOST:
        yield ""
        yield f"… and {len(plan.changes) - _MOST} more."


def _change(change: Change) -> str:
    checks = [f"checks: {words}" for words in change.checks[:_MOST]]
    details = "<br>".join([change.verdict, *change.details[:_MOST], *checks])
    cells = (
        f"{change.kind} `{change.name}`",
        details,
        "<br>".join(change.breaking) or "no",
        *(", ".join(who) or "–" for who in (change.reaches.services, change.reaches.models, change.reaches.teams)),
        change.costs or ("yes" if change.recomputes else "–"),
    )
    return f"| {' | '.join(map(_cell, cells))} |"


def _cell(text: str) -> str:
    """Fit a text into a cell: what others write in names and prose stays text."""
    return text.replace("|", "\\|").replace("\n", " ").replace("@", "@\u200b")
