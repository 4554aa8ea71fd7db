"""From a row that was written to an alert: told of the row, score it, hold the score against the scorer's own rule.

Who scores it is not decided here: the predictor is asked, as a call or a batch asks it. One thread, one connection on
which the online store says which rows were written, and a thread that hands alerts over. Where nothing is told (the
store is away, or is of a kind that tells nothing) all entities are looked at every second.
"""

from __future__ import annotations

import logging
import select
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from lineshaft.clock import Clock
from lineshaft.errors import InputError, LineshaftError, UnavailableError
from lineshaft.models.alarms import DAY_US, AlarmRule, Watch
from lineshaft.registry.alerts import Alert, AlertBook, episode_id
from lineshaft.serving.alert_routes import Route, deliver
from lineshaft.serving.features import MAX_ROWS, Plan, Plans, wanted_of
from lineshaft.serving.known_entities import known_entities
from lineshaft.serving.predict import Predictor
from lineshaft.serving.predictions import Predictions, Question
from lineshaft.serving.standing import Standing
from lineshaft.specs import View
from lineshaft.stores.ports import Changes, OnlineStore, TellingStore

logger = logging.getLogger(__name__)
_BEAT_S = 1.0
_ENTITIES_S = 30.0
"""How often entities that are new to the store are looked for."""


