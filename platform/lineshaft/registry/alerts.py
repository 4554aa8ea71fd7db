"""Alerts in the database: raised once, told of, gone on, ended, acknowledged."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import func, insert, select, update
from sqlalchemy.exc import IntegrityError

from lineshaft.clock import Clock
from lineshaft.errors import InputError, NotFoundError
from lineshaft.registry.alert_tables import ALERT, FINDING
from lineshaft.registry.engine import connected, open_engine

Because = Sequence[tuple[str, float, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """An episode in which a model's scores of one entity passed its threshold."""

    id: str
    project: str
    model: str
    number: int
    asset_id: str
    entity: Mapping[str, Any]
    at_us: int
    raised_us: int
    score: float
    threshold: float
    because: Because = ()  # (feature, value, contribution), the most telling first
    routed: Mapping[str, str] | None = None  # by route: "sent", or why not
    ended_us: int | None = None
    passing: int = 1
    worst: float = 0.0
    acked_us: int | None = None
    acked_by: str = ""
    note: str = ""

    @property
    def version(self) -> str:
        """Return `model@number`."""
        return f"{self.model}@{self.number}"

    @property
    def told(self) -> str:
        """Return the alert in a sentence of its own; nothing where its figures say it."""
        return ""


class Answer(StrEnum):
    """What somebody says of an alert who looked at what it is about."""

    CONFIRMED = "confirmed"  # there is damage
    FALSE = "false"  # it is sound
    UNKNOWN = "unknown"  # it cannot be told; this takes back what was said before


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertFinding:
    """What somebody found of an alert: when they looked, and when they said so. The last that was said counts."""

    alert: str
    model: str
    asset_id: str
    answer: Answer
    looked_us: int
    said_us: int
    said_by: str
    note: str = ""


def episode_id(project: str, model: str, entity: Mapping[str, Any], at_us: int) -> str:
    """Return the name of an episode: the same wherever it is seen, so that it is raised once.

    >>> episode_id("dev", "m", {"asset_id": "a"}, 7) == episode_id("dev", "m", {"asset_id": "a"}, 7)
    True
    """
    told = json.dumps([project, model, dict(entity), at_us], sort_keys=True, default=str)
    return hashlib.sha256(told.encode()).hexdigest()[:16]


