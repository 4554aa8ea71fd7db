"""Pages of machines: the fleet, and one asset with its spectrum, trends, scores and alerts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lineshaft.errors import NotFoundError
from lineshaft.registry.alerts import Alert
from lineshaft.registry.scores import KeptScore
from lineshaft.specs import Feature, View, row_schema
from lineshaft_governance.web.parts import Asked, Page, WebParts
from lineshaft_governance.web.pieces import PIECE
from lineshaft_governance.web.ranking import STATES, Judge, about, chosen, judges, ordered, ranked, said_of, trends
from lineshaft_governance.web.scores import recent_scores
from lineshaft_governance.web.spectrum import latest_spectrum
from lineshaft_governance.web.svg import Axis, Floats, Mark, curve, sparkline, thinned
from lineshaft_governance.web.words import short_moment

DAY_US = 86_400_000_000
WORTH_SEEING = ("velocity_rms", "rms", "kurtosis", "envelope_ratio[bpfo", "mean", "last")
"""Functions whose trend is shown first, by how their names begin."""
MOST_TRENDS = 4
FILTERS = ("model", "site", "class", "state", "sort")


def fleet(parts: WebParts, asked: Asked) -> Page:
    """List the machines: the worst by a model first, or those with alerts that nobody has seen."""
    look = parts.extents()
    known = judges(parts, asked)
    judge = next((one for one in known if one.model == asked.word("model")), known[0] if known else None)
    unseen = {} if parts.alerts is None else parts.alerts.unseen()
    roster = with_unseen(ranked(parts, judge), unseen)
    found = ordered(chosen(roster, asked), judge, asked)
    last = max(0, (found.num_rows - 1) // PIECE)
    number = min(asked.number("piece", 0), last)
    whole = asked.word("format") == "csv"
    shown = found if whole else found.slice(number * PIECE, PIECE)
    now_us = parts.clock.now_us()
    told = {} if whole else trends(parts, judge, shown["asset_id"].to_pylist())
    rows = [{**row, "age_us": now_us - row["newest_us"]} for row in shown.to_pylist()]
    filters = {name: asked.word(name) for name in FILTERS}
    return {
        "title": "Fleet",
        "assets": [{**row, "trend": told.get(row["asset_id"], [])} for row in rows],
        "table": rows,
        "judge": about(judge),
        "judges": [one.model for one in known],
        "sites": _choices(roster, "site"),
        "classes": _choices(roster, "class"),
        "states": STATES,
        "filters": {**filters, "model": "" if judge is None else judge.model},
        "search": {
            "q": asked.word("q"),
            "piece": number,
            "last": last,
            "found": found.num_rows,
            "of": roster.num_rows,
            "kept": urlencode({name: word for name, word in filters.items() if word}),
        },
        "unseen": sum(unseen.values()),
        "shown": {"trends": [sparkline(told.get(row["asset_id"], []), row["asset_id"]) for row in rows]},
        "waiting": look.waiting,
        "as_of": {
            "rows counted": look.at_us,
            "newest score": pc.max(roster["scored_us"]).as_py() if judge is not None else None,
        },
    }


def with_unseen(roster: pa.Table, unseen: Mapping[str, int]) -> pa.Table:
    """Put beside each machine how many alerts of it nobody has seen."""
    place = pc.index_in(roster["asset_id"], value_set=pa.array(list(unseen), pa.string()))
    counts = pc.fill_null(pa.array(list(unseen.values()), pa.int64()).take(place.combine_chunks()), 0)
    return roster.append_column("unseen", counts)


def _choices(roster: pa.Table, name: str) -> list[str]:
    return sorted(one for one in pc.unique(roster[name]).to_pylist() if one)


def asset(parts: WebParts, asked: Asked, name: str) -> Page:
    """Show one machine: alerts, the envelope spectrum of its newest block, trends, and what models said of it."""
    views = _views_of(parts, asked, name)
    alerts = [] if parts.alerts is None else parts.alerts.all(asset_id=name, limit=50)
    if not views and not alerts:
        raise NotFoundError(f"there are no rows of an asset {name!r}", fix="see the fleet")
    shown = [view for view, _ in views if asked.caller.may_read(view)]
    trends, pictures = _trends(parts, asked, name, views, alerts)
    spectrum, picture = latest_spectrum(parts, asked, name, shown)
    scores = recent_scores(parts, asked, name)
    said = said_of(parts, asked, name, since_us=parts.clock.now_us() - _days(asked) * DAY_US)
    return {
        "title": name,
        "asset": name,
        "views": [{"name": view.name, "newest_us": newest, "owner": view.owner} for view, newest in views],
        "kept_back": sorted({view.team for view, _ in views if not asked.caller.may_read(view)}),
        "alerts": [alert_line(alert) for alert in alerts],
        "trends": trends,
        "choices": [f"{view.name}__{one.name}" for view in shown for one in view.features if one.dtype == "float64"],
        "feature": asked.word("feature"),
        "days": _days(asked),
        "spectrum": spectrum,
        "scores": scores,
        "said": [
            {**asdict(judge), "points": [{"at_us": one.at_us, "score": one.score} for one in kept]}
            for judge, kept in said.values()
        ],
        "shown": {
            "trends": pictures,
            "spectrum": picture,
            "said": [_score_picture(judge, kept, alerts) for judge, kept in said.values()],
        },
        "table": [{"feature": one["feature"], **point} for one in trends for point in one["points"]],
        "as_of": {"newest row": max((newest for _, newest in views), default=None)},
    }


def alert_line(alert: Alert) -> dict[str, Any]:
    """Return an alert as lists show it."""
    line = asdict(alert)
    return {**line, "because": [list(one) for one in alert.because], "version": alert.version, "finding": None}


def _views_of(parts: WebParts, _asked: Asked, name: str) -> list[tuple[View, int]]:
    """Return the views that have rows of an asset, each with its newest."""
    extents = parts.extents().value or {}
    found = []
    for view in parts.catalog.views():
        held = extents.get(view.ref)
        if held is None or not held.assets.num_rows:
            continue
        place = pc.index(held.assets["asset_id"], name).as_py()
        if place >= 0:
            found.append((view, held.assets["newest_us"][place].as_py()))
    return found


def _trends(
    parts: WebParts, asked: Asked, name: str, views: Sequence[tuple[View, int]], alerts: Sequence[Alert]
) -> tuple[list[dict[str, Any]], list[Any]]:
    """Return the trends of an asset as points, and as pictures with its alerts marked."""
    wanted = _chosen(asked, [(view, newest) for view, newest in views if asked.caller.may_read(view)])
    days = _days(asked)
    marks = [Mark(at=alert.at_us / 1e6, name="alert", kind="alert") for alert in alerts]
    told, pictures = [], []
    read = {view.name: _rows(parts, view, wanted, name, newest - days * DAY_US) for view, _, newest in wanted}
    for view, feature, _ in wanted:
        times, values = _points(read[view.name], feature)
        points = [{"at_us": round(at * 1e6), "value": value} for at, value in zip(times, values, strict=True)]
        told.append({"feature": f"{view.name}__{feature.name}", "unit": feature.unit, "points": points})
        pictures.append(_picture(times, values, feature, marks))
    return told, pictures


def _days(asked: Asked) -> int:
    return max(1, min(asked.number("days", 7), 365))


def _chosen(asked: Asked, views: Sequence[tuple[View, int]]) -> list[tuple[View, Feature, int]]:
    """Return the feature that was asked for, or the few that are worth seeing first."""
    every = [(view, feature, newest) for view, newest in views for feature in view.features]
    if asked.word("feature"):
        return [one for one in every if f"{one[0].name}__{one[1].name}" == asked.word("feature")]
    first = []
    for begins in WORTH_SEEING:
        own = [one for one in every if one[1].function.startswith(begins)]
        first += sorted(own, key=lambda one: one[1].window_us)[:1]
    return list({(view.name, one.name): (view, one, at) for view, one, at in first or every}.values())[:MOST_TRENDS]


def _rows(
    parts: WebParts, view: View, wanted: Sequence[tuple[View, Feature, int]], name: str, from_us: int
) -> pa.Table:
    """Return the rows of an asset with the features wanted of a view, the newest version of each, oldest first."""
    features = [feature.name for of, feature, _ in wanted if of.name == view.name]
    empty = row_schema(view, features).empty_table()
    tables = parts.offline.read_rows(view, features=features, start_us=from_us, assets=[name])
    table = pa.concat_tables([empty, *tables]).sort_by([("event_time", "ascending"), ("known_at", "ascending")])
    times = np.asarray(table["event_time"].cast(pa.int64()).to_numpy())
    return table.filter(pa.array(np.append(times[1:] != times[:-1], len(times) > 0)[: len(times)], pa.bool_()))


def _points(table: pa.Table, feature: Feature) -> tuple[Floats, Floats]:
    """Return a curve: when, in seconds, and the value."""
    times = np.asarray(table["event_time"].cast(pa.int64()).to_numpy()) / 1e6
    return thinned(times, np.asarray(table[feature.name].cast(pa.float64()).to_numpy(), dtype=np.float64))


def _score_picture(judge: Judge, kept: Sequence[KeptScore], alerts: Sequence[Alert]) -> Any:
    """Draw what a model said of a machine, with its alerts marked."""
    times = np.array([one.at_us / 1e6 for one in kept])
    values = np.array([np.nan if one.score is None else one.score for one in kept], dtype=np.float64)
    marks = [Mark(at=one.at_us / 1e6, name="alert", kind="alert") for one in alerts if one.model == judge.model]
    score = Feature(name=f"what {judge.model} said", unit="1")
    return _picture(times, values, score, marks)


def _picture(times: Floats, values: Floats, feature: Feature, marks: Sequence[Mark]) -> Any:
    known = values[np.isfinite(values)]
    if not len(known):
        return None
    low, high = float(times[0]), float(times[-1])
    high = high if high > low else low + 60
    steps = np.linspace(low, high, 6)[:-1]
    across = Axis(low=low, high=high, name="", ticks=[(at, short_moment(round(at * 1e6))) for at in steps.tolist()])
    up = Axis.of_numbers(
        min(0.0, float(known.min())), float(known.max()) * 1.05, "" if feature.unit == "1" else feature.unit
    )
    return curve(times, values, across=across, up=up, title=f"Trend of {feature.name}", marks=marks)
