"""Rounds of the fleet: which models were scored in which, by whom, and what came of it; a round survives a crash."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, insert, select, update
from sqlalchemy.exc import IntegrityError

from lineshaft.clock import Clock
from lineshaft.registry.engine import connected
from lineshaft.registry.score_tables import FLEET_RUN

TRIES = 3
"""How often a model is tried in one round."""
REST_US = 60_000_000
"""How long a model that failed is left alone before it is tried again."""
LEASE_US = 900_000_000
"""After how long a model that somebody else began, and did not end, is anybody's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetRun:
    """What became of a model in a round."""

    due_us: int
    model: str
    state: str  # "running", "done" or "failed"
    tries: int
    owner: str
    begun_us: int
    ended_us: int | None = None
    version: str = ""
    entities: int = 0
    scored: int = 0
    fault: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetRuns:
    """The rounds of one project, as `owner` sees them: a process that starts again under the same name is the same."""

    engine: Engine
    project: str
    clock: Clock
    owner: str

    def claim(self, due_us: int, model: str) -> bool:
        """Take a model of a round on; False where it is done, somebody else is on it, or it failed often enough."""
        now = self.clock.now_us()
        mine = {"state": "running", "owner": self.owner, "begun_us": now, "ended_us": None, "fault": ""}
        place = {"project": self.project, "due_us": due_us, "model": model}
        nothing = {"version": "", "entities": 0, "scored": 0}
        known = self._one(due_us, model)
        try:
            with connected(self.engine, writing=True) as connection:
                if known is None:
                    connection.execute(insert(FLEET_RUN).values(**place, **mine, **nothing, tries=1))
                    return True
                if not self._free(known, now):
                    return False
                if known.tries >= TRIES:  # whoever was on it never came back
                    gone = {"state": "failed", "ended_us": now, "fault": f"{TRIES} tries did not end"}
                    connection.execute(self._as_seen(known).values(gone))
                    return False
                return connection.execute(self._as_seen(known).values(**mine, tries=known.tries + 1)).rowcount == 1
        except IntegrityError:
            return False  # somebody else was faster

    def ended(self, due_us: int, model: str, *, version: str, entities: int, scored: int, fault: str) -> None:
        """Write down what came of a model that was taken on."""
        told: dict[str, object] = {"version": version, "entities": entities, "scored": scored, "fault": fault}
        told |= {"state": "failed" if fault else "done", "ended_us": self.clock.now_us()}
        same = (FLEET_RUN.c.due_us == due_us) & (FLEET_RUN.c.model == model) & (FLEET_RUN.c.owner == self.owner)
        with connected(self.engine, writing=True) as connection:
            connection.execute(update(FLEET_RUN).where(FLEET_RUN.c.project == self.project, same).values(told))

    def of(self, due_us: int) -> list[FleetRun]:
        """Return what became of each model in a round so far, by name."""
        query = select(FLEET_RUN).where(FLEET_RUN.c.project == self.project, FLEET_RUN.c.due_us == due_us)
        with connected(self.engine) as connection:
            return [_run(row) for row in connection.execute(query.order_by(FLEET_RUN.c.model)).all()]

    def _one(self, due_us: int, model: str) -> FleetRun | None:
        return next((one for one in self.of(due_us) if one.model == model), None)

    def _free(self, known: FleetRun, now: int) -> bool:
        """Tell whether a model waits for somebody to take it on."""
        if known.state == "running":
            return known.owner == self.owner or now >= known.begun_us + LEASE_US
        return known.state == "failed" and known.tries < TRIES and now >= (known.ended_us or 0) + REST_US

    def _as_seen(self, known: FleetRun) -> Any:
        """Change a row if nobody else has since it was read."""
        same = [FLEET_RUN.c[name] == getattr(known, name) for name in ("due_us", "model", "state", "tries", "begun_us")]
        return update(FLEET_RUN).where(FLEET_RUN.c.project == self.project, *same)


def _run(row: Any) -> FleetRun:
    return FleetRun(**{name: getattr(row, name) for name in FleetRun.__slots__})
