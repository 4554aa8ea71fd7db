"""What on the page needs a person: rules over the lines that the lists show."""

from __future__ import annotations

from typing import Any

from lineshaft_governance.web.words import age, duration, segment

Lines = list[dict[str, Any]]


def attention(views: Lines, checkpoints: Lines, drift: Lines, models: Lines, held: Lines) -> Lines:
    """Return what needs a person, the worst first: level ("bad" or "warn"), text, and where to look."""
    found = [
        *(line for view in views for line in _of_view(view)),
        *(line for run in checkpoints for line in _of_checkpoint(run)),
        *(line for check in drift for line in _of_drift(check)),
        *(line for model in models for line in _of_model(model)),
        *_of_quarantine(held),
    ]
    return sorted(found, key=lambda line: line["level"] != "bad")


def _of_view(view: dict[str, Any]) -> Lines:
    link = f"/views/{segment(view['name'])}"
    found = []
    if not view["owner"]:
        found.append(_line("warn", f"View {view['name']} has no owner", link))
    if view["rows"] == 0:
        found.append(_line("warn", f"View {view['name']} was never materialized", link))
    elif view["stale"]:
        text = f"View {view['name']} is stale: newest row {age(view['age_us'])} old, ttl {duration(view['ttl_us'])}"
        found.append(_line("warn", text, link))
    return found


def _of_checkpoint(run: dict[str, Any]) -> Lines:
    link, view = f"/checkpoints/{segment(run['view'])}", run["view"]
    if run["outcome"] == "could_not_run":
        return [_line("bad", f"The last checkpoint of {view} could not be run; its batch is held", link)]
    if run["outcome"] == "failed":
        text = f"The last checkpoint of {view} failed: {run['last_quarantined']} of {run['rows']} rows quarantined"
        return [_line("bad", text, link)]
    return []


def _of_quarantine(held: Lines) -> Lines:
    """Return a line for each thing of which something is held, with the rule that held the oldest batch."""
    found = []
    for what in dict.fromkeys(line["what"] for line in held):
        mine = [line for line in held if line["what"] == what]
        link = f"/quarantine/{mine[0]['id']}" if len(mine) == 1 else f"/quarantine?q={segment(what)}"
        batches = "a batch waits" if len(mine) == 1 else f"{len(mine)} batches wait"
        text = f"{sum(line['rows'] for line in mine):,} rows of {what} are in quarantine, {batches}: {mine[0]['why']}"
        found.append(_line("warn", text, link))
    return found


def _of_drift(check: dict[str, Any]) -> Lines:
    link, subject = f"/drift/{segment(check['subject'])}", check["subject"]
    if check["outcome"] == "drift":
        why = f": {check['cause'].replace('_', ' ')}, {check['state']}" if check["cause"] else ""
        text = f"{len(check['drifted'])} of {check['compared']} inputs of {subject} drifted{why}"
        return [_line("bad", text, link)]
    if check["outcome"] == "unknown":
        return [_line("warn", f"Drift of {subject} is unknown: too few independent values", link)]
    return []


def _of_model(model: dict[str, Any]) -> Lines:
    link, found = f"/models/{segment(model['name'])}", []
    if model["champion"] is None:
        verdict = model["newest_verdict"]
        why = f": {verdict['outcome']}, {verdict['detail']}" if verdict else ""
        found.append(_line("warn", f"Model {model['name']} has no champion here{why}", link))
    if model["outdated_pins"]:
        text = f"The champion of {model['name']} reads an older version of {', '.join(model['outdated_pins'])}"
        found.append(_line("warn", text, link))
    if not model["owner"]:
        found.append(_line("warn", f"Model {model['name']} has no owner", link))
    return found


def _line(level: str, text: str, link: str) -> dict[str, Any]:
    return {"level": level, "text": text, "link": link}
