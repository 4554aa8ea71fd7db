"""The fleet as one model sees it: the last score of each machine, the worst first, with its site and class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lineshaft.models.alarms import AlarmRule
from lineshaft.ops.assets import told_of_assets
from lineshaft.registry.records import ModelVersion
from lineshaft.registry.scores import KeptScore, LastScore, ScoreBook
from lineshaft.specs import Service
from lineshaft_governance.web.parts import Asked, WebParts

DAY_US = 86_400_000_000
TREND_US = 7 * DAY_US
_LOW_IS_WORSE = {"rul", "survival"}
_FRESH_S = 15.0
STATES = {
    "alerts": "with alerts not seen",
    "past": "past the threshold",
    "degraded": "scored with inputs missing",
    "unscored": "without a score",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """A model whose scores rank machines: from where on it alerts, and which end of its scores is worse."""

    model: str
    task: str
    threshold: float | None
    low_is_worse: bool


def judges(parts: WebParts, asked: Asked) -> list[Judge]:
    """Return the models that scored the fleet and that the caller may ask, by name."""
    book = parts.fleet_scores
    if book is None:
        return []
    found = parts.looks.at("judges", lambda: _judges(parts, book), fresh_s=_FRESH_S).value or []
    return [judge for judge, service in found if asked.caller.may_read(service)]


def _judges(parts: WebParts, book: ScoreBook) -> list[tuple[Judge, Service]]:
    champions = {one.name: one.champions.get(parts.project) for one in parts.registry.models()}
    found = []
    for name in book.models():
        number = champions.get(name)
        if number is None:
            continue
        version = parts.registry.get(name, number)
        found.append((_judge(version), Service.from_json(version.service_json)))
    return found


def _judge(version: ModelVersion) -> Judge:
    rule = AlarmRule.of(version.params, task=version.task)
    return Judge(
        model=version.model,
        task=version.task,
        threshold=None if rule is None else rule.threshold,
        low_is_worse=rule.below if rule is not None else version.task in _LOW_IS_WORSE,
    )


def ranked(parts: WebParts, judge: Judge | None) -> pa.Table:
    """Return every machine with its newest row, site and class, and the worst of its last scores by a model."""
    name = "" if judge is None else judge.model
    look = parts.looks.at(("ranked", name), lambda: _ranked(parts, judge), fresh_s=_FRESH_S)
    return look.value if look.value is not None else _with_scores(_placed(parts.roster, {}, {}), [], None)


def _ranked(parts: WebParts, judge: Judge | None) -> pa.Table:
    sites = {**told_of_assets("site", parts.tables), **parts.registry.sites.placed(parts.project)}
    table = _placed(parts.roster, sites, told_of_assets("class", parts.tables))
    book = parts.fleet_scores
    last = [] if book is None or judge is None else book.last_of_assets(judge.model)
    return _with_scores(table, last, judge)


def _placed(roster: pa.Table, sites: Mapping[str, str], classes: Mapping[str, str]) -> pa.Table:
    for name, told in (("site", sites), ("class", classes)):
        roster = roster.append_column(name, pc.fill_null(_looked_up(roster["asset_id"], told), ""))
    return roster


def _looked_up(names: pa.ChunkedArray, told: Mapping[str, str]) -> pa.ChunkedArray:
    place = pc.index_in(names, value_set=pa.array(list(told), pa.string()))
    return pa.chunked_array([pa.array(list(told.values()), pa.string()).take(place.combine_chunks())])


def _with_scores(table: pa.Table, last: Sequence[LastScore], judge: Judge | None) -> pa.Table:
    """Put the worst score of each machine beside it."""
    low = judge is not None and judge.low_is_worse
    worst: dict[str, LastScore] = {}
    for one in last:
        held = worst.get(one.asset_id)
        if held is None or held.score is None or (one.score is not None and (one.score < held.score) == low):
            worst[one.asset_id] = one
    mine = [worst.get(name) for name in table["asset_id"].to_pylist()] if worst else [None] * table.num_rows
    limit = None if judge is None else judge.threshold
    scores = [None if one is None else one.score for one in mine]
    past = [limit is not None and score is not None and (score <= limit if low else score >= limit) for score in scores]
    columns = {
        "score": pa.array(scores, pa.float64()),
        "scored_us": pa.array([None if one is None else one.at_us for one in mine], pa.int64()),
        "status": pa.array([0 if one is None else one.status for one in mine], pa.int64()),
        "degraded": pa.array([one is not None and bool(one.degraded) for one in mine], pa.bool_()),
        "past": pa.array(past, pa.bool_()),
    }
    for name, column in columns.items():
        table = table.append_column(name, column)
    return table


def chosen(table: pa.Table, asked: Asked) -> pa.Table:
    """Return the machines that a query asks for: words of the name, a site, a class, a state."""
    for word in asked.word("q").split():
        table = table.filter(pc.match_substring(table["asset_id"], word, ignore_case=True))
    for name in ("site", "class"):
        if asked.word(name):
            table = table.filter(pc.equal(table[name], asked.word(name)))
    state = asked.word("state")
    if state == "alerts":
        return table.filter(pc.greater(table["unseen"], 0))
    if state == "unscored":
        return table.filter(pc.is_null(table["score"]))
    return table.filter(table[state]) if state in {"past", "degraded"} else table


def ordered(table: pa.Table, judge: Judge | None, asked: Asked) -> pa.Table:
    """Return machines in the order asked for: by score, the worst first; by alerts; by name."""
    way = asked.word("sort") or ("alerts" if judge is None else "score")
    by_name = ("asset_id", "ascending")
    if way == "score" and judge is not None:
        return table.sort_by([("score", "ascending" if judge.low_is_worse else "descending"), by_name])
    return table.sort_by([("unseen", "descending"), by_name] if way == "alerts" else [by_name])


def trends(parts: WebParts, judge: Judge | None, names: Sequence[str]) -> dict[str, list[tuple[int, float]]]:
    """Return what a model said of some machines in the last week, oldest first."""
    book = parts.fleet_scores
    if book is None or judge is None or not names:
        return {}
    since_us = parts.clock.now_us() - TREND_US
    found: dict[str, list[tuple[int, float]]] = {}
    for one in book.history(names, since_us=since_us, model=judge.model):
        if one.score is not None:
            found.setdefault(str(one.entity.get("asset_id", "")), []).append((one.at_us, one.score))
    return found


def said_of(parts: WebParts, asked: Asked, name: str, *, since_us: int) -> dict[str, tuple[Judge, list[KeptScore]]]:
    """Return what the models that the caller may ask said of one machine, by model."""
    known = {judge.model: judge for judge in judges(parts, asked)}
    book = parts.fleet_scores
    found: dict[str, tuple[Judge, list[KeptScore]]] = {}
    for one in [] if book is None or not known else book.history([name], since_us=since_us):
        if one.model in known:
            found.setdefault(one.model, (known[one.model], []))[1].append(one)
    return found


def about(judge: Judge | None) -> dict[str, Any] | None:
    """Return a model that ranks as plain data."""
    return None if judge is None else asdict(judge)
