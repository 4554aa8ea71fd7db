"""The handler of Predict: entity keys in; features fetched as GetFeatures fetches them, scored, explained."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lineshaft.clock import Clock
from lineshaft.errors import CorruptError, InputError, LineshaftError
from lineshaft.models.matrix import matrix_of
from lineshaft.registry.records import Slot
from lineshaft.serving.champions import Champions
from lineshaft.serving.failures import Failed, Failures
from lineshaft.serving.given import given
from lineshaft.serving.predictions import Part, Predictions, Question, put_together
from lineshaft.serving.standing import Ready, Share
from lineshaft.serving.write_behind import WriteBehind
from lineshaft.specs import Service, Status
from lineshaft.specs.rows import PRESENT
from lineshaft.tiles.answer import Answer
from lineshaft.tiles.buffers import repeated
from lineshaft.tiles.keys import Keys, table_of

_LOG = logging.getLogger(__name__)

MOST_AT_ONCE = 64
"""Most entities that are scored without a thread: about 2 ms."""
_WHY = 16
"""As many entities could be scored in the time that it takes to say why of one."""


class Answered(Protocol):
    """What the feature handler returns: the answer, and whether the online store was reached for it."""

    @property
    def answer(self) -> Answer:
        """Return columns, statuses and ages."""
        ...

    @property
    def degraded(self) -> bool:
        """Return whether last known rows stand in for the store's."""
        ...


class FeatureSource(Protocol):
    """The part of the feature handler that predictions need."""

    def answer(self, service: Service, keys: pa.Table | Keys, *, at_us: NDArray[np.int64]) -> Answered:
        """Answer a service, with the view versions it names, for entity keys at a time."""
        ...

    def answer_at_once(
        self, service: Service, keys: pa.Table | Keys, *, at_us: NDArray[np.int64], budget_s: float
    ) -> Answered | None:
        """Return what `answer` returns if nothing has to be waited for; None where it is to be called, on a thread."""
        ...


class PredictionSink(Protocol):
    """Where predictions are remembered."""

    def append(self, predictions: Predictions) -> None:
        """Remember one response, without waiting and without fail: an alarm comes before its record."""
        ...


Allows = Callable[[Service], None]
"""Be asked about the service that a model reads, before it is read; raise to refuse."""