@dataclass(slots=True, kw_only=True)
class Watched:
    """A model under watch: who answers, by which rules, the entities they are asked about, and where each stands."""

    model: str
    standing: Standing
    rules: Mapping[int, AlarmRule]  # by version; the champion's own comes first
    views: Sequence[View]
    keys: pa.Table
    rows_of: Mapping[bytes, set[int]]  # by the name under which the store tells of a row, whom it is about
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
    _faults: dict[tuple[str, str], str] = field(default_factory=dict)  # what is wrong with which model, as it was said
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
                with self._others_going_on(model, "look"):
                    self._look(model)
            self._looked_s = now_s
            self._follow()
        self._hear(wait_s)
        for watched in self._watched.values():
            due = sorted(watched.due)
            watched.due.clear()
            for start in range(0, len(due), MAX_ROWS):
                with self._others_going_on(watched.model, "score"):
                    self._score(watched, due[start : start + MAX_ROWS])

    @contextmanager
    def _others_going_on(self, model: str, doing: str) -> Iterator[None]:
        """Let what is wrong with one model alone stop no other; what is away is away for all, and raised."""
        try:
            yield
            self._faults.pop((model, doing), None)
        except UnavailableError:
            raise
        except LineshaftError as error:
            if model not in self._watched:
                raise
            if self._faults.get((model, doing)) != error.what:  # once, however long it lasts
                logger.warning("no alerts of %s for now: %s", model, error.what)
            self._faults[model, doing] = error.what
            self._watched[model].standing = self.predictor.champions.of(model)  # looked at again when it changes

    def _moved(self, watched: Watched) -> bool:
        """Tell whether others answer by now, or for other assets."""
        return self.predictor.champions.of(watched.model) != watched.standing

    def _look(self, model: str) -> None:
        """Read who answers for a model and its entities, and take up where its alerts stand."""
        standing = self.predictor.champions.of(model)
        plans = [self.plans.pinned(one.service) for one in standing.answering().values()]
        keys = known_entities(plans[0], self.online)
        if not keys.num_rows:
            what = f"no rows that {standing.ready.version.ref} reads are online yet"
            raise UnavailableError(what, fix="run the stream job, or backfill")
        watched = Watched(
            model=model,
            standing=standing,
            rules=_rules(standing),
            views=[view for plan in plans for view in plan.views],
            keys=keys,
            rows_of=self._names(plans, keys),
        )
        watched.due.update(range(keys.num_rows))
        before, places = self._watched.get(model), {_name(key): row for row, key in enumerate(keys.to_pylist())}
        if before is None:
            self._take_up(watched, places)
        else:
            for row, key in enumerate(before.keys.to_pylist()):
                place = places.get(_name(key))
                if place is not None and row in before.watches:
                    watched.watches[place] = before.watches[row]
                if place is not None and row in before.open:
                    watched.open[place] = before.open[row]
        self._watched[model] = watched

    def _names(self, plans: Sequence[Plan], keys: pa.Table) -> dict[bytes, set[int]]:
        """Return whose row is told of by which name, of all views that somebody who answers reads."""
        found: dict[bytes, set[int]] = {}
        if isinstance(self.online, TellingStore):
            for plan in (one for one in plans if one.join_keys.keys() <= set(keys.column_names)):
                for place, name in enumerate(self.online.names(wanted_of(plan, keys))):
                    found.setdefault(name, set()).add(place % keys.num_rows)
        return found

    def _take_up(self, watched: Watched, places: Mapping[str, int]) -> None:
        """Go on with what the database says is open, or was ended, so that a restart alerts of nothing twice."""
        rule = next(iter(watched.rules.values()))
        for alert in self.book.standing(watched.model):
            row = places.get(_name(alert.entity))
            if row is not None:
                watched.watches[row] = Watch.resumed(watched.rules.get(alert.number, rule), ended_us=alert.ended_us)
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
            self._follow()
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
            watched.due.update(row for name in told for row in watched.rows_of.get(name, ()))

    def _follow(self) -> None:
        """Ask to be told of the views that are read by now; those that are told of already are not asked for twice."""
        if self._changes is not None:
            self._changes.follow({view.ref: view for one in self._watched.values() for view in one.views}.values())

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
        keys = watched.keys.take(pa.array(rows))
        found = self.predictor.predict(Question(model=watched.model, keys=keys))
        for row, score, (by, place) in zip(rows, found.scores.tolist(), found.by_row(), strict=True):
            rule = watched.rules.get(by.number)
            if rule is None:
                continue  # it stood in for a moment, and is gone from those who answer
            watch = watched.watches[row] = watched.watches.get(row, Watch(rule=rule)).under(rule)
            at_us = by.newest_us(place)
            became = watch.offer(at_us, score)
            if became == "raised":
                self._raise(watched, row, by, place, at_us)
            elif became and row in watched.open:
                self._go_on(watched, row, score, ended_us=at_us if became == "ended" else None)

    def _raise(self, watched: Watched, row: int, found: Predictions, place: int, at_us: int) -> None:
        """Write an alert down and hand it over, if nobody else has, and the day's budget allows."""
        entity, rule = watched.keys.slice(row, 1).to_pylist()[0], watched.watches[row].rule
        now_us, score = self.clock.now_us(), float(found.scores[place])
        most = rule.per_day
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
            threshold=rule.threshold,
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
        alert, rule = watched.open[row], watched.watches[row].rule
        worse = min if rule.below else max
        passing = alert.passing + rule.passes(score)
        watched.open[row] = alert = replace(alert, passing=passing, worst=worse(alert.worst, score))
        if ended_us is not None:
            del watched.open[row]
            self.book.went_on(alert.id, passing=alert.passing, worst=alert.worst, ended_us=ended_us)


def _name(key: Mapping[str, Any]) -> str:
    return repr(sorted((name, str(value)) for name, value in key.items()))


def _rules(standing: Standing) -> dict[int, AlarmRule]:
    """Return by version the rule that its scores are held against: its own; the champion's where it declares none.

    Raises
    ------
    InputError
        If the champion declares none either.
    """
    found: dict[int, AlarmRule] = {}
    for number, one in standing.answering().items():
        rule = AlarmRule.of(one.version.params, task=one.version.task) or next(iter(found.values()), None)
        if rule is None:
            what = f"{one.version.ref} declares no alert"
            fix = "write `alert: {threshold: ...}` in its file and train it again"
            raise InputError(what, where=one.version.model, fix=fix)
        found[number] = rule
    return found
