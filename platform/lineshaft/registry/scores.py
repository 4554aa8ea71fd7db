"""Scores of the fleet in the database: each prediction once, and the last of each entity at hand."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import delete, func, select, text

from lineshaft.registry.engine import connected, open_engine
from lineshaft.registry.score_tables import SCORE

KEPT_US = 90 * 86_400_000_000
"""How long scores stay in the database; the log of predictions keeps all."""
_COLUMNS = [column.name for column in SCORE.columns]
_ADD = text(
    f"INSERT INTO {SCORE.name} ({', '.join(_COLUMNS)}) "  # noqa: S608 - names of our own table
    f"VALUES ({', '.join(f':{name}' for name in _COLUMNS)}) ON CONFLICT (prediction_id) DO NOTHING"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptScore:
    """What a version said of an entity, and when."""

    prediction_id: str
    model: str
    number: int
    role: str
    entity: Mapping[str, Any]
    at_us: int
    score: float | None
    status: int
    degraded: bool = False

    @property
    def version(self) -> str:
        """Return `model@number`."""
        return f"{self.model}@{self.number}"


class LastScore(NamedTuple):
    """The last that was said of an entity."""

    asset_id: str
    at_us: int
    score: float | None
    status: int
    degraded: bool


class ScoreBook:
    """The scores of one project. The table is made by `lineshaft.registry.migrate`."""

    def __init__(self, database_url: str, *, project: str) -> None:
        self._engine = open_engine(database_url)
        self.project = project

    def close(self) -> None:
        """Give back the connections."""
        self._engine.dispose()

    def add(self, scores: Sequence[KeptScore]) -> None:
        """Keep scores; those that are kept already stay as they are."""
        rows = [
            {name: getattr(one, name) for name in KeptScore.__slots__}
            | {"project": self.project, "asset_id": str(one.entity.get("asset_id", "")), "entity": _words(one.entity)}
            for one in scores
        ]
        if rows:
            with connected(self._engine, writing=True) as connection:
                connection.execute(_ADD, rows)

    def latest(self, *, model: str = "", asset_id: str = "") -> list[KeptScore]:
        """Return the last score of each entity by each model in each role; of one model or asset where it is named."""
        mine = [SCORE.c.project == self.project]
        mine += [SCORE.c.model == model] if model else []
        mine += [SCORE.c.asset_id == asset_id] if asset_id else []
        same = (SCORE.c.model, SCORE.c.role, SCORE.c.entity)
        place = func.row_number().over(partition_by=same, order_by=(SCORE.c.at_us.desc(), SCORE.c.prediction_id))
        ranked = select(SCORE, place.label("place")).where(*mine).subquery()
        query = select(ranked).where(ranked.c.place == 1).order_by(ranked.c.model, ranked.c.entity, ranked.c.role)
        with connected(self._engine) as connection:
            return [_score(row) for row in connection.execute(query).all()]

    def models(self) -> list[str]:
        """Return the models of which there are scores, by name."""
        query = select(SCORE.c.model).where(SCORE.c.project == self.project).distinct().order_by(SCORE.c.model)
        with connected(self._engine) as connection:
            return list(connection.execute(query).scalars())

    def last_of_assets(self, model: str) -> list[LastScore]:
        """Return the last score of each entity by a model's champion, in no order: light, for fleets of many."""
        mine = (SCORE.c.project == self.project) & (SCORE.c.model == model) & (SCORE.c.role == "champion")
        newest = func.max(SCORE.c.at_us).label("at_us")
        last = select(SCORE.c.entity, newest).where(mine).group_by(SCORE.c.entity).subquery()
        same = (SCORE.c.entity == last.c.entity) & (SCORE.c.at_us == last.c.at_us)
        columns = [SCORE.c[name] for name in LastScore._fields]
        with connected(self._engine) as connection:
            rows = connection.execute(select(*columns).join(last, same).where(mine)).all()
        return [LastScore(*row) for row in rows]

    def history(self, asset_ids: Sequence[str], *, since_us: int, model: str = "") -> list[KeptScore]:
        """Return what champions said of some assets since a moment, oldest first; by one model where it is named."""
        mine = [SCORE.c.project == self.project, SCORE.c.role == "champion", SCORE.c.at_us >= since_us]
        mine += [SCORE.c.asset_id.in_(list(asset_ids))]
        mine += [SCORE.c.model == model] if model else []
        query = select(SCORE).where(*mine).order_by(SCORE.c.at_us, SCORE.c.prediction_id)
        with connected(self._engine) as connection:
            return [_score(row) for row in connection.execute(query).all()]

    def forget(self, *, before_us: int) -> int:
        """Take out scores of before a moment; return how many there were."""
        old = (SCORE.c.project == self.project) & (SCORE.c.at_us < before_us)
        with connected(self._engine, writing=True) as connection:
            return connection.execute(delete(SCORE).where(old)).rowcount


def _words(entity: Mapping[str, Any]) -> str:
    return json.dumps(dict(entity), sort_keys=True, default=str)


def _score(row: Any) -> KeptScore:
    values = {name: getattr(row, name) for name in KeptScore.__slots__}
    return KeptScore(**{**values, "entity": json.loads(row.entity), "degraded": bool(row.degraded)})
