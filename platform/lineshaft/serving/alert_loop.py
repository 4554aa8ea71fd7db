"""From a row that was written to an alert: told of the row, score it by the champion, hold the score against the rule.

One thread, one connection on which the online store says which rows were written, and a thread that hands alerts over.
Where nothing is told (the store is away, or is of a kind that tells nothing) all entities are looked at every second.
"""

from __future__ import annotations

import logging
import select
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa

from lineshaft.clock import Clock
from lineshaft.errors import InputError, LineshaftError, UnavailableError
from lineshaft.models.alarms import DAY_US, AlarmRule, Watch
from lineshaft.registry.alerts import Alert, AlertBook, episode_id
from lineshaft.serving.alert_routes import Route, deliver
from lineshaft.serving.champions import Ready
from lineshaft.serving.features import MAX_ROWS, Plan, Plans, wanted_of
from lineshaft.serving.predict import Predictions, Predictor, Question
from lineshaft.stores.ports import Changes, OnlineStore, TellingStore

logger = logging.getLogger(__name__)
_BEAT_S = 1.0
_ENTITIES_S = 30.0
"""How often entities that are new to the store are looked for."""


@dataclass(slots=True, kw_only=True)
class Watched:
    """A model under watch: its champion, the entities it is asked about, and where each stands."""

    ready: Ready
    rule: AlarmRule
    plan: Plan
    keys: pa.Table
    rows_of: Mapping[bytes, int]  # by the name under which the store tells of a row
    watches: dict[int, Watch] = field(default_factory=dict)
    open: dict[int, Alert] = field(default_factory=dict)
    due: set[int] = field(default_factory=set)


