"""Score a whole fleet: every machine that is known online, by every model asked for, into the log and the database."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from lineshaft.clock import Clock
from lineshaft.errors import LineshaftError
from lineshaft.registry.scores import KEPT_US, KeptScore, ScoreBook
from lineshaft.serving.features import MAX_ROWS, FeatureHandler, Plan
from lineshaft.serving.known_entities import known_entities, widest
from lineshaft.serving.predict import Predictor
from lineshaft.serving.prediction_log import PredictionLog, logged
from lineshaft.serving.predictions import Predictions, Question

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetScored:
    """What came of one model: how many entities got a score, how many none, by whom, and why there is no more."""

    model: str
    version: str  # of whoever answers where no site and no experiment has another
    entities: int
    scored: int
    seconds: float
    fault: str = ""
    others: Mapping[str, int] = field(default_factory=dict)  # scores by other versions


@dataclass(slots=True, kw_only=True)
class Remembered:
    """Where a fleet's predictions go, once `keep` is called: to the log and to the database."""

    log: PredictionLog
    book: ScoreBook
    _held: list[Predictions] = field(default_factory=list)

    def append(self, predictions: Predictions) -> None:
        """Hold one response, a shadow's too."""
        self._held.append(predictions)

    def keep(self) -> None:
        """Write what is held: then it is in the log and in the database, or an error says where it is not."""
        held, self._held = self._held, []
        told = list(logged(held))
        self.log.write(told)
        self.book.add([score for one, rows in told for score in _kept(one, rows)])


@dataclass(slots=True, kw_only=True)
class Fleet:
    """Scores all entities of a model's widest view; what one model or one part of a fleet lacks stops no other."""

    predictor: Predictor
    features: FeatureHandler
    clock: Clock
    remembered: Remembered
    _known: dict[tuple[str, str], pa.Table] = field(default_factory=dict)

    def score(self, models: Iterable[str], *, at_us: int | None = None) -> Iterator[FleetScored]:
        """Score the fleet by model after model, all as of one moment: asked again of the same, ids are the same."""
        self._known.clear()
        moment, asked = self.clock.now_us() if at_us is None else at_us, 0
        for asked, model in enumerate(models, start=1):  # noqa: B007 - whether there was any is looked at below
            yield self._by(model, moment)
        if asked:
            self.remembered.book.forget(before_us=self.clock.now_us() - KEPT_US)

    def _by(self, model: str, at_us: int) -> FleetScored:
        """Score the fleet by one model."""
        start, entities, version, fault = time.perf_counter(), 0, "", ""
        scored: Counter[str] = Counter()
        try:
            ready = self.predictor.ready(model)
            version = ready.version.ref
            keys = self._entities(self.features.plans.pinned(ready.service))
            entities = keys.num_rows
            for first in range(0, entities, MAX_ROWS):
                part = keys.slice(first, MAX_ROWS)
                moments = np.full(part.num_rows, at_us, dtype=np.int64)
                found = self.predictor.predict(Question(model=model, keys=part, at_us=moments, why=False))
                scored.update(by.version for by, row in found.by_row() if np.isfinite(by.scores[row]))
                self.predictor.shadows.flush()
                self.remembered.keep()
        except LineshaftError as error:
            _LOG.warning("the fleet is not scored whole by %s: %s", model, error.what)
            fault = error.what
        except Exception as error:  # noqa: BLE001 - whatever one model does, the others are asked
            _LOG.exception("the fleet is not scored whole by %s", model)
            fault = f"{type(error).__name__}: {error}"
        if not entities and not fault:
            fault = "no rows that it reads are online: run the stream job, or backfill"
        if entities and not scored.total() and not fault:
            fault = "no entity has inputs of which the model may make a score"
        return FleetScored(
            model=model,
            version=version,
            entities=entities,
            scored=scored.total(),
            seconds=time.perf_counter() - start,
            fault=fault,
            others={other: count for other, count in sorted(scored.items()) if other != version},
        )

    def _entities(self, plan: Plan) -> pa.Table:
        """Return whom to ask about; models of one view share them."""
        view = widest(plan)
        known = self._known.get((view.name, view.version))
        if known is None:
            known = self._known[view.name, view.version] = known_entities(plan, self.features.online)
        return known


def _kept(one: Predictions, rows: pa.Table) -> list[KeptScore]:
    """Return what the database keeps of rows of the log."""
    names = one.keys.column_names
    told = rows.select(["prediction_id", "role", "score", "status", "degraded"]).to_pylist()
    return [
        KeptScore(
            prediction_id=row["prediction_id"],
            model=one.model,
            number=one.number,
            role=row["role"],
            entity={name: key[name] for name in names},
            at_us=at_us,
            score=row["score"],
            status=row["status"],
            degraded=row["degraded"],
        )
        for row, key, at_us in zip(told, one.keys.to_pylist(), one.at_us.tolist(), strict=True)
    ]