@dataclass(slots=True, kw_only=True)
class Predictor:
    """Serves the champions of one environment; `failures` says how often versions failed, and were stood in for."""

    champions: Champions
    features: FeatureSource
    clock: Clock
    sink: PredictionSink | None = None
    failures: Failures = field(default_factory=Failures)
    shadows: WriteBehind[Shadowed] = field(init=False)

    def __post_init__(self) -> None:
        """Make the queue of shadows: bounded, so that one that is slow loses its own questions and holds up nothing."""
        self.shadows = WriteBehind(
            name="shadow",
            write=self.score_shadows,
            rows_of=lambda one: one.entities.num_rows,
            bytes_of=lambda one: 1000 + 100 * one.entities.num_rows,
            batch_rows=256,
            every_s=0.5,
            most_rows=10_000,
        )

    def predict(self, question: Question, *, allows: Allows | None = None) -> Predictions:
        """Score entities, each by who answers for its asset; where that fails, by the champion before it.

        Raises
        ------
        NotFoundError
            If the model has no champion in this environment.
        CorruptError
            If no version of it can be used.
        """
        shares, at_us = self._asked(question)
        answered = []
        for share in shares:
            if share.rows is None:
                return self._shared(share, question, at_us, allows)
            theirs = replace(question, keys=table_of(question.keys).filter(pa.array(share.rows)))
            told = self._shared(share, theirs, at_us[share.rows], allows)
            answered.append(Part(rows=share.rows, predictions=told))
        return put_together(question, answered)

    def predict_at_once(
        self, question: Question, *, allows: Allows | None = None, budget_s: float
    ) -> Predictions | None:
        """Return what `predict` returns if nothing has to be waited for; None where that is to be called, on a thread.

        budget_s: the most time the online store may take.
        """
        work = question.keys.num_rows * (_WHY if question.why else 1)
        if work > MOST_AT_ONCE or question.vectors is not None or question.model not in self.champions.standing():
            return None
        (share, *others), at_us = self._asked(question)
        if others or share.arm is not None:
            return None
        standing = share.at
        if allows is not None:
            allows(standing.ready.service)
        answered = self.features.answer_at_once(standing.ready.service, question.keys, at_us=at_us, budget_s=budget_s)
        if answered is None:
            return None
        try:
            return self._noted(_predictions(standing.ready, question, at_us, answered, standing.passed_over), share)
        except _FailedError:
            return None  # counted on the thread, where it is tried again and its reserve is asked

    def ready(self, model: str) -> Ready:
        """Return who answers where no site and no experiment has another; raises `NotFoundError` where nobody does."""
        return self.champions.of(model).ready

    def _asked(self, question: Question) -> tuple[list[Share], NDArray[np.int64]]:
        """Return who is to answer for which entities, and the moment of each."""
        n = question.keys.num_rows
        if not n:
            raise InputError("no entities asked for", where=question.model, fix="send at least one key")
        at_us = repeated(np.int64(self.clock.now_us()), n) if question.at_us is None else question.at_us
        return self.champions.of(question.model).deal(question.keys), at_us

    def _shared(self, share: Share, question: Question, at_us: NDArray[np.int64], allows: Allows | None) -> Predictions:
        """Score the entities of one share by its champion; where that fails, by the champion before it."""
        standing = share.at
        fault = standing.passed_over
        for ready in filter(None, (standing.ready, standing.reserve)):
            if allows is not None:
                allows(ready.service)
            if question.vectors is None:
                answered = self.features.answer(ready.service, question.keys, at_us=at_us)
            else:
                answered = given(ready, question.vectors)
            try:
                found = _predictions(ready, question, at_us, answered, fault)
            except _FailedError as failed:
                self.failures.count(ready.version, Slot.CHAMPION, failed.kind, failed)
                fault = fault or str(failed)
                continue
            if question.vectors is not None:  # whose they are is not known
                return found
            return self._noted(self._challenged(share, question, found, allows), share)
        raise CorruptError(f"no version of {question.model!r} gives a score: {fault}", fix="promote another version")

    def _challenged(self, share: Share, question: Question, found: Predictions, allows: Allows | None) -> Predictions:
        """Let the challenger answer for the assets of its arm; where it cannot, the champion's answer stands."""
        rows = share.arm
        if rows is None:
            return found
        ready, at_us = share.at.others[Slot.CHALLENGER], found.at_us[rows]
        theirs = replace(question, keys=table_of(question.keys).filter(pa.array(rows)), at_us=at_us)
        try:
            if allows is not None:
                allows(ready.service)
            answered = self.features.answer(ready.service, theirs.keys, at_us=at_us)
            told = replace(_predictions(ready, theirs, at_us, answered, ""), slot=Slot.CHALLENGER)
        except (_FailedError, LineshaftError) as failed:
            self.failures.count(ready.version, Slot.CHALLENGER, _kind(failed), failed)
            return found
        scores, statuses = found.scores.copy(), np.array(found.statuses)
        scores[rows], statuses[rows] = told.scores, told.statuses
        return replace(found, scores=scores, statuses=statuses, parts=(Part(rows=rows, predictions=told),))

    def _noted(self, predictions: Predictions, share: Share) -> Predictions:
        """Remember what was answered, and have a shadow asked the same, later and by nobody who waits."""
        if predictions.stands_in_for:
            self.failures.stood_in(predictions.model, len(predictions.scores))
        if self.sink is not None:
            self.sink.append(predictions)
            shadow = share.at.others.get(Slot.SHADOW)
            if shadow is not None:
                self.shadows.put(Shadowed(ready=shadow, entities=predictions.entities, at_us=predictions.at_us))
        return predictions

    def score_shadows(self, waiting: list[Shadowed]) -> None:
        """Score what shadows were to be asked; whatever happens to them, nobody else notices."""
        for one in waiting:
            question = Question(model=one.ready.version.model, keys=one.entities, at_us=one.at_us, why=False)
            try:
                answered = self.features.answer(one.ready.service, one.entities, at_us=one.at_us)
                told = replace(_predictions(one.ready, question, one.at_us, answered, ""), slot=Slot.SHADOW)
            except Exception as failed:  # noqa: BLE001 - a shadow may do anything
                self.failures.count(one.ready.version, Slot.SHADOW, _kind(failed), failed)
                continue
            if self.sink is not None:
                self.sink.append(told)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadowed:
    """What a shadow is to be asked."""

    ready: Ready
    entities: pa.Table | Keys
    at_us: NDArray[np.int64]


