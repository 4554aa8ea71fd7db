"""Runs in the database: what was tried or trained, with its parameters, figures and files, and how it ended.

A run that only one may do at a time holds its name until it ends. One that dies without a word is given up: at once by
whoever can see that it is gone, and by others when nothing was heard of it for a minute.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from numbers import Real
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from lineshaft.clock import Clock, moment
from lineshaft.errors import ConflictError, InputError, NotFoundError
from lineshaft.registry.engine import connected, open_engine
from lineshaft.registry.run_tables import POINT, RUN

GIVEN_UP_US = 60_000_000
"""Silence after which a run counts as lost."""


class RunState(StrEnum):
    """How a run is, or ended."""

    RUNNING = "running"
    DONE = "done"
    SKIPPED = "skipped"  # there was nothing new
    FAILED = "failed"
    LOST = "lost"  # it died without a word


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run as it is recorded."""

    id: int
    name: str
    model: str
    number: int | None  # of the version that came of it
    actor: str
    place: str
    state: RunState
    detail: str
    began_us: int
    seen_us: int
    ended_us: int | None
    due_us: int | None  # when a schedule wanted it
    params: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)  # name -> SHA-256


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A run before it begins; `alone`: no second one of its name at the same time."""

    name: str
    model: str = ""
    actor: str = ""
    place: str = ""
    due_us: int | None = None
    alone: bool = False


class RunBook:
    """The runs of one project. The tables are made by `lineshaft.registry.migrate`."""

    def __init__(self, database_url: str, *, project: str, clock: Clock) -> None:
        self._engine = open_engine(database_url)
        self.project, self._clock = project, clock

    def close(self) -> None:
        """Give back the connections."""
        self._engine.dispose()

    def begin(self, wanted: Wanted, *, gone: Callable[[str], bool] = lambda _: False) -> int:
        """Write a run down and return its number; `gone` says whether whoever ran at a place surely is no more.

        Raises
        ------
        ConflictError
            If another of its name is under way, and only one may be.
        """
        now, key = self._clock.now_us(), f"{self.project}|{wanted.name}" if wanted.alone else None
        row = {name: getattr(wanted, name) for name in ("name", "model", "actor", "place", "due_us")}
        row |= {"project": self.project, "state": str(RunState.RUNNING), "alone": key}
        row |= dict.fromkeys(("params_json", "metrics_json", "files_json"), "{}")
        try:
            with connected(self._engine, writing=True) as connection:
                if key is not None:
                    _give_up(connection, key, gone, now)
                values = {**row, "detail": "", "began_us": now, "seen_us": now}
                return int(connection.execute(insert(RUN).values(values).returning(RUN.c.id)).scalar_one())
        except IntegrityError as error:
            raise self._taken(wanted.name, key) from error

    def seen(self, run: int) -> None:
        """Say that a run is alive."""
        self._change(run, seen_us=self._clock.now_us())

    def log(
        self,
        run: int,
        *,
        params: Mapping[str, Any] | None = None,
        metrics: Mapping[str, float] | None = None,
        files: Mapping[str, str] | None = None,
    ) -> None:
        """Add to what is recorded of a run; of a name said twice the later value is kept.

        Raises
        ------
        InputError
            If a figure is no number.
        """
        figures = {name: _figure(name, value) for name, value in (metrics or {}).items()}
        with connected(self._engine, writing=True) as connection:
            _hold(connection, RUN.c.id == run)
            row = _row(connection, run, self.project)
            told = {
                "params_json": {**json.loads(row.params_json), **(params or {})},
                "metrics_json": {**json.loads(row.metrics_json), **figures},
                "files_json": {**json.loads(row.files_json), **(files or {})},
            }
            texts = {name: json.dumps(value, sort_keys=True, default=str) for name, value in told.items()}
            connection.execute(update(RUN).where(RUN.c.id == run).values(**texts, seen_us=self._clock.now_us()))

    def draw(self, run: int, name: str, points: Mapping[int, float]) -> None:
        """Add points to a curve of a run, by step; the last of them is the figure of that name.

        Raises
        ------
        InputError
            If a point is no number.
        """
        told = {step: _figure(name, value) for step, value in points.items()}
        if not told:
            return
        self.log(run, metrics={name: told[list(told)[-1]]})
        rows = [{"run": run, "name": name, "step": step, "value": value} for step, value in told.items()]
        with connected(self._engine, writing=True) as connection:
            same = (POINT.c.run == run) & (POINT.c.name == name) & POINT.c.step.in_(points)
            connection.execute(delete(POINT).where(same))
            connection.execute(insert(POINT), rows)

    def end(self, run: int, state: RunState, *, detail: str = "", number: int | None = None) -> None:
        """Say how a run ended; whoever waits for its name may begin."""
        now = self._clock.now_us()
        self._change(run, state=str(state), detail=detail, number=number, seen_us=now, ended_us=now, alone=None)

    def get(self, run: int) -> Run:
        """Return a run; `NotFoundError` where there is none."""
        with connected(self._engine) as connection:
            return _run(_row(connection, run, self.project))

    def all(self, *, model: str = "", name: str = "") -> list[Run]:
        """Return the runs, newest first: all, those about a model, those of a name."""
        query = select(RUN).where(RUN.c.project == self.project)
        query = query.where(RUN.c.model == model) if model else query
        query = query.where(RUN.c.name == name) if name else query
        with connected(self._engine) as connection:
            return [_run(row) for row in connection.execute(query.order_by(RUN.c.id.desc()))]

    def curves(self, run: int) -> dict[str, list[tuple[int, float]]]:
        """Return the figures of a run that were said by step, each in the order of its steps."""
        query = select(POINT).where(POINT.c.run == run).order_by(POINT.c.name, POINT.c.step)
        found: dict[str, list[tuple[int, float]]] = {}
        with connected(self._engine) as connection:
            for row in connection.execute(query):
                found.setdefault(row.name, []).append((row.step, row.value))
        return found

    def last_due_us(self, name: str) -> int | None:
        """Return the latest moment at which a schedule wanted a run of a name and one began; None for never."""
        due = [one.due_us for one in self.all(name=name) if one.due_us is not None]
        return max(due, default=None)

    def _change(self, run: int, **values: Any) -> None:
        with connected(self._engine, writing=True) as connection:
            connection.execute(update(RUN).where(RUN.c.id == run).values(**values))

    def _taken(self, name: str, key: str | None) -> ConflictError:
        with connected(self._engine) as connection:
            row = connection.execute(select(RUN).where(RUN.c.alone == key)).first()
        who = f" since {moment(row.began_us)} by {row.actor} at {row.place}" if row is not None else ""
        fix = f"wait for it; one that died is given up {GIVEN_UP_US // 1_000_000} s after it was last heard of"
        return ConflictError(f"{name} is under way{who}", fix=fix)


def _hold(connection: Connection, same: Any) -> None:
    """Keep every other writer of these rows waiting: a write, because reading first may be of what is past."""
    connection.execute(update(RUN).where(same).values(seen_us=RUN.c.seen_us))


def _give_up(connection: Connection, key: str, gone: Callable[[str], bool], now: int) -> None:
    """Take its name from a run that is no more."""
    _hold(connection, RUN.c.alone == key)
    row = connection.execute(select(RUN).where(RUN.c.alone == key)).first()
    if row is not None and (row.seen_us < now - GIVEN_UP_US or gone(row.place)):
        told = {"state": str(RunState.LOST), "detail": f"last heard of at {moment(row.seen_us)}"}
        connection.execute(update(RUN).where(RUN.c.id == row.id).values(**told, ended_us=now, alone=None))


def _row(connection: Connection, run: int, project: str) -> Row[Any]:
    row = connection.execute(select(RUN).where(RUN.c.id == run, RUN.c.project == project)).first()
    if row is None:
        raise NotFoundError(f"there is no run {run}", fix="see `lineshaft models runs`")
    return row


def _run(row: Row[Any]) -> Run:
    plain = ("id", "name", "model", "number", "actor", "place", "detail", "began_us", "seen_us", "ended_us", "due_us")
    return Run(
        **{name: getattr(row, name) for name in plain},
        state=RunState(row.state),
        params=json.loads(row.params_json),
        metrics=json.loads(row.metrics_json),
        files=json.loads(row.files_json),
    )


def _figure(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise InputError(f"figure {name!r} is {value!r}, not a number", fix="log words as parameters")
    return float(value)
