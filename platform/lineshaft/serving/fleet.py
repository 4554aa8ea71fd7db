"""Score a whole fleet: every machine that is known online, by every model asked for, into the log of predictions."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from lineshaft.clock import Clock
from lineshaft.errors import LineshaftError
from lineshaft.serving.features import MAX_ROWS, FeatureHandler
from lineshaft.serving.predict import Predictor, Question
from lineshaft.specs import View

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetScored:
    """What came of one model: how many entities got a score, how many none, and why there is no more."""

    model: str
    version: str
    entities: int
    scored: int
    seconds: float
    fault: str = ""


@dataclass(slots=True, kw_only=True)
class Fleet:
    """Scores all entities of a model's widest view; what one model or one part of a fleet lacks stops no other."""

    predictor: Predictor
    features: FeatureHandler
    clock: Clock
    _known: dict[tuple[str, str], pa.Table] = field(default_factory=dict)

    def score(self, models: Sequence[str], *, at_us: int | None = None) -> Iterator[FleetScored]:
        """Score the fleet by model after model, all as of one moment: asked again of the same, ids are the same."""
        self._known.clear()
        moment = self.clock.now_us() if at_us is None else at_us
        for model in models:
            yield self._by(model, moment)

    def _by(self, model: str, at_us: int) -> FleetScored:
        """Score the fleet by one model."""
        start, entities, scored, version, fault = time.perf_counter(), 0, 0, "", ""
        try:
            plan = self.features.plans.pinned(self.predictor.ready(model).service)
            keys = self._entities(max(plan.views, key=lambda view: len(view.entity_keys)))
            entities = keys.num_rows
            for first in range(0, entities, MAX_ROWS):
                part = keys.slice(first, MAX_ROWS)
                moments = np.full(part.num_rows, at_us, dtype=np.int64)
                found = self.predictor.predict(Question(model=model, keys=part, at_us=moments, why=False))
                version = found.version
                scored += int(np.isfinite(found.scores).sum())
        except LineshaftError as error:
            _LOG.warning("the fleet is not scored whole by %s: %s", model, error.what)
            fault = error.what
        if entities and not scored and not fault:
            fault = "no entity has inputs of which the model may make a score"
        seconds = time.perf_counter() - start
        return FleetScored(model=model, version=version, entities=entities, scored=scored, seconds=seconds, fault=fault)

    def _entities(self, view: View) -> pa.Table:
        """Return the keys of all rows of a view that are online, in order; models of one view share them."""
        known = self._known.get((view.name, view.version))
        if known is None:
            names = [name for name, _ in view.entity_keys]
            parts = [batch.select(names) for batch in self.features.online.scan(view)]
            known = pa.concat_tables(parts).sort_by([(name, "ascending") for name in names]) if parts else pa.table({})
            self._known[view.name, view.version] = known
        return known