class _FailedError(Exception):
    """A model that is loaded gave no score; `kind` says how it failed."""

    def __init__(self, what: str, *, kind: Failed) -> None:
        super().__init__(what)
        self.kind = kind


def _kind(failed: Exception) -> Failed:
    """Return how a version failed: where it says nothing of itself, its inputs could not be had."""
    return failed.kind if isinstance(failed, _FailedError) else Failed.INPUTS


def _worst(statuses: NDArray[np.int8]) -> NDArray[np.int8]:
    """Return the worst status of each row's inputs; a constant that was agreed on is better than anything missing."""
    told = np.where(statuses == Status.IMPUTED, np.int8(Status.PRESENT), statuses).max(axis=1)
    replaced = (told == Status.PRESENT) & (statuses == Status.IMPUTED).any(axis=1)
    return np.where(replaced, np.int8(Status.IMPUTED), told).astype(np.int8)


def _predictions(
    ready: Ready, question: Question, at_us: NDArray[np.int64], answered: Answered, stands_in_for: str
) -> Predictions:
    """Turn an answer into predictions; raise `_FailedError` where the model fails, or gives no number."""
    version, answer = ready.version, answered.answer
    statuses, refused = _judged(ready, answer)
    try:
        values = matrix_of(answer.sheet, ready.columns)
        scored = ready.model.score(values, why=question.why)
    except Exception as error:
        raise _FailedError(f"{version.ref} failed: {type(error).__name__}: {error}", kind=Failed.CRASH) from error
    if not np.isfinite(scored.scores[~refused]).all():
        raise _FailedError(f"{version.ref} gives a score that is no number", kind=Failed.NO_NUMBER)
    parts = scored.contributions
    return Predictions(
        model=version.model,
        number=version.number,
        task=version.task,
        service=version.service,
        pins=version.pins,
        entities=question.keys,
        at_us=at_us,
        scores=np.where(refused, np.nan, scored.scores),
        statuses=_worst(statuses) if not answer.whole else statuses[:, 0],
        features=version.features,
        values=values,
        input_statuses=statuses,
        ages_us=answer.age_us,
        contributions=None if parts is None else np.where(refused[:, None], np.nan, parts),
        base=scored.base,
        half_width=version.metrics.get("half_width_90", math.nan),
        degraded=answered.degraded,
        stands_in_for=stands_in_for,
    )


def _judged(ready: Ready, answer: Answer) -> tuple[NDArray[np.int8], NDArray[np.bool_]]:
    """Return the statuses of a model's inputs (n x features), and which rows it refuses."""
    if answer.whole:
        n = answer.sheet.rows
        return repeated(PRESENT, n, len(ready.columns)), np.zeros(n, dtype=np.bool_)
    statuses = answer.status.take(ready.columns, axis=1)
    absent = statuses != PRESENT
    return statuses, absent.all(axis=1) | absent[:, list(ready.required)].any(axis=1)
