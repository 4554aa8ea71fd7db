"""Drift in the database: sketches of versions, checks with their points, and triggers with their trail."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Engine, insert, select, update
from sqlalchemy.exc import IntegrityError

from lineshaft.clock import Clock
from lineshaft.drift.findings import Finding
from lineshaft.drift.sketch import Sketch
from lineshaft.errors import NotFoundError
from lineshaft.registry.artifacts import ArtifactStore
from lineshaft.registry.drift_tables import ACT, POINT, SKETCH, TRIGGER, WINDOW
from lineshaft.registry.engine import connected
from lineshaft.registry.reading import RegistryReader


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedWindow:
    """One check of a version: which rows, what came of it, and of whom there is an alarm after it."""

    project: str
    model: str
    number: int
    start_us: int
    end_us: int
    checked_us: int
    rows: int
    assets: int
    outcome: str  # "drift", "none", or "unknown"
    standing: tuple[str, ...]

    @property
    def id(self) -> str:
        """Return its name: the same for who checks the same window of the same version."""
        return _digest(self.project, self.model, self.number, self.start_us, self.end_us)

    @staticmethod
    def of(row: Any) -> CheckedWindow:
        """Return a check from its row."""
        names = [name for name in CheckedWindow.__slots__ if name != "standing"]
        return CheckedWindow(standing=tuple(json.loads(row.standing)), **{name: getattr(row, name) for name in names})


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A finding of a check, and whether it is of an input, of the scores, or of matured performance."""

    kind: str  # "feature", "prediction", "performance"
    finding: Finding

    @staticmethod
    def of(row: Any) -> Point:
        """Return a finding from its row; what was not known is NaN again."""
        values = {name: getattr(row, name) for name in Finding.__slots__}
        known: dict[str, Any] = {name: math.nan if value is None else value for name, value in values.items()}
        return Point(kind=row.kind, finding=Finding(**known))


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """What stands behind alarms, diagnosed, and how far it has come.

    `state`: "ticket" (somebody is told, nothing is trained), "waiting" (for labels, or the end of a cool-down),
    "training", "challenging", "promoted", "kept" (the champion was better), "failed", or "over" (it went by itself).
    """

    id: str
    model: str
    number: int
    cause: str
    assets: tuple[str, ...]
    columns: tuple[str, ...]
    detail: str
    state: str
    raised_us: int
    closed_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """A line of a trigger's trail."""

    at_us: int
    state: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftBook:
    """The drift of one project."""

    engine: Engine
    artifacts: ArtifactStore
    clock: Clock
    project: str

    def keep_sketch(self, model: str, number: int, sketch: Sketch) -> str:
        """Keep what a version was trained on, as an artifact of it; return its hash."""
        digest = self.artifacts.put(sketch.to_bytes(), artifact_format="json")
        row = {"model": model, "number": number, "artifact_sha256": digest, "made_us": self.clock.now_us()}
        with connected(self.engine, writing=True) as connection:
            connection.execute(insert(SKETCH).values(row))
        return digest

    def sketch(self, model: str, number: int) -> Sketch:
        """Return what a version was trained on; raises `NotFoundError` for one of before sketches were kept."""
        query = select(SKETCH.c.artifact_sha256).where(SKETCH.c.model == model, SKETCH.c.number == number)
        with connected(self.engine) as connection:
            digest = connection.execute(query).scalar()
        if digest is None:
            raise NotFoundError(f"{model}@{number} has no sketch of its training set", fix=f"`lineshaft train {model}`")
        return Sketch.read(self.artifacts.get(digest, artifact_format="json"))

    def add(self, window: CheckedWindow, points: Sequence[Point]) -> bool:
        """Write a check down; return whether it is a new one."""
        row = {name: getattr(window, name) for name in CheckedWindow.__slots__}
        row |= {"id": window.id, "standing": json.dumps(list(window.standing))}
        rows = [{"window_id": window.id, "kind": one.kind, **_plain(asdict(one.finding))} for one in points]
        try:
            with connected(self.engine, writing=True) as connection:
                connection.execute(insert(WINDOW).values(row))
                if rows:
                    connection.execute(insert(POINT), rows)
        except IntegrityError:
            return False
        return True

    def windows(self, model: str, number: int, *, limit: int = 100) -> list[CheckedWindow]:
        """Return the newest checks of a version, oldest first."""
        mine = (WINDOW.c.project == self.project) & (WINDOW.c.model == model) & (WINDOW.c.number == number)
        query = select(WINDOW).where(mine).order_by(WINDOW.c.end_us.desc()).limit(limit)
        with connected(self.engine) as connection:
            rows = connection.execute(query).all()
        return [CheckedWindow.of(row) for row in rows][::-1]

    def points(self, windows: Sequence[CheckedWindow]) -> dict[str, list[Point]]:
        """Return what these checks found, by the id of each; what was not known is NaN again."""
        found: dict[str, list[Point]] = {one.id: [] for one in windows}
        query = select(POINT).where(POINT.c.window_id.in_(list(found))).order_by(POINT.c.id)
        with connected(self.engine) as connection:
            for row in connection.execute(query).all():
                found[row.window_id].append(Point.of(row))
        return found

    def open_trigger(self, wanted: Trigger, *, detail: str) -> None:
        """Write a trigger down, with the first line of its trail."""
        row = {name: getattr(wanted, name) for name in Trigger.__slots__}
        row |= {"assets": json.dumps(wanted.assets), "columns": json.dumps(wanted.columns), "project": self.project}
        with connected(self.engine, writing=True) as connection:
            connection.execute(insert(TRIGGER).values(row))
            connection.execute(insert(ACT).values(_act(wanted.id, wanted.raised_us, wanted.state, detail)))

    def move(self, id: str, state: str, detail: str, *, closed: bool = False) -> None:  # noqa: A002 - the column's name
        """Add a line to a trigger's trail; the state it says is the trigger's from now on."""
        now = self.clock.now_us()
        values: dict[str, Any] = {"state": state, **({"closed_us": now} if closed else {})}
        with connected(self.engine, writing=True) as connection:
            mine = (TRIGGER.c.id == id) & (TRIGGER.c.project == self.project)
            connection.execute(update(TRIGGER).where(mine).values(**values))
            connection.execute(insert(ACT).values(_act(id, now, state, detail)))

    def triggers(self, model: str = "", *, standing: bool = False) -> list[Trigger]:
        """Return triggers, newest first; of one model, or those that stand, if asked."""
        query = select(TRIGGER).where(TRIGGER.c.project == self.project).order_by(TRIGGER.c.raised_us.desc())
        if model:
            query = query.where(TRIGGER.c.model == model)
        if standing:
            query = query.where(TRIGGER.c.closed_us.is_(None))
        with connected(self.engine) as connection:
            rows = connection.execute(query).all()
        names = [name for name in Trigger.__slots__ if name not in ("assets", "columns")]
        lists = [(tuple(json.loads(row.assets)), tuple(json.loads(row.columns))) for row in rows]
        return [
            Trigger(assets=assets, columns=columns, **{name: getattr(row, name) for name in names})
            for row, (assets, columns) in zip(rows, lists, strict=True)
        ]

    def trail(self, id: str) -> list[Act]:  # noqa: A002 - the column's name
        """Return what was done about a trigger, oldest first."""
        query = select(ACT).where(ACT.c.trigger_id == id).order_by(ACT.c.id)
        with connected(self.engine) as connection:
            rows = connection.execute(query).all()
        return [Act(at_us=row.at_us, state=row.state, detail=row.detail) for row in rows]


def drift_book(registry: RegistryReader, project: str) -> DriftBook:
    """Return the drift of a project, in the database and among the artifacts of its models."""
    return DriftBook(engine=registry.engine, artifacts=registry.artifacts, clock=registry.clock, project=project)


def trigger_id(project: str, model: str, cause: str, raised_us: int) -> str:
    """Return the name of a trigger.

    >>> trigger_id("dev", "m", "sensor", 5) == trigger_id("dev", "m", "sensor", 6)
    False
    """
    return _digest(project, model, cause, raised_us)


def _act(id: str, at_us: int, state: str, detail: str) -> dict[str, object]:  # noqa: A002 - the column's name
    return {"trigger_id": id, "at_us": at_us, "state": state, "detail": detail}


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """Return values with null for what is no number, which Postgres and JSON read differently."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in values.items()
    }