@dataclass(slots=True, kw_only=True)
class AlertLoop:
    """Scores what is written, as it is written, by the champions of models; raises, records and routes alerts."""

    models: Sequence[str]
    predictor: Predictor
    plans: Plans
    online: OnlineStore
    book: AlertBook
    routes: Sequence[Route]
    clock: Clock
    _watched: dict[str, Watched] = field(default_factory=dict)
    _changes: Changes | None = None
    _looked_s: float = -1e9
    _sending: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="alerts"))

    def run(self, stopping: threading.Event) -> None:
        """Go on until told to stop; what fails is logged and tried again."""
        told = ""
        try:
            while not stopping.is_set():
                try:
                    self.step()
                    told = ""
                except LineshaftError as error:
                    if error.what != told:  # once, however long it lasts
                        logger.warning("no alerts for now, tried again every second: %s", error.what)
                    told = error.what
                    self._hang_up()
                    stopping.wait(_BEAT_S)
        finally:
            self._hang_up()
            self._sending.shutdown()

    def step(self, *, wait_s: float = _BEAT_S) -> None:
        """Wait for rows to be written, at most so long, and score those that were; all of them where none is told."""
        now_s = time.monotonic()
        if now_s - self._looked_s >= _ENTITIES_S or any(self._moved(one) for one in self._watched.values()):
            for model in self.models:
                self._look(model)
            self._looked_s = now_s
        self._hear(wait_s)
        for watched in self._watched.values():
            due = sorted(watched.due)
            watched.due.clear()
            for start in range(0, len(due), MAX_ROWS):
                self._score(watched, due[start : start + MAX_ROWS])

    def _moved(self, watched: Watched) -> bool:
        """Tell whether another version is champion by now."""
        return self.predictor.champions.of(watched.ready.version.model).ready is not watched.ready

    def _look(self, model: str) -> None:
        """Read the champion and the entities of a model, and take up where its alerts stand."""
        ready = self.predictor.champions.of(model).ready
        rule = AlarmRule.of(ready.version.params, task=ready.version.task)
        if rule is None:
            what = f"{ready.version.ref} declares no alert"
            raise InputError(what, where=model, fix="write `alert: {threshold: ...}` in its file and train it again")
        plan = self.plans.pinned(ready.service)
        keys = _entities(plan, self.online)
        names = self.online.names(wanted_of(plan, keys)) if isinstance(self.online, TellingStore) else []
        rows_of = {name: place % keys.num_rows for place, name in enumerate(names)}
        before = self._watched.get(model)
        watched = Watched(ready=ready, rule=rule, plan=plan, keys=keys, rows_of=rows_of)
        watched.due.update(range(keys.num_rows))
        places = {_name(key): row for row, key in enumerate(keys.to_pylist())}
        if before is not None and before.rule == rule:
            for row, key in enumerate(before.keys.to_pylist()):
                place = places.get(_name(key))
                if place is not None and row in before.watches:
                    watched.watches[place] = before.watches[row]
                if place is not None and row in before.open:
                    watched.open[place] = before.open[row]
        else:
            self._take_up(watched, places)
        self._watched[model] = watched

    def _take_up(self, watched: Watched, places: Mapping[str, int]) -> None:
        """Go on with what the database says is open, or was ended, so that a restart alerts of nothing twice."""
        for alert in self.book.standing(watched.ready.version.model):
            row = places.get(_name(alert.entity))
            if row is not None:
                watched.watches[row] = Watch.resumed(watched.rule, ended_us=alert.ended_us)
                if alert.ended_us is None:
                    watched.open[row] = alert

    def _hear(self, wait_s: float) -> None:
        """Mark the entities whose rows were written; all of them where nobody can say."""
        if not isinstance(self.online, TellingStore):
            time.sleep(wait_s)
            self._all_due()
            return
        if self._changes is None:
            self._changes = self.online.changes()
            self._changes.follow({view.ref: view for one in self._watched.values() for view in one.plan.views}.values())
        elif not any(watched.due for watched in self._watched.values()):
            ready, _, _ = select.select([self._changes.fileno()], [], [], wait_s)
            if not ready:
                self._changes.beat()
                return
        told = self._changes.poll()
        if told is None:
            self._all_due()
            return
        for watched in self._watched.values():
            watched.due.update(watched.rows_of[name] for name in told if name in watched.rows_of)

    def _all_due(self) -> None:
        for watched in self._watched.values():
            watched.due.update(range(watched.keys.num_rows))

    def _hang_up(self) -> None:
        if self._changes is not None:
            self._changes.close()
            self._changes = None

    def _score(self, watched: Watched, rows: Sequence[int]) -> None:
        """Score entities and hold each score against the rule."""
        if not rows:
            return
        model = watched.ready.version.model
        found = self.predictor.predict(Question(model=model, keys=watched.keys.take(pa.array(rows))))
        for place, (row, at_us, score) in enumerate(zip(rows, _newest_us(found), found.scores.tolist(), strict=True)):
            watch = watched.watches.setdefault(row, Watch(rule=watched.rule))
            became = watch.offer(at_us, score)
            if became == "raised":
                self._raise(watched, row, found, place, at_us)
            elif became and row in watched.open:
                self._go_on(watched, row, score, ended_us=at_us if became == "ended" else None)

    def _raise(self, watched: Watched, row: int, found: Predictions, place: int, at_us: int) -> None:
        """Write an alert down and hand it over, if nobody else has, and the day's budget allows."""
        entity = watched.keys.slice(row, 1).to_pylist()[0]
        now_us, score = self.clock.now_us(), float(found.scores[place])
        most = watched.rule.per_day
        over = most and self.book.raised_since(found.model, now_us - DAY_US) >= most
        alert = Alert(
            id=episode_id(self.book.project, found.model, entity, at_us),
            project=self.book.project,
            model=found.model,
            number=found.number,
            asset_id=str(entity.get("asset_id", "")),
            entity=entity,
            at_us=at_us,
            raised_us=now_us,
            score=score,
            threshold=watched.rule.threshold,
            because=tuple(found.top(place, count=5)),
            routed={"budget": "over_budget"} if over else {},
            worst=score,
        )
        watched.open[row] = alert
        if not self.book.add(alert):
            return
        if over:
            logger.warning("alert %s is kept and not sent: %d a day are", alert.id, most)
        else:
            self._sending.submit(self._send, alert)

    def _send(self, alert: Alert) -> None:
        try:
            self.book.told(alert.id, deliver(alert, self.routes))
        except LineshaftError as error:
            logger.warning("what became of alert %s is not written down: %s", alert.id, error.what)

    def _go_on(self, watched: Watched, row: int, score: float, *, ended_us: int | None) -> None:
        """Keep count of an episode; it is written down when it ends."""
        alert, rule = watched.open[row], watched.rule
        worse = min if rule.below else max
        passing = alert.passing + rule.passes(score)
        watched.open[row] = alert = replace(alert, passing=passing, worst=worse(alert.worst, score))
        if ended_us is not None:
            del watched.open[row]
            self.book.went_on(alert.id, passing=alert.passing, worst=alert.worst, ended_us=ended_us)


def _name(key: Mapping[str, Any]) -> str:
    return repr(sorted((name, str(value)) for name, value in key.items()))


def _newest_us(found: Predictions) -> Iterator[int]:
    """Yield for each entity the time of its newest input, or when it was asked about where none is known."""
    ages = np.stack([np.asarray(age, dtype=np.int64) for age in found.ages_us.values()])
    newest = np.where(ages >= 0, ages, np.iinfo(np.int64).max).min(axis=0)
    times = np.where(newest == np.iinfo(np.int64).max, found.at_us, found.at_us - newest)
    yield from times.tolist()


def _entities(plan: Plan, online: OnlineStore) -> pa.Table:
    """Return the entities that the store holds rows of, of the view with most join keys."""
    widest = max(plan.views, key=lambda view: len(view.entity_keys))
    names = [name for name, _ in widest.entity_keys]
    tables = [batch.select(names) for batch in online.scan(widest)]
    if not tables:
        raise UnavailableError(f"no rows of {widest.ref} are online yet", fix="run the stream job, or backfill")
    return pa.concat_tables(tables).group_by(names).aggregate([]).sort_by([(name, "ascending") for name in names])