class AlertBook:
    """The alerts of one project. The table is made by `lineshaft.registry.migrate`."""

    def __init__(self, database_url: str, *, project: str, clock: Clock) -> None:
        self._engine = open_engine(database_url)
        self.project, self._clock = project, clock

    def close(self) -> None:
        """Give back the connections."""
        self._engine.dispose()

    def add(self, alert: Alert) -> bool:
        """Write an alert down; return whether it is a new one, and not one that somebody else has raised."""
        row = {name: getattr(alert, name) for name in Alert.__slots__}
        told = {name: json.dumps(row[name] or {}, default=str) for name in ("entity", "routed")}
        row |= {**told, "because": json.dumps([list(one) for one in alert.because])}
        try:
            with connected(self._engine, writing=True) as connection:
                connection.execute(insert(ALERT).values(**row))
        except IntegrityError:
            return False
        return True

    def told(self, id: str, routed: Mapping[str, str]) -> None:  # noqa: A002 - the column's name
        """Keep what became of an alert on its routes."""
        self._change(id, routed=json.dumps(dict(routed)))

    def went_on(self, id: str, *, passing: int, worst: float, ended_us: int | None) -> None:  # noqa: A002
        """Keep how an episode goes on, or that it ended."""
        self._change(id, passing=passing, worst=worst, ended_us=ended_us)

    def ack(self, id: str, *, by: str, note: str = "") -> Alert:  # noqa: A002
        """Acknowledge an alert; the first to do so is kept. Raises `NotFoundError`."""
        mine = self._mine(update(ALERT)).where(ALERT.c.id == id, ALERT.c.acked_us.is_(None))
        with connected(self._engine, writing=True) as connection:
            connection.execute(mine.values(acked_us=self._clock.now_us(), acked_by=by, note=note))
        return self.get(id)

    def find(self, id: str, answer: Answer, *, by: str, note: str = "", looked_us: int | None = None) -> AlertFinding:  # noqa: A002
        """Keep what somebody found of an alert, which acknowledges it too; nothing that was said before is lost.

        looked_us: when they looked; now unless given. Raises `NotFoundError`, and `InputError` for a moment before the
        alert or in the future.
        """
        alert, now_us = self.get(id), self._clock.now_us()
        looked_us = now_us if looked_us is None else looked_us
        if not alert.at_us <= looked_us <= now_us:
            what = "nobody can have looked at an alert before it was raised, or later than now"
            raise InputError(what, where=id, fix="give the moment at which somebody looked")
        self.ack(id, by=by, note=note)
        told = {"alert": id, "model": alert.model, "asset_id": alert.asset_id, "said_by": by, "note": note}
        found = AlertFinding(**told, answer=answer, looked_us=looked_us, said_us=now_us)
        row = {name: getattr(found, name) for name in AlertFinding.__slots__}
        with connected(self._engine, writing=True) as connection:
            connection.execute(insert(FINDING).values(project=self.project, **{**row, "answer": str(answer)}))
        return found

    def findings(self, *, model: str = "", alert: str = "") -> list[AlertFinding]:
        """Return what was found of alerts, oldest first; of those of one model, or of one alert, if asked."""
        query = select(FINDING).where(FINDING.c.project == self.project)
        for column, value in ((FINDING.c.model, model), (FINDING.c.alert, alert)):
            query = query.where(column == value) if value else query
        with connected(self._engine) as connection:
            rows = connection.execute(query.order_by(FINDING.c.id)).all()
        names = [name for name in AlertFinding.__slots__ if name != "answer"]
        return [AlertFinding(**{name: getattr(row, name) for name in names}, answer=Answer(row.answer)) for row in rows]

    def all(self, *, model: str = "", asset_id: str = "", open_only: bool = False, limit: int = 1000) -> list[Alert]:
        """Return alerts, newest first; of one model or asset, or those not acknowledged, if asked."""
        wanted = [ALERT.c.model == model] if model else []
        if asset_id:
            wanted.append(ALERT.c.asset_id == asset_id)
        if open_only:
            wanted.append(ALERT.c.acked_us.is_(None))
        return self._read(*wanted, limit=limit)

    def get(self, id: str) -> Alert:  # noqa: A002
        """Return one alert; raises `NotFoundError`."""
        found = self._read(ALERT.c.id == id)
        if not found:
            raise NotFoundError(f"no alert {id!r}", fix="look for its id with `lineshaft alerts`")
        return found[0]

    def unseen(self) -> dict[str, int]:
        """Return how many alerts of each asset nobody has acknowledged."""
        query = self._mine(select(ALERT.c.asset_id, func.count())).where(ALERT.c.acked_us.is_(None))
        with connected(self._engine) as connection:
            return {asset: int(count) for asset, count in connection.execute(query.group_by(ALERT.c.asset_id))}

    def standing(self, model: str) -> list[Alert]:
        """Return the newest alert of each entity of a model: where its watch stood when it ended."""
        newest = self._mine(select(ALERT.c.entity, func.max(ALERT.c.at_us).label("at_us")))
        newest = newest.where(ALERT.c.model == model).group_by(ALERT.c.entity).subquery()
        query = self._mine(select(ALERT)).where(ALERT.c.model == model)
        same = (ALERT.c.entity == newest.c.entity) & (ALERT.c.at_us == newest.c.at_us)
        with connected(self._engine) as connection:
            return [_alert(row) for row in connection.execute(query.join(newest, same)).all()]

    def raised_since(self, model: str, since_us: int) -> int:
        """Return how many alerts of a model were sent since a moment: what a budget counts."""
        sent = ALERT.c.routed.not_like('%"over_budget"%')
        query = self._mine(select(func.count()).select_from(ALERT)).where(ALERT.c.model == model, sent)
        with connected(self._engine) as connection:
            return int(connection.execute(query.where(ALERT.c.raised_us >= since_us)).scalar_one())

    def _change(self, id: str, **values: Any) -> None:  # noqa: A002
        with connected(self._engine, writing=True) as connection:
            connection.execute(self._mine(update(ALERT)).where(ALERT.c.id == id).values(**values))

    def _read(self, *wanted: Any, limit: int = 1000) -> list[Alert]:
        query = self._mine(select(ALERT)).where(*wanted).order_by(ALERT.c.raised_us.desc(), ALERT.c.id).limit(limit)
        with connected(self._engine) as connection:
            return [_alert(row) for row in connection.execute(query).all()]

    def _mine(self, query: Any) -> Any:
        return query.where(ALERT.c.project == self.project)


def _alert(row: Any) -> Alert:
    values = {name: getattr(row, name) for name in Alert.__slots__}
    values |= {name: json.loads(values[name]) for name in ("entity", "routed")}
    return Alert(**{**values, "because": tuple((n, v, c) for n, v, c in json.loads(row.because))})
