"""Many drift checks at a glance, counted in the database: one check may have a finding for each of many assets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, case, func, select

from lineshaft.drift.findings import NEW, PERFORMANCE
from lineshaft.drift.rows import FLEET
from lineshaft.registry.drift_tables import POINT, WINDOW
from lineshaft.registry.drifts import CheckedWindow, DriftBook, Point
from lineshaft.registry.engine import connected

TOGETHER = (FLEET, NEW, PERFORMANCE)
"""Scopes that stand for many assets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What one method found in a square of a map: of how many scopes a drift, and how far the furthest lie.

    `place` is a check's id in a map over time, and a scope in a map of one check. Without a method: what was compared
    there and is no drift; `known` tells whether anything could be judged.
    """

    place: str
    kind: str
    column: str
    method: str = ""
    scopes: int = 0
    low: float = 0.0
    high: float = 0.0
    known: bool = True


def recent_windows(book: DriftBook, *, count: int) -> list[CheckedWindow]:
    """Return the newest checks of every version, by its name and number, oldest first."""
    mine = WINDOW.c.project == book.project
    same = (WINDOW.c.model, WINDOW.c.number)
    place = func.row_number().over(partition_by=same, order_by=WINDOW.c.end_us.desc())
    ranked = select(WINDOW, place.label("place")).where(mine).subquery()
    query = (
        select(ranked).where(ranked.c.place <= count).order_by(*(ranked.c[one.name] for one in same), ranked.c.end_us)
    )
    with connected(book.engine) as connection:
        return [CheckedWindow.of(row) for row in connection.execute(query).all()]


def over_time(book: DriftBook, windows: Sequence[CheckedWindow]) -> list[Cell]:
    """Return of each check and column what drifted by which method, and that the others were compared."""
    these = POINT.c.window_id.in_([one.id for one in windows])
    known = func.max(case((POINT.c.verdict != "unknown", 1), else_=0))
    every = (
        select(POINT.c.window_id, POINT.c.kind, POINT.c.column, known.label("known"))
        .where(these)
        .group_by(POINT.c.window_id, POINT.c.kind, POINT.c.column)
    )
    with connected(book.engine) as connection:
        compared = connection.execute(every).all()
    calm = [Cell(place=row.window_id, kind=row.kind, column=row.column, known=bool(row.known)) for row in compared]
    return calm + _drifts(book, these, POINT.c.window_id)


def by_asset(book: DriftBook, window: CheckedWindow) -> list[Cell]:
    """Return of each asset and column what drifted in one check."""
    alone = (POINT.c.window_id == window.id) & POINT.c.scope.not_in(TOGETHER)
    return _drifts(book, alone, POINT.c.scope)


def drifts_of(book: DriftBook, window: CheckedWindow, *, limit: int) -> tuple[list[Point], int]:
    """Return the drifts that a check found, those of many assets first, then the least probable; and how many."""
    mine = (POINT.c.window_id == window.id) & (POINT.c.verdict == "drift")
    first = POINT.c.scope.in_(TOGETHER).desc()
    query = select(POINT).where(mine).order_by(first, POINT.c.q, POINT.c.id).limit(limit)
    with connected(book.engine) as connection:
        rows = connection.execute(query).all()
        count = connection.execute(select(func.count()).select_from(POINT).where(mine)).scalar_one()
    return [Point.of(row) for row in rows], count


def seen_in(book: DriftBook, windows: Sequence[CheckedWindow], points: Sequence[Point]) -> list[int]:
    """Return in how many of these checks each of these findings was a drift."""
    these = POINT.c.window_id.in_([one.id for one in windows]) & (POINT.c.verdict == "drift")
    ours = POINT.c.scope.in_({one.finding.scope for one in points})
    same = (POINT.c.kind, POINT.c.column, POINT.c.scope, POINT.c.method)
    query = select(*same, func.count(POINT.c.window_id.distinct()).label("times")).where(these, ours).group_by(*same)
    with connected(book.engine) as connection:
        times = {tuple(row[:4]): row.times for row in connection.execute(query).all()}
    found = [one.finding for one in points]
    return [
        times.get((kind.kind, one.column, one.scope, one.method), 0) for kind, one in zip(points, found, strict=True)
    ]


def _drifts(book: DriftBook, where: ColumnElement[bool], place: Any) -> list[Cell]:
    """Return what drifted, counted by place, column and method."""
    same = (place, POINT.c.kind, POINT.c.column, POINT.c.method)
    low, high = func.min(POINT.c.effect).label("low"), func.max(POINT.c.effect).label("high")
    query = (
        select(place.label("place"), *same[1:], func.count(POINT.c.scope.distinct()).label("scopes"), low, high)
        .where(where, POINT.c.verdict == "drift")
        .group_by(*same)
    )
    with connected(book.engine) as connection:
        rows = connection.execute(query).all()
    return [
        Cell(
            place=row.place,
            kind=row.kind,
            column=row.column,
            method=row.method,
            scopes=row.scopes,
            low=row.low or 0.0,
            high=row.high or 0.0,
        )
        for row in rows
    ]
